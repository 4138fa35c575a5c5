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

// Pledge is GPU-hours that a provider commits. All hours are in millionths.
type Pledge struct {
	ID         uuid.UUID
	ProviderID uuid.UUID
	Status     PledgeStatus
	GPUClass   string
	// Hours is what was committed. Once it is verified, it is what Balances add up to.
	Hours  int64
	Region string
	// StartsAt and ExpiresAt are when the hours can be delivered.
	StartsAt, ExpiresAt time.Time
	// SLAPercent is the availability that the provider promises, if it said.
	SLAPercent decimal.NullDecimal
	// DocumentSHA256 is of the signed document behind the pledge, in hexadecimal, or empty.
	DocumentSHA256 string
	// Haircut is the share of the hours that can back no token; null until the pledge is verified.
	Haircut      decimal.NullDecimal
	RejectReason string
	Metadata     map[string]string
	// CreatedBy and VerifiedBy are principals. VerifiedBy and VerifiedAt are zero until it is verified.
	CreatedBy, VerifiedBy uuid.UUID
	VerifiedAt, CreatedAt time.Time
	Balances              Balances
	Accounts              Accounts
}

// Balances says where the hours of a verified pledge are, in millionths.
type Balances struct {
	// Available backs nothing, Backing is behind tokens that are out, and Earmarked is for redemptions under way.
	Available int64 `json:"available"`
	Backing   int64 `json:"backing"`
	Earmarked int64 `json:"earmarked"`
	// Delivered was given as credits, Expired lapsed, and Released was taken back by the provider.
	Delivered int64 `json:"delivered"`
	Expired   int64 `json:"expired"`
	Released  int64 `json:"released"`
}

// Accounts are where the books keep a pledge's hours, and the account from which its provider's tokens are issued.
type Accounts struct {
	Commitment, Available, Backing, Earmarked, Delivered, Expired, Released uuid.UUID
	Issuance                                                                uuid.UUID
}

// NewPledge says what a provider pledges.
type NewPledge struct {
	// Caller is the principal who asks.
	Caller     uuid.UUID
	ProviderID uuid.UUID
	GPUClass   string
	Hours      money.Quantity
	// Region is the provider's name of it: up to 64 letters, digits, points, underscores and dashes.
	Region              string
	StartsAt, ExpiresAt time.Time
	SLAPercent          decimal.NullDecimal
	DocumentSHA256      string
	Metadata            map[string]string
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
// for one that may not be, ledger.ErrAmountOutOfRange for more hours than an account holds, ErrProviderNotFound, and
// anchor.ErrClassSunset.
func (s *Store) CreatePledgeTx(ctx context.Context, tx pgx.Tx, n NewPledge) (Pledge, error) {
	hours, err := n.check()
	if err != nil {
		return Pledge{}, err
	}
	if err := checkAgainstDatabase(ctx, tx, n); err != nil {
		return Pledge{}, err
	}
	pledge := id.New()
	if err := insertPledge(ctx, tx, pledge, hours, n); err != nil {
		return Pledge{}, err
	}
	for _, kind := range pledgeAccountKinds {
		if _, err := ledger.OpenTx(ctx, tx, ledger.NewAccount{
			Asset: money.GPUHours(n.GPUClass), Kind: kind, ProviderID: n.ProviderID, PledgeID: pledge,
		}); err != nil {
			return Pledge{}, err
		}
	}
	return selectPledge(ctx, tx, pledge)
}

// check refuses what is wrong in itself, and returns the hours in millionths.
func (n NewPledge) check() (hours int64, err error) {
	hours, err = n.Hours.Minor(money.MaxScale)
	switch {
	case errors.Is(err, money.ErrRange):
		return 0, ledger.ErrAmountOutOfRange
	case err != nil:
		return 0, &InvalidError{"hours", "invalid", "Hours are greater than zero."}
	case !regionPattern.MatchString(n.Region):
		return 0, &InvalidError{"region", "malformed", "The region is not a name of letters, digits, points, underscores and dashes."}
	case n.DocumentSHA256 != "" && !sha256Pattern.MatchString(n.DocumentSHA256):
		return 0, &InvalidError{"document_sha256", "malformed", "The hash is not 64 lower-case hexadecimal digits."}
	case !n.StartsAt.Before(n.ExpiresAt):
		return 0, &InvalidError{"expires_at", "not_after_start", "The pledge ends before it starts."}
	}
	if err := checkSLA(n.SLAPercent); err != nil {
		return 0, err
	}
	return hours, checkMetadata(n.Metadata)
}

// Pledge returns a pledge as it is now, or ErrPledgeNotFound. With a provider, another's pledge is not found.
func (s *Store) Pledge(ctx context.Context, pledge, provider uuid.UUID) (Pledge, error) {
	return s.pledgeOf(ctx, pledge, provider)
}

func (s *Store) pledgeOf(ctx context.Context, pledge, provider uuid.UUID) (Pledge, error) {
	p, err := selectPledge(ctx, s.db, pledge)
	if err == nil && provider != uuid.Nil && p.ProviderID != provider {
		return Pledge{}, ErrPledgeNotFound
	}
	return p, err
}

// PledgeFilter narrows a list; a zero field does not.
type PledgeFilter struct {
	ProviderID uuid.UUID
	GPUClass   string
	Status     PledgeStatus
	// Before is the id of the last pledge of the page before.
	Before uuid.UUID
	Limit  int
}

// Pledges returns up to Limit pledges, newest first.
func (s *Store) Pledges(ctx context.Context, f PledgeFilter) ([]Pledge, error) {
	return selectPledges(ctx, s.db, f)
}
