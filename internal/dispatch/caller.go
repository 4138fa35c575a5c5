// Package dispatch brings redemptions to providers that are called, and finds out what became of those of which that is not known.
//
// A redemption is marked dispatched, and that is committed, before the first byte leaves. Whatever then fails in a way that leaves open
// whether the provider received it makes it unknown: it is asked about, and not sent again before the provider has said that it does not know it. The
// provider tells redemptions by their id, so that even one that is sent twice is granted once. docs/provider-protocol.md has what
// is said, ADR 21 why.
package dispatch

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Caller reaches a provider. Its two calls are made outside of any transaction. An error means that nothing was asked at
// all, and why; whatever else goes wrong is an Answer.
type Caller interface {
	// Issue asks for the credits of an order, once or again: its redemption's id makes it the same order.
	Issue(ctx context.Context, o Order) (Answer, error)
	// Query asks what became of an order.
	Query(ctx context.Context, o Order) (Answer, error)
}

// Order is what a provider is asked for.
type Order struct {
	RedemptionID, ProviderID uuid.UUID
	// Endpoint is the URL to call.
	Endpoint string
	GPUClass string
	// Hours and Amount are in millionths.
	Hours, Amount int64
	// RecipientAccount is the holder's account at the provider, or empty.
	RecipientAccount string
}

// Outcome is what an answer amounts to.
type Outcome string

// The outcomes. Only Unclear leaves open what the provider did.
const (
	// Issued: the credits are given, for all of the hours or, as the answer says, for fewer.
	Issued Outcome = "issued"
	// Accepted: the provider has it, and will call.
	Accepted Outcome = "accepted"
	// Rejected: nothing is given, for good.
	Rejected Outcome = "rejected"
	// NotFound, of a query: the provider does not know it.
	NotFound Outcome = "not_found"
	// Gone: the endpoint is no more, and has processed nothing.
	Gone Outcome = "gone"
	// NotAccepted: the provider has too much to do, and says that it has not taken it.
	NotAccepted Outcome = "not_accepted"
	// NotSent: no connection came about.
	NotSent Outcome = "not_sent"
	// Unclear: everything else.
	Unclear Outcome = "unclear"

	// cutOff: the process that made the attempt went away before its end.
	cutOff Outcome = "cut_off"
)

// Answer is what came of a call.
type Answer struct {
	Outcome Outcome
	// GrantID and Hours, in millionths, are of what is Issued.
	GrantID string
	Hours   int64
	// Reason is why it is Rejected, or why fewer hours are given; or empty.
	Reason string
	// RetryAfter is how long the provider wants to be left alone, or zero.
	RetryAfter time.Duration
	// HTTPStatus is of the answer, or 0. Class is a word for logs and metrics on what is Unclear or NotSent: ^[a-z_]{1,40}$, or empty.
	HTTPStatus int
	Class      string
}
