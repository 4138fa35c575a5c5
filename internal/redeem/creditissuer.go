package redeem

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// CreditIssuer is a way in which a provider's credits reach a holder: everything in which the transports differ. What they have in common (the states,
// what is earmarked, burned and returned) does not ask which one it is.
//
// It decides and never calls anybody: who calls providers, or is called by them, comes with what they said to Issue and Reject.
type CreditIssuer interface {
	// check refuses a delivery that cannot be set.
	check(n *NewDelivery) error
	// begin is what a redemption goes through in the transaction that requests it.
	begin() []Event
	// codeFor is for how many of these hours a code is needed right then, 0 for none; codeOf takes it, and handOut writes whose it is.
	codeFor(hours int64) int64
	codeOf(s *requestStep) error
	handOut(w *ledger.Writes, s *requestStep)
	// quotable refuses to promise what could not be handed out now.
	quotable(ctx context.Context, tx pgx.Tx, q *Quote) error
	// deliver does what is left for Ballast itself to do once the request has taken effect, and may be asked to again.
	deliver(ctx context.Context, r *Redemptions, of *Redemption) (*Redemption, error)
	// unheard tells whether the provider of what is dispatched cannot have granted anything.
	unheard(s *state) bool
	// mayIssue refuses to issue, and mayReturn to return the tokens, where the holder has something that says otherwise.
	mayIssue(ctx context.Context, r *Redemptions, of *Redemption, i *Issuance) error
	mayReturn() error
}

// issuers are the ways that there are.
var issuers = map[Transport]CreditIssuer{TransportPush: pushIssuer{}, TransportPull: pullIssuer{}, TransportVoucher: voucherIssuer{}}

// issuer returns how a transport hands out credits.
func (t Transport) issuer() CreditIssuer { return issuers[t] }

// begun are the steps that all have in common.
func begun() []Event {
	return []Event{{Status: Requested}, {Status: Reserved, Detail: "The hours are earmarked."}}
}

// uncoded is what those have in common that hand out no codes: what the provider says is what counts.
type uncoded struct{}

func (uncoded) codeFor(int64) int64                                                  { return 0 }
func (uncoded) codeOf(*requestStep) error                                            { return nil }
func (uncoded) handOut(*ledger.Writes, *requestStep)                                 {}
func (uncoded) quotable(context.Context, pgx.Tx, *Quote) error                       { return nil }
func (uncoded) mayIssue(context.Context, *Redemptions, *Redemption, *Issuance) error { return nil }
func (uncoded) mayReturn() error                                                     { return nil }
func (uncoded) deliver(_ context.Context, _ *Redemptions, of *Redemption) (*Redemption, error) {
	return of, nil
}

// pushIssuer waits, reserved, until package dispatch has called the provider's endpoint.
type pushIssuer struct{ uncoded }

func (pushIssuer) check(n *NewDelivery) error { return checkEndpoint(n.Endpoint) }
func (pushIssuer) begin() []Event             { return begun() }
func (pushIssuer) unheard(s *state) bool      { return s.unreached }

// pullIssuer puts it into the provider's queue.
type pullIssuer struct{ uncoded }

func (pullIssuer) check(n *NewDelivery) error { return noEndpoint(n) }
func (pullIssuer) begin() []Event {
	return append(begun(), Event{Status: Dispatched, Detail: "The provider polls for it."})
}
func (pullIssuer) unheard(s *state) bool { return s.lease == uuid.Nil }

func noEndpoint(n *NewDelivery) error {
	if n.Endpoint != "" {
		return &InvalidError{Field: "endpoint", Code: "not_allowed", Detail: "Only what is pushed has an endpoint."}
	}
	return nil
}
