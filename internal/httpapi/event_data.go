package httpapi

import (
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
)

// told is the union of what the rows of the table of events tell, as their triggers write it: ids as UUIDs, amounts and hours in
// millionths.
type told struct {
	AccountID    uuid.UUID `json:"account_id"`
	EpochID      uuid.UUID `json:"epoch_id"`
	MarginCallID uuid.UUID `json:"margin_call_id"`
	PledgeID     uuid.UUID `json:"pledge_id"`
	ProviderID   uuid.UUID `json:"provider_id"`

	Amount int64 `json:"amount"`
	Hours  int64 `json:"hours"`

	Free     int32 `json:"free"`
	LowStock int32 `json:"low_stock"`

	DeliveredHours *int64 `json:"delivered_hours"`
	RefundedAmount *int64 `json:"refunded_amount"`

	BackingSCH    decimal.Decimal     `json:"backing_sch"`
	Coverage      decimal.NullDecimal `json:"coverage"`
	Haircut       decimal.NullDecimal `json:"haircut"`
	Outstanding   decimal.Decimal     `json:"outstanding"`
	RequiredHours decimal.Decimal     `json:"required_hours"`
	RequiredSCH   decimal.Decimal     `json:"required_sch"`

	ClosesAt  time.Time `json:"closes_at"`
	Deadline  time.Time `json:"deadline"`
	ExpiresAt time.Time `json:"expires_at"`
	OpenedAt  time.Time `json:"opened_at"`
	StartsAt  time.Time `json:"starts_at"`

	Cause           string  `json:"cause"`
	Cure            *string `json:"cure"`
	Detail          *string `json:"detail"`
	From            string  `json:"from"`
	GPUClass        string  `json:"gpu_class"`
	ProviderGrantID *string `json:"provider_grant_id"`
	Reason          *string `json:"reason"`
	State           string  `json:"state"`
	Status          string  `json:"status"`
	To              string  `json:"to"`
	Transport       string  `json:"transport"`
	URL             string  `json:"url"`
}

// eventData returns the data of an event, in the form that its object has in the contract.
func eventData(e *events.Event, own map[uuid.UUID]struct{}) (any, error) {
	if e.Transaction != nil {
		return encodeTransaction(e.Transaction, uuid.Nil, sight{all: own == nil, own: own}), nil
	}
	var d told
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return nil, fmt.Errorf("httpapi: what is told of event %d: %w", e.Seq, err)
	}
	switch e.Object.Type {
	case events.ObjectPledge:
		return d.pledge(), nil
	case events.ObjectRedemption:
		return d.redemption(), nil
	case events.ObjectMarginCall:
		return d.marginCall(), nil
	case events.ObjectRolloverCall:
		return wire.RolloverCallEventData{
			ProviderID: id.Format(id.Provider, d.ProviderID), PledgeID: id.Format(id.Pledge, d.PledgeID),
			Status: wire.RolloverCallStatus(d.Status), ClosesAt: d.ClosesAt.UTC(), Hours: money.Format(d.Hours, money.MaxScale),
		}, nil
	case events.ObjectProvider:
		if e.Type != events.CoverageChanged {
			return d.voucherStock(), nil
		}
		return d.coverage(), nil
	case events.ObjectWebhookEndpoint:
		return wire.WebhookEndpointEventData{URL: visibleURL(d.URL, own), Reason: (*wire.WebhookEndpointEventDataReason)(d.Reason)}, nil
	case events.ObjectTransaction, events.ObjectHold:
	}
	return nil, fmt.Errorf("httpapi: event %d tells of a %s", e.Seq, e.Object.Type)
}

// visibleURL is a webhook's URL as its owner has it; as one has it who sees everybody's, only the server's: in path and query owners keep tokens. The
// operators' own endpoints are told of alike.
func visibleURL(raw string, own map[uuid.UUID]struct{}) string {
	if own != nil {
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}

func (d told) pledge() wire.PledgeEventData {
	encoded := wire.PledgeEventData{
		ProviderID: id.Format(id.Provider, d.ProviderID), Status: wire.PledgeStatus(d.Status), GPUClass: d.GPUClass,
		Hours: money.Format(d.Hours, money.MaxScale), StartsAt: d.StartsAt.UTC(), ExpiresAt: d.ExpiresAt.UTC(), Detail: d.Detail,
	}
	if d.Haircut.Valid {
		haircut := d.Haircut.Decimal.String()
		encoded.Haircut = &haircut
	}
	return encoded
}

func (d told) redemption() wire.RedemptionEventData {
	return wire.RedemptionEventData{
		AccountID: id.Format(id.Account, d.AccountID), ProviderID: id.Format(id.Provider, d.ProviderID),
		Status: wire.RedemptionStatus(d.Status), GPUClass: d.GPUClass, Amount: money.Format(d.Amount, money.MaxScale),
		Hours: money.Format(d.Hours, money.MaxScale), EpochID: id.Format(id.Epoch, d.EpochID), Transport: wire.Transport(d.Transport),
		ProviderGrantID: d.ProviderGrantID, Detail: d.Detail, DeliveredHours: microsOrNull(d.DeliveredHours), RefundedAmount: microsOrNull(d.RefundedAmount),
	}
}

func (d told) marginCall() wire.MarginCallEventData {
	return wire.MarginCallEventData{
		ProviderID: id.Format(id.Provider, d.ProviderID), Status: wire.MarginCallStatus(d.Status), OpenedAt: d.OpenedAt.UTC(),
		Deadline: d.Deadline.UTC(), Coverage: sixPlaces(d.Coverage.Decimal), RequiredSch: sixPlaces(d.RequiredSCH),
		RequiredHours: sixPlaces(d.RequiredHours), GPUClass: d.GPUClass, Cause: wire.CoverageCause(d.Cause), Cure: (*wire.CoverageCause)(d.Cure),
	}
}

func (d told) voucherStock() wire.VoucherStockEventData {
	return wire.VoucherStockEventData{
		ProviderID: id.Format(id.Provider, d.ProviderID), GPUClass: d.GPUClass, Hours: money.Format(d.Hours, money.MaxScale),
		State: wire.VoucherStockState(d.State), Free: d.Free, LowStock: d.LowStock,
	}
}

func (d told) coverage() wire.CoverageEventData {
	return wire.CoverageEventData{
		ProviderID: idOrNull(id.Provider, d.ProviderID), FromState: wire.CoverageState(d.From), ToState: wire.CoverageState(d.To),
		Cause: wire.CoverageCause(d.Cause), BackingSch: sixPlaces(d.BackingSCH), Outstanding: sixPlaces(d.Outstanding),
		Coverage: decimalOrNull(d.Coverage), EpochID: id.Format(id.Epoch, d.EpochID), MarginCallID: idOrNull(id.MarginCall, d.MarginCallID),
	}
}

func microsOrNull(minor *int64) *string {
	if minor == nil {
		return nil
	}
	text := money.Format(*minor, money.MaxScale)
	return &text
}
