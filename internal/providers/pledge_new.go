package providers

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// NewPledge says what a provider pledges.
type NewPledge struct {
	// Caller is the principal who enters it: the provider, or an operator for it, who then may not verify it.
	Caller     uuid.UUID
	ProviderID uuid.UUID
	GPUClass   string
	Hours      money.Quantity
	// Region is the provider's name of it: up to 64 letters, digits, points, underscores and dashes.
	Region              string
	StartsAt, ExpiresAt time.Time
	// Curve says how many GPUs are delivered when, with at most 1,000 windows in any order; their Hours are not looked at. Without it,
	// the hours are delivered at any time between StartsAt and ExpiresAt.
	Curve          []Window
	SLAPercent     decimal.NullDecimal
	DocumentSHA256 string
	Terms
	// MaxDailyHours bounds what redemptions take in a day of UTC; zero for no bound.
	MaxDailyHours money.Quantity
	// Signature is the provider's, 64 bytes over the Statement, and needed once it has a signing key.
	Signature []byte
	Metadata  map[string]string
}

// planned is a pledge that is right in itself, with its hours in millionths and the windows in order.
type planned struct {
	NewPledge
	hours, maxDailyHours int64
	windows              []Window
	signedWith           []byte
}

// CreatePledge records a pledge in a transaction of its own; see CreatePledgeTx.
func (s *Store) CreatePledge(ctx context.Context, n NewPledge) (p Pledge, err error) {
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		p, err = s.CreatePledgeTx(ctx, tx, n)
		return err
	})
	return p, err
}

// CreatePledgeTx records a pledge, which waits for an operator to verify it, and opens its accounts. It returns an [*InvalidError]
// for one that may not be, ledger.ErrAmountOutOfRange for more hours than an account holds, ErrProviderNotFound, ErrSignatureRequired,
// ErrSignatureInvalid, and ErrDocumentPledged for a document that stands behind another pledge, which nothing but rejecting that one changes.
func (s *Store) CreatePledgeTx(ctx context.Context, tx pgx.Tx, n NewPledge) (Pledge, error) {
	plan, err := n.plan()
	if err != nil {
		return Pledge{}, err
	}
	if err := checkAgainstDatabase(ctx, tx, &plan); err != nil {
		return Pledge{}, err
	}
	if err := checkSignature(ctx, tx, &plan); err != nil {
		return Pledge{}, err
	}
	pledge := id.New()
	if err := insertPledge(ctx, tx, pledge, &plan); err != nil {
		return Pledge{}, err
	}
	for _, kind := range pledgeAccountKinds {
		if _, err := ledger.OpenTx(ctx, tx, ledger.NewAccount{
			Asset: money.GPUHours(n.GPUClass), Kind: kind, ProviderID: n.ProviderID, PledgeID: pledge,
		}); err != nil {
			return Pledge{}, err
		}
	}
	p, err := selectPledge(ctx, tx, pledge)
	p.Windows = plan.windows
	return p, err
}

// plan refuses what is wrong in itself.
func (n NewPledge) plan() (p planned, err error) {
	p.NewPledge = n
	p.StartsAt, p.ExpiresAt = p.StartsAt.UTC().Truncate(time.Microsecond), p.ExpiresAt.UTC().Truncate(time.Microsecond)
	if p.hours, err = hoursOf("hours", n.Hours); err != nil {
		return planned{}, err
	}
	if n.MaxDailyHours != (money.Quantity{}) {
		if p.maxDailyHours, err = hoursOf("max_daily_hours", n.MaxDailyHours); err != nil {
			return planned{}, err
		}
	}
	if err := p.check(); err != nil {
		return planned{}, err
	}
	p.windows, err = p.plannedWindows()
	return p, err
}

// hoursOf returns hours in millionths.
func hoursOf(field string, q money.Quantity) (int64, error) {
	hours, err := q.Minor(money.MaxScale)
	if errors.Is(err, money.ErrRange) {
		return 0, ledger.ErrAmountOutOfRange
	}
	if err != nil {
		return 0, &InvalidError{field, "invalid", "Hours are greater than zero."}
	}
	return hours, nil
}

func (p *planned) check() error {
	switch {
	case !regionPattern.MatchString(p.Region):
		return &InvalidError{"region", "malformed", "The region is not a name of letters, digits, points, underscores and dashes."}
	case p.DocumentSHA256 != "" && !sha256Pattern.MatchString(p.DocumentSHA256):
		return &InvalidError{"document_sha256", "malformed", "The hash is not 64 lower-case hexadecimal digits."}
	case !p.StartsAt.Before(p.ExpiresAt):
		return &InvalidError{"expires_at", "not_after_start", "The pledge ends before it starts."}
	}
	if err := checkSLA(p.SLAPercent); err != nil {
		return err
	}
	if err := p.Terms.check(); err != nil {
		return err
	}
	return checkMetadata(p.Metadata)
}
