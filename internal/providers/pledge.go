package providers

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
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
	// StartsAt and ExpiresAt are when the hours can be delivered, and Windows how many of them when. Lists leave Windows out.
	StartsAt, ExpiresAt time.Time
	Windows             []Window
	// SLAPercent is the availability that the provider promises, if it said.
	SLAPercent decimal.NullDecimal
	// DocumentSHA256 is of the signed document behind the pledge, in hexadecimal, or empty.
	DocumentSHA256 string
	Terms
	// MaxDailyHours is how many hours redemptions may take in a day of UTC; 0 for as many as there are.
	MaxDailyHours int64
	// Haircut is the share of the hours that can back no token; null until the pledge is verified.
	Haircut      decimal.NullDecimal
	RejectReason string
	// Signature is the provider's over the pledge's statement, and SignedWith the key that made it; nil where it had none.
	Signature, SignedWith []byte
	Metadata              map[string]string
	// CreatedBy and VerifiedBy are principals, and never the same. VerifiedBy and VerifiedAt are zero until it is verified.
	CreatedBy, VerifiedBy uuid.UUID
	VerifiedAt, CreatedAt time.Time
	Balances              Balances
	Shortfall             Shortfall
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

// held is what is neither delivered nor lapsed nor taken back: what the provider still has to keep ready.
func (b Balances) held() int64 { return b.Available + b.Backing + b.Earmarked }

// Shortfall is the part of a defaulted pledge's expired hours that was behind tokens when it lapsed.
type Shortfall struct {
	// Hours is in millionths.
	Hours int64
	// SCH is what they were to back, at the k of the time, in millionths: more, perhaps, than an account can hold.
	SCH decimal.Decimal
}

// Accounts are where the books keep a pledge's hours, and the account from which its provider's tokens are issued.
type Accounts struct {
	Commitment, Available, Backing, Earmarked, Delivered, Expired, Released uuid.UUID
	Issuance                                                                uuid.UUID
}

// Pledge returns a pledge as it is now, with its windows, or ErrPledgeNotFound. With a provider, another's pledge is not found.
func (s *Store) Pledge(ctx context.Context, pledge, provider uuid.UUID) (Pledge, error) {
	p, err := s.pledgeOf(ctx, pledge, provider)
	if err != nil {
		return Pledge{}, err
	}
	p.Windows, err = selectWindows(ctx, s.db, pledge)
	return p, err
}

// pledgeOf is Pledge without the windows.
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

// Pledges returns up to Limit pledges, newest first, without their windows.
func (s *Store) Pledges(ctx context.Context, f PledgeFilter) ([]Pledge, error) {
	return selectPledges(ctx, s.db, f)
}
