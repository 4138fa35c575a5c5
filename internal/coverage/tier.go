package coverage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/pg"
)

// TierChange asks for a provider to be of another tier.
type TierChange struct {
	// Caller is the operator who says so.
	Caller     uuid.UUID
	ProviderID uuid.UUID
	Tier       Tier
}

// SetTier sets a provider's tier in a transaction of its own; see SetTierTx.
func (s *Store) SetTier(ctx context.Context, c TierChange) error {
	return pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error { return SetTierTx(ctx, tx, c) })
}

// SetTierTx sets a provider's tier, on which depends what its hours count for, and keeps who did so and when. Mints under way are decided
// before it, all others after. It returns ErrProviderNotFound, or an [*InvalidError] for a tier that there is not.
func SetTierTx(ctx context.Context, tx pgx.Tx, c TierChange) error {
	if !c.Tier.Valid() {
		return &InvalidError{"tier", "unknown", "The tier is prime, standard or basic."}
	}
	now, err := lockIssuance(ctx, tx, c.ProviderID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO provider_tiers (provider_id, tier, set_by, at) VALUES ($1, $2, $3, $4)`, c.ProviderID, c.Tier, c.Caller, now)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.ConstraintName == "provider_tiers_provider_id_fkey" {
		return ErrProviderNotFound
	}
	if err != nil {
		return fmt.Errorf("coverage: tier: %w", err)
	}
	return nil
}

// TierAt is a provider's tier since a time.
type TierAt struct {
	Tier  Tier
	SetBy uuid.UUID
	At    time.Time
}

// Tiers returns what tiers a provider was set to, newest first. A provider is of the standard tier before the first.
func Tiers(ctx context.Context, tx Reader, provider uuid.UUID) ([]TierAt, error) {
	rows, err := tx.Query(ctx, `SELECT tier, set_by, at FROM provider_tiers WHERE provider_id = $1 ORDER BY n DESC`, provider)
	if err != nil {
		return nil, fmt.Errorf("coverage: tiers: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TierAt])
}
