package events

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Type says what happened, as object.what.
type Type string

// The types of events.
const (
	TransferCreated     Type = "transfer.created"
	MintCreated         Type = "mint.created"
	HoldCreated         Type = "hold.created"
	HoldCaptured        Type = "hold.captured"
	HoldVoided          Type = "hold.voided"
	TransactionReversed Type = "transaction.reversed"

	PledgeCreated          Type = "pledge.created"
	PledgeVerified         Type = "pledge.verified"
	PledgeRejected         Type = "pledge.rejected"
	PledgeExhausted        Type = "pledge.exhausted"
	PledgeExpired          Type = "pledge.expired"
	PledgeDefaulted        Type = "pledge.defaulted"
	PledgeReleased         Type = "pledge.released"
	PledgeHoursReleased    Type = "pledge.hours_released"
	PledgeHoursLapsed      Type = "pledge.hours_lapsed"
	PledgeHoursSubstituted Type = "pledge.hours_substituted"

	RedemptionRequested    Type = "redemption.requested"
	RedemptionReserved     Type = "redemption.reserved"
	RedemptionDispatched   Type = "redemption.dispatched"
	RedemptionUnknown      Type = "redemption.unknown"
	RedemptionEscalated    Type = "redemption.escalated"
	RedemptionIssued       Type = "redemption.issued"
	RedemptionAcknowledged Type = "redemption.acknowledged"
	RedemptionRejected     Type = "redemption.rejected"
	RedemptionCancelled    Type = "redemption.cancelled"
	RedemptionExpired      Type = "redemption.expired"
	RedemptionRefunded     Type = "redemption.refunded"
	RedemptionCorrected    Type = "redemption.corrected"

	MarginCallOpened    Type = "margin_call.opened"
	MarginCallEscalated Type = "margin_call.escalated"
	MarginCallCured     Type = "margin_call.cured"

	RolloverCallOpened    Type = "rollover_call.opened"
	RolloverCallAnswered  Type = "rollover_call.answered"
	RolloverCallDefaulted Type = "rollover_call.defaulted"

	CoverageChanged Type = "coverage.changed"

	VoucherStockLow   Type = "voucher_stock.low"
	VoucherStockAmple Type = "voucher_stock.ample"

	WebhookEndpointDisabled Type = "webhook_endpoint.disabled"
	WebhookTest             Type = "webhook.test"
)

// journal has the types that are transactions: nothing is written for them, they are read from the journal. The kinds that are not here
// are told by rows of the table of events, which say more: what became of a pledge or a redemption.
var journal = map[ledger.Kind]Type{
	ledger.KindTransfer:         TransferCreated,
	ledger.KindMint:             MintCreated,
	ledger.KindHold:             HoldCreated,
	ledger.KindHoldCapture:      HoldCaptured,
	ledger.KindHoldVoid:         HoldVoided,
	ledger.KindReversal:         TransactionReversed,
	ledger.KindPledgeRelease:    PledgeHoursReleased,
	ledger.KindPledgeLapse:      PledgeHoursLapsed,
	ledger.KindPledgeSubstitute: PledgeHoursSubstituted,

	ledger.KindRedemptionCorrect: RedemptionCorrected,
}

// told has the types that rows tell.
var told = []Type{
	PledgeCreated, PledgeVerified, PledgeRejected, PledgeExhausted, PledgeExpired, PledgeDefaulted, PledgeReleased,
	RedemptionRequested, RedemptionReserved, RedemptionDispatched, RedemptionUnknown, RedemptionEscalated, RedemptionIssued, RedemptionAcknowledged,
	RedemptionRejected, RedemptionCancelled, RedemptionExpired, RedemptionRefunded,
	MarginCallOpened, MarginCallEscalated, MarginCallCured,
	RolloverCallOpened, RolloverCallAnswered, RolloverCallDefaulted,
	CoverageChanged, VoucherStockLow, VoucherStockAmple, WebhookEndpointDisabled, WebhookTest,
}

// Types returns all there are, in the order of the alphabet.
func Types() []Type {
	all := slices.Clone(told)
	for _, t := range journal {
		all = append(all, t)
	}
	slices.Sort(all)
	return all
}

// Select returns the types that words name: each a type, or all of one object as in redemption.*. It returns false for a word that names
// none. No words name all.
func Select(words []string) ([]Type, bool) {
	if len(words) == 0 {
		return nil, true
	}
	all := Types()
	var selected []Type
	for _, word := range words {
		object, wild := strings.CutSuffix(word, ".*")
		before := len(selected)
		for _, t := range all {
			if string(t) == word || wild && strings.HasPrefix(string(t), object+".") {
				selected = append(selected, t)
			}
		}
		if len(selected) == before {
			return nil, false
		}
	}
	slices.Sort(selected)
	return slices.Compact(selected), true
}

// kindsOf returns the kinds of transaction that are events of these types; of all, where there are none.
func kindsOf(types []Type) []ledger.Kind {
	var kinds []ledger.Kind
	for kind, t := range journal {
		if len(types) == 0 || slices.Contains(types, t) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// toldOf returns those of the types that rows tell, and whether there are any. Nil stands for all of them.
func toldOf(types []Type) ([]Type, bool) {
	if len(types) == 0 {
		return nil, true
	}
	var rows []Type
	for _, t := range types {
		if slices.Contains(told, t) {
			rows = append(rows, t)
		}
	}
	return rows, len(rows) > 0
}

// ObjectType says what an event is about.
type ObjectType string

// What events are about.
const (
	ObjectTransaction     ObjectType = "transaction"
	ObjectHold            ObjectType = "hold"
	ObjectPledge          ObjectType = "pledge"
	ObjectRedemption      ObjectType = "redemption"
	ObjectMarginCall      ObjectType = "margin_call"
	ObjectRolloverCall    ObjectType = "rollover_call"
	ObjectProvider        ObjectType = "provider"
	ObjectWebhookEndpoint ObjectType = "webhook_endpoint"
)

// Object is what an event is about. Events of one object are delivered in their order.
type Object struct {
	Type ObjectType
	ID   uuid.UUID
}

// objectOf is what a transaction is about. One that reverses another is about that one.
func objectOf(t *ledger.Transaction) Object {
	switch t.Kind {
	case ledger.KindHold, ledger.KindHoldCapture, ledger.KindHoldVoid:
		return Object{ObjectHold, t.Subject}
	case ledger.KindReversal:
		return Object{ObjectTransaction, t.Subject}
	case ledger.KindPledgeActivation, ledger.KindPledgeRelease, ledger.KindPledgeLapse, ledger.KindPledgeSubstitute:
		return Object{ObjectPledge, t.Subject}
	case ledger.KindRedemptionRequest, ledger.KindRedemptionIssue, ledger.KindRedemptionRefund, ledger.KindRedemptionCorrect:
		return Object{ObjectRedemption, t.Subject}
	case ledger.KindTransfer, ledger.KindMint:
	}
	return Object{ObjectTransaction, t.ID}
}
