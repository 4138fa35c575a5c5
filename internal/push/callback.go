package push

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// Callback is what a provider calls to say.
type Callback struct {
	ProviderID   uuid.UUID
	RedemptionID uuid.UUID
	// Outcome is dispatch.Issued, Rejected or Accepted.
	Outcome dispatch.Outcome
	GrantID string
	// Hours is in millionths, or 0 for all of them; fewer than asked for where Partial is true, and only there.
	Hours   int64
	Partial bool
	Reason  string
}

// Callbacks takes what providers say without having been asked.
type Callbacks struct {
	redemptions *redeem.Redemptions
	secrets     *Secrets
}

// NewCallbacks returns the callbacks for these redemptions.
func NewCallbacks(redemptions *redeem.Redemptions, secrets *Secrets) *Callbacks {
	return &Callbacks{redemptions: redemptions, secrets: secrets}
}

// Verify returns nil for a message that one of the provider's active secrets has signed within five minutes, and else webhook.ErrForged,
// also where there is no such provider or no secret: whoever has none learns nothing. Other errors are the vault's and the database's.
func (c *Callbacks) Verify(ctx context.Context, provider uuid.UUID, h http.Header, body []byte) error {
	signer, err := c.secrets.signer(ctx, provider)
	if errors.Is(err, webhook.ErrNoSecret) {
		return webhook.ErrForged
	}
	if err != nil {
		return err
	}
	return signer.Verify(h, body)
}

// causeCallback is in the timeline of what was settled so.
const causeCallback = "The provider has called: the credits are given."

// Take acts on a callback that was verified. The same may come again, before and after any other, and changes nothing.
//
// It returns redeem.ErrNotFound for a redemption that is not the provider's; redeem.ErrConflict for what contradicts its end, or for one
// that nothing was sent of; redeem.ErrGrantUsed; *redeem.InvalidError for hours or texts that cannot be; or an error of the ledger's write path.
func (c *Callbacks) Take(ctx context.Context, b Callback) error {
	found, err := c.redemptions.Get(ctx, b.RedemptionID, redeem.Filter{ProviderID: b.ProviderID})
	if err != nil {
		return err
	}
	w := dispatch.Word{ProviderID: b.ProviderID, RedemptionID: b.RedemptionID, Outcome: b.Outcome, Reason: cleaned(b.Reason), Cause: causeCallback}
	if b.Outcome == dispatch.Issued {
		if w.GrantID, w.Hours = b.GrantID, cmp.Or(b.Hours, found.Hours); w.Hours == found.Hours {
			w.Reason = ""
		}
		if err := b.contradiction(w.Hours, found.Hours); err != nil {
			return err
		}
	}
	err = c.settle(ctx, w)
	if invalid, ok := errors.AsType[*redeem.InvalidError](err); ok { // What is said of a redemption is under data.
		return &redeem.InvalidError{Field: "data." + invalid.Field, Code: invalid.Code, Detail: invalid.Detail}
	}
	return err
}

// contradiction refuses hours that do not go with partial: one of the two is a mistake, and nobody here knows which.
func (b *Callback) contradiction(given, asked int64) error {
	switch {
	case given < asked && !b.Partial:
		return &redeem.InvalidError{Field: "data.hours", Code: "too_few", Detail: "These are fewer hours than were asked for, and partial is not true."}
	case given == asked && b.Partial:
		return &redeem.InvalidError{Field: "data.partial", Code: "not_partial", Detail: "These are all of the hours that were asked for, and partial is true."}
	}
	return nil
}

// twinPause is how long to wait for a callback that says the same and came a moment earlier.
const twinPause = 20 * time.Millisecond

// settle waits for its twin, if there is one under way, so that it has the same answer.
func (c *Callbacks) settle(ctx context.Context, w dispatch.Word) error {
	for {
		err := dispatch.Settle(ctx, c.redemptions, w)
		if !errors.Is(err, idempotency.ErrInProgress) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(twinPause):
		}
	}
}
