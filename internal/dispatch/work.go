package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/redeem"
)

// Phase is what is to be done about a redemption.
type Phase string

// The phases.
const (
	// Send: the provider is to be asked for credits.
	Send Phase = "send"
	// Query: it is to be asked what became of them.
	Query Phase = "query"
)

// work is one attempt that this process has to itself, under a lease.
type work struct {
	Order
	lease          uuid.UUID
	phase          Phase
	sends, queries int
	status         redeem.Status
	// cutOff says that the lease before this one lapsed.
	cutOff bool
	// disabled says that the endpoint is gone and was the delivery's, which therefore waits for another.
	disabled bool
}

// The causes in the timeline.
const (
	causeSent    = "It is sent to the provider."
	causeLost    = "The process that sent it went away before there was an answer. The provider is asked."
	causeUnclear = "The provider's answer leaves open what it did. It is asked."
	causeSilent  = "The provider accepted it and has not said what became of it, however often it was asked. It or two operators decide."
	causeUnsent  = "The provider does not know it. It is sent again."
	causeIssued  = "The provider has given the credits."
	causeQueried = "The provider says that it has given the credits."
)

// advance makes one attempt and acts on what came of it.
func (d *Dispatcher) advance(ctx context.Context, w *work) error {
	began := time.Now()
	if w.phase == Query {
		answer, err := d.caller.Query(ctx, w.Order)
		return d.conclude(ctx, w, notAsked(answer, err), time.Since(began))
	}
	if w.cutOff && w.status == redeem.Dispatched {
		return d.conclude(ctx, w, Answer{Outcome: cutOff}, 0)
	}
	if err := d.redemptions.MarkDispatched(ctx, w.RedemptionID, causeSent); errors.Is(err, redeem.ErrConflict) {
		return nil // It was cancelled, or has its end: there is nothing to do any more.
	} else if err != nil {
		return err
	}
	answer, err := d.caller.Issue(ctx, w.Order)
	return d.conclude(ctx, w, notAsked(answer, err), time.Since(began))
}

// notAsked makes an answer of what kept a caller from asking.
func notAsked(a Answer, err error) Answer {
	if err != nil {
		return Answer{Outcome: NotSent, Class: "not_asked"}
	}
	return a
}

// conclude acts on an answer and keeps a record of it. What is settled is so before the record: a process that goes away in between loses
// a line of the log, and nothing else.
func (d *Dispatcher) conclude(ctx context.Context, w *work, a Answer, took time.Duration) error {
	if a.Outcome == Issued || a.Outcome == Rejected {
		err := d.settle(ctx, w, a)
		switch {
		case errors.Is(err, redeem.ErrConflict):
			// It came to its end in another way, which stands. The log has what this answer was.
		case isNonsense(err):
			a = Answer{Outcome: Unclear, HTTPStatus: a.HTTPStatus, Class: "contradiction"}
		case err != nil:
			return err
		}
	}
	if d.options.Observer != nil {
		d.options.Observer.Attempted(w.phase, a.Outcome, took)
	}
	if a.Outcome == Gone && w.phase == Send {
		var err error
		if w.disabled, err = d.redemptions.DisableDelivery(ctx, w.ProviderID, w.Endpoint, "The endpoint answered 410: it is gone."); err != nil {
			return err
		}
	}
	return d.record(ctx, w, a, took)
}

// isNonsense reports what a provider may say and cannot mean: a grant of another redemption, or more hours than were asked for.
func isNonsense(err error) bool {
	_, invalid := errors.AsType[*redeem.InvalidError](err)
	return invalid || errors.Is(err, redeem.ErrGrantUsed)
}

func (d *Dispatcher) settle(ctx context.Context, w *work, a Answer) error {
	word := Word{ProviderID: w.ProviderID, RedemptionID: w.RedemptionID, Outcome: a.Outcome, GrantID: a.GrantID, Hours: a.Hours, Reason: a.Reason, Cause: causeIssued}
	if w.phase == Query {
		word.Cause = causeQueried
	}
	return Settle(ctx, d.redemptions, word)
}

// next is when what is to be done, after an answer that settled nothing.
type next struct {
	phase          Phase
	sends, queries int
	// in is the pause, and never says that there is no next time.
	in    time.Duration
	never bool
}

// follow is the plan after an answer: the one table of what follows on what.
func (d *Dispatcher) follow(w *work, a Answer) next {
	n := next{phase: w.phase, sends: w.sends, queries: w.queries}
	switch {
	case a.Outcome == Accepted && w.phase == Send:
		n.phase, n.queries, n.in = Query, 0, acceptedPatience
	case a.Outcome == NotFound && w.phase == Query:
		n.phase = Send
		n.wait(d.options.Sends, max(n.sends, 1), a.RetryAfter)
	case a.Outcome == Gone && w.disabled: // It goes on once the provider has another endpoint.
		n.in = gonePatience
	case w.phase == Send && (a.Outcome == NotSent || a.Outcome == NotAccepted || a.Outcome == Gone):
		n.sends++
		n.wait(d.options.Sends, n.sends, a.RetryAfter)
	case w.phase == Send:
		n.phase, n.sends, n.queries = Query, n.sends+1, 0
		n.wait(d.options.Queries, 1, 0)
	default:
		n.queries++
		n.wait(d.options.Queries, n.queries+1, a.RetryAfter)
	}
	n.in = d.pause(n.in)
	return n
}

func (n *next) wait(s Schedule, attempts int, atLeast time.Duration) {
	pause, more := s.after(attempts)
	n.in, n.never = max(pause, min(atLeast, maxRetryAfter)), !more
}
