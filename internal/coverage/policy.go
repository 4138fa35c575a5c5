package coverage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

// Terms are all the parameters of collateral, of the index and of the anchor that can be set. They are set together.
type Terms struct {
	Thresholds
	// MintBuffer is what a mint must leave beyond a coverage of 1.
	MintBuffer decimal.Decimal
	// MarginCall is how long a provider has to answer a margin call, and EscalationGrace how much longer until it is in default.
	MarginCall, EscalationGrace time.Duration
	// RolloverNotice is how long before hours behind tokens lapse their provider is called to put others in their place.
	RolloverNotice time.Duration
	Epochs         EpochTerms
	Index          IndexTerms
	Haircuts       Schedule
}

// EpochTerms are how far and how fast the anchor may move; anchor.EpochPolicy says what each is.
type EpochTerms struct {
	MaxDecrease          decimal.Decimal
	Notice, SunsetNotice time.Duration
	DraftLife            time.Duration
}

// Policy returns the terms as the anchor takes them.
func (t EpochTerms) Policy() anchor.EpochPolicy {
	return anchor.EpochPolicy{MaxDecrease: t.MaxDecrease, Notice: t.Notice, SunsetNotice: t.SunsetNotice, DraftLife: t.DraftLife}
}

// IndexTerms are when a price is good enough to mint by; anchor.IndexPolicy says what each is.
type IndexTerms struct {
	MinSources              int
	MaxAge, Carry, MintStop time.Duration
}

// Policy returns the terms as the index takes them.
func (t IndexTerms) Policy() anchor.IndexPolicy {
	return anchor.IndexPolicy{MinSources: t.MinSources, QuoteMaxAge: t.MaxAge, CarryLimit: t.Carry, MintStopAfter: t.MintStop}
}

// Policy is terms that were drafted by one operator and, once they are in force or will be, approved by another. It never changes.
type Policy struct {
	ID      uuid.UUID
	Version int
	Terms
	// Note says what it is for.
	Note string
	// DraftedBy and ApprovedBy are principals; nil for the first policy, which comes with the program.
	DraftedBy, ApprovedBy uuid.UUID
	DraftedAt             time.Time
	// ApprovedAt and EffectiveAt are zero for a draft. It is in force from EffectiveAt until that of the next.
	ApprovedAt, EffectiveAt time.Time
}

// InForce returns the policy that is in force now.
func InForce(ctx context.Context, db Reader) (Policy, error) {
	return onePolicy(ctx, db, policyInForceSQL)
}

// LatestApproved returns the policy that was approved last, which may come into force only later. A draft begins from it.
func LatestApproved(ctx context.Context, db Reader) (Policy, error) {
	return onePolicy(ctx, db, latestApprovedSQL)
}

// Policies returns up to limit policies and drafts, newest first, that are older than the version before; 0 starts at the newest.
func (s *Store) Policies(ctx context.Context, before, limit int) ([]Policy, error) {
	return selectPolicies(ctx, s.db, before, limit)
}

// Draft asks for other terms.
type Draft struct {
	// Caller is the operator who drafts them.
	Caller uuid.UUID
	Terms  Terms
	// Note is 1 to 500 characters.
	Note string
}

// DraftPolicy keeps a draft in a transaction of its own; see DraftPolicyTx.
func (s *Store) DraftPolicy(ctx context.Context, d Draft) (p Policy, err error) {
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		p, err = DraftPolicyTx(ctx, tx, d)
		return err
	})
	return p, err
}

// DraftPolicyTx keeps a draft, which has no effect until another operator approves it. It returns an [*InvalidError] for terms that
// may not be, or ErrPolicySuperseded if another was drafted at the same moment.
func DraftPolicyTx(ctx context.Context, tx pgx.Tx, d Draft) (Policy, error) {
	if err := d.Terms.check(); err != nil {
		return Policy{}, err
	}
	draft := id.New()
	if err := insertPolicy(ctx, tx, draft, d); err != nil {
		return Policy{}, err
	}
	return onePolicy(ctx, tx, policyByIDSQL, draft)
}

// Approval puts a draft in force.
type Approval struct {
	// Caller is the operator who approves it: not the one who drafted it.
	Caller   uuid.UUID
	PolicyID uuid.UUID
	// EffectiveAt is from when it is in force; zero for at once.
	EffectiveAt time.Time
}

// ApprovePolicy puts a draft in force, at once or later. Whoever asks again for the same gets the same answer. It returns ErrPolicyNotFound,
// ErrSamePerson, ErrPolicyApproved, ErrPolicySuperseded once a later draft was approved, or an [*InvalidError] for a time that has passed or is
// not after that of the policy before.
//
// Every mint is decided wholly by one policy: an approval waits for the groups of commands that are being written, and those that come
// after it see it.
func (s *Store) ApprovePolicy(ctx context.Context, a Approval) (p Policy, err error) {
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		p, err = approveTx(ctx, tx, a)
		return err
	})
	return p, err
}

// maxYearsAhead keeps a slip of the pen from being the last policy for ever, since none can be approved for an earlier time.
const maxYearsAhead = 10

func approveTx(ctx context.Context, tx pgx.Tx, a Approval) (Policy, error) {
	p, err := onePolicy(ctx, tx, policyByIDSQL, a.PolicyID)
	if err != nil {
		return Policy{}, err
	}
	switch {
	case !p.ApprovedAt.IsZero() && p.ApprovedBy == a.Caller && (a.EffectiveAt.IsZero() || a.EffectiveAt.Equal(p.EffectiveAt)):
		return p, nil
	case !p.ApprovedAt.IsZero():
		return Policy{}, ErrPolicyApproved
	case p.DraftedBy == a.Caller:
		return Policy{}, ErrSamePerson
	}
	now, err := lockIssuance(ctx, tx, uuid.Nil)
	if err != nil {
		return Policy{}, err
	}
	last, err := onePolicy(ctx, tx, latestApprovedSQL)
	if err != nil {
		return Policy{}, err
	}
	if a.EffectiveAt.IsZero() {
		a.EffectiveAt = now
	}
	switch {
	case last.Version > p.Version:
		return Policy{}, ErrPolicySuperseded
	case a.EffectiveAt.Before(now):
		return Policy{}, &InvalidError{"effective_at", "past", "The time has passed."}
	case a.EffectiveAt.After(now.AddDate(maxYearsAhead, 0, 0)):
		return Policy{}, &InvalidError{"effective_at", "too_late", "A policy is approved at most ten years ahead."}
	case !a.EffectiveAt.After(last.EffectiveAt):
		return Policy{}, &InvalidError{"effective_at", "before_another", "A policy that was approved before comes into force later."}
	}
	if err := insertApproval(ctx, tx, p, last.Version, a); err != nil {
		return Policy{}, err
	}
	return onePolicy(ctx, tx, policyByIDSQL, a.PolicyID)
}
