package providers

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// Provider is a cloud that pledges GPU-hours and issues credits.
type Provider struct {
	ID        uuid.UUID
	Name      string
	Metadata  map[string]string
	Status    ProviderStatus
	Tier      coverage.Tier
	CreatedAt time.Time
}

// NewProvider says which provider to add.
type NewProvider struct {
	// Name is 1 to 200 characters.
	Name string
	// Metadata is up to 50 entries and 4 KiB in all.
	Metadata map[string]string
	// Tier is the standard one unless Caller, an operator, says another.
	Tier   coverage.Tier
	Caller uuid.UUID
}

// CreateProvider adds a provider in a transaction of its own; see CreateProviderTx.
func (s *Store) CreateProvider(ctx context.Context, n NewProvider) (p Provider, err error) {
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		p, err = s.CreateProviderTx(ctx, tx, n)
		return err
	})
	return p, err
}

// CreateProviderTx adds a provider, and the account from which its tokens are issued. It returns an [*InvalidError] for one that
// may not be.
func (s *Store) CreateProviderTx(ctx context.Context, tx pgx.Tx, n NewProvider) (Provider, error) {
	if err := checkText("name", n.Name, maxNameRunes); err != nil {
		return Provider{}, err
	}
	if err := checkMetadata(n.Metadata); err != nil {
		return Provider{}, err
	}
	p, err := insertProvider(ctx, tx, id.New(), n)
	if err != nil {
		return Provider{}, err
	}
	if _, err = ledger.OpenTx(ctx, tx, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: p.ID}); err != nil {
		return Provider{}, err
	}
	if n.Tier != "" && n.Tier != p.Tier {
		p.Tier = n.Tier
		err = coverage.SetTierTx(ctx, tx, coverage.TierChange{Caller: n.Caller, ProviderID: p.ID, Tier: n.Tier})
	}
	return p, err
}

// SetTier sets a provider's tier and returns the provider. Setting the one that it has changes nothing. It returns ErrProviderNotFound.
func (s *Store) SetTier(ctx context.Context, c coverage.TierChange) (p Provider, err error) {
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if p, err = selectProvider(ctx, tx, c.ProviderID); err != nil || p.Tier == c.Tier {
			return err
		}
		p.Tier = c.Tier
		return coverage.SetTierTx(ctx, tx, c)
	})
	return p, err
}

// Provider returns a provider, or ErrProviderNotFound.
func (s *Store) Provider(ctx context.Context, provider uuid.UUID) (Provider, error) {
	return selectProvider(ctx, s.db, provider)
}

// Providers returns up to limit providers, newest first, that are older than the one named by before; uuid.Nil starts at the
// newest.
func (s *Store) Providers(ctx context.Context, before uuid.UUID, limit int) ([]Provider, error) {
	return selectProviders(ctx, s.db, before, limit)
}
