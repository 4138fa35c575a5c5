package providers

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

// SigningKey is the Ed25519 key by which a provider signs what it pledges, so that nobody else can pledge in its name: not even the operator.
type SigningKey struct {
	ProviderID uuid.UUID
	// PublicKey is 32 bytes.
	PublicKey ed25519.PublicKey
	CreatedAt time.Time
}

const (
	// A pledge and a change of the key each lock the provider, in ways that exclude each other: so the log tells of the key before it tells of what was
	// signed with it, and of no unsigned pledge after it.
	lockForPledgeSQL = `SELECT 1 FROM providers WHERE id = $1 FOR KEY SHARE`
	lockForKeySQL    = `SELECT 1 FROM providers WHERE id = $1 FOR UPDATE`

	signingKeySQL       = `SELECT provider_id, public_key, created_at FROM provider_keys WHERE provider_id = $1 AND revoked_at IS NULL`
	revokeSigningKeySQL = `UPDATE provider_keys SET revoked_at = greatest(ballast_now(), created_at) WHERE provider_id = $1 AND revoked_at IS NULL`
	addSigningKeySQL    = `INSERT INTO provider_keys (id, provider_id, public_key, created_by) VALUES ($1, $2, $3, $4)`
)

// SigningKey returns the key of a provider, or ErrNoSigningKey.
func (s *Store) SigningKey(ctx context.Context, provider uuid.UUID) (SigningKey, error) {
	return selectSigningKey(ctx, s.db, provider)
}

// SetSigningKey makes a key the one by which a provider signs, in the place of the one before, which is revoked. The log tells of both. To set the key that
// counts already changes nothing. It returns ErrProviderNotFound, ErrSigningKeyRevoked, and an [*InvalidError] for what is no public key.
func (s *Store) SetSigningKey(ctx context.Context, caller, provider uuid.UUID, key ed25519.PublicKey) (k SigningKey, err error) {
	if len(key) != ed25519.PublicKeySize {
		return SigningKey{}, &InvalidError{"public_key", "malformed", "A public key of Ed25519 is 32 bytes."}
	}
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := lockProvider(ctx, tx, lockForKeySQL, provider); err != nil {
			return err
		}
		k, err = selectSigningKey(ctx, tx, provider)
		if err == nil && bytes.Equal(k.PublicKey, key) || err != nil && !errors.Is(err, ErrNoSigningKey) {
			return err
		}
		if _, err := tx.Exec(ctx, revokeSigningKeySQL, provider); err != nil {
			return fmt.Errorf("providers: revoke a signing key: %w", err)
		}
		_, err = tx.Exec(ctx, addSigningKeySQL, id.New(), provider, []byte(key), caller)
		if pg.IsUniqueViolation(err, "provider_keys_once") {
			return ErrSigningKeyRevoked
		}
		if err != nil {
			return fmt.Errorf("providers: add a signing key: %w", err)
		}
		k, err = selectSigningKey(ctx, tx, provider)
		return err
	})
	return k, err
}

// RevokeSigningKey ends the key of a provider for good; from then on its pledges carry no signature. Where there is none, nothing changes. It returns
// ErrProviderNotFound.
func (s *Store) RevokeSigningKey(ctx context.Context, provider uuid.UUID) error {
	return pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := lockProvider(ctx, tx, lockForKeySQL, provider); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, revokeSigningKeySQL, provider)
		return err
	})
}

// checkSignature compares the signature of a pledge with the key of its provider, and notes which one it is.
func checkSignature(ctx context.Context, tx pgx.Tx, p *planned) error {
	if err := lockProvider(ctx, tx, lockForPledgeSQL, p.ProviderID); err != nil {
		return err
	}
	key, err := selectSigningKey(ctx, tx, p.ProviderID)
	switch {
	case errors.Is(err, ErrNoSigningKey) && p.Signature == nil:
		return nil
	case errors.Is(err, ErrNoSigningKey):
		return ErrSignatureInvalid
	case err != nil:
		return err
	case p.Signature == nil:
		return ErrSignatureRequired
	}
	statement, err := p.statement()
	if err != nil {
		return err
	}
	if !ed25519.Verify(key.PublicKey, statement, p.Signature) {
		return ErrSignatureInvalid
	}
	p.signedWith = key.PublicKey
	return nil
}

func lockProvider(ctx context.Context, tx pgx.Tx, sql string, provider uuid.UUID) error {
	tag, err := tx.Exec(ctx, sql, provider)
	if err != nil {
		return fmt.Errorf("providers: lock the provider: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrProviderNotFound
	}
	return nil
}

func selectSigningKey(ctx context.Context, db ledger.Querier, provider uuid.UUID) (k SigningKey, err error) {
	var key []byte
	err = db.QueryRow(ctx, signingKeySQL, provider).Scan(&k.ProviderID, &key, &k.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return SigningKey{}, ErrNoSigningKey
	}
	if err != nil {
		return SigningKey{}, fmt.Errorf("providers: signing key: %w", err)
	}
	k.PublicKey, k.CreatedAt = key, k.CreatedAt.UTC()
	return k, nil
}
