package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// SecretColumn is where providers' secrets are sealed.
var SecretColumn = vault.Column{Table: "provider_secrets", Name: "sealed"}

// MaxSecrets is how many secrets of a provider may be active at once.
const MaxSecrets = 5

// MaxOverlap bounds how long an old secret may go on beside a new one.
const MaxOverlap = 30 * 24 * time.Hour

var (
	// ErrSecretNotFound means that there is no such secret, or none of this provider.
	ErrSecretNotFound = errors.New("no such secret")
	// ErrTooManySecrets means that a provider has as many active secrets as it may have.
	ErrTooManySecrets = errors.New("too many secrets are active")
	// ErrLastSecret means that without this secret, nothing could be signed any more, now or once the others have ended.
	ErrLastSecret = errors.New("the only secret that has no end")
)

// Secret is what is known of a secret, which does not include the secret.
type Secret struct {
	ID        uuid.UUID
	CreatedAt time.Time
	// ExpiresAt is zero for the one that has none after it.
	ExpiresAt time.Time
}

// Secrets keeps what the messages between Ballast and providers are signed with.
type Secrets struct {
	pool  *pgxpool.Pool
	vault *vault.Vault
}

// NewSecrets returns the secrets in the database of pool.
func NewSecrets(pool *pgxpool.Pool, v *vault.Vault) *Secrets { return &Secrets{pool: pool, vault: v} }

const (
	// A provider's row is what its secrets are changed under.
	lockProviderSQL = `SELECT FROM providers WHERE id = $1 FOR NO KEY UPDATE`

	activeSQL = `
SELECT id, sealed, created_at, COALESCE(expires_at, 'epoch') FROM provider_secrets
WHERE provider_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ballast_now()) ORDER BY id DESC`

	insertSQL       = `INSERT INTO provider_secrets (id, provider_id, sealed, created_by) VALUES ($1, $2, $3, $4) RETURNING created_at`
	expireOthersSQL = `
UPDATE provider_secrets SET expires_at = ballast_now() + $3::interval
WHERE provider_id = $1 AND id <> $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ballast_now() + $3::interval)`
	revokeSecretSQL = `
UPDATE provider_secrets SET sealed = NULL, revoked_at = ballast_now(), revoked_by = $3
WHERE provider_id = $1 AND id = $2 AND revoked_at IS NULL`
)

type sealedSecret struct {
	Secret
	sealed []byte
}

func (s *Secrets) active(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, provider uuid.UUID,
) ([]sealedSecret, error) {
	rows, err := db.Query(ctx, activeSQL, provider)
	if err != nil {
		return nil, fmt.Errorf("push: secrets: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one sealedSecret, err error) {
		err = row.Scan(&one.ID, &one.sealed, &one.CreatedAt, &one.ExpiresAt)
		one.CreatedAt, one.ExpiresAt = one.CreatedAt.UTC(), one.ExpiresAt.UTC()
		if one.ExpiresAt.Equal(time.Unix(0, 0)) {
			one.ExpiresAt = time.Time{}
		}
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("push: secrets: %w", err)
	}
	return found, nil
}

// List returns what is known of a provider's active secrets, newest first.
func (s *Secrets) List(ctx context.Context, provider uuid.UUID) ([]Secret, error) {
	active, err := s.active(ctx, s.pool, provider)
	if err != nil {
		return nil, err
	}
	list := make([]Secret, len(active))
	for i := range active {
		list[i] = active[i].Secret
	}
	return list, nil
}

// EnsureTx gives a provider its first secret, in the caller's transaction, and returns it; or "" where it has one. Its errors are the vault's and the
// database's.
func (s *Secrets) EnsureTx(ctx context.Context, tx pgx.Tx, provider, by uuid.UUID) (string, error) {
	if err := lockProvider(ctx, tx, provider); err != nil {
		return "", err
	}
	active, err := s.active(ctx, tx, provider)
	if err != nil || len(active) > 0 {
		return "", err
	}
	_, text, err := s.insert(ctx, tx, provider, by)
	return text, err
}

// Ensure does what EnsureTx does, in a transaction of its own.
func (s *Secrets) Ensure(ctx context.Context, provider, by uuid.UUID) (text string, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
		text, err = s.EnsureTx(ctx, tx, provider, by)
		return err
	})
	return text, err
}

// AddTx draws another secret, and lets the others end after the overlap: until then all of them sign, and any verifies. It returns what is known of the
// secret, and its text, this once. Its errors are ErrTooManySecrets, the vault's and the database's. The overlap must be from 0 to MaxOverlap.
func (s *Secrets) AddTx(ctx context.Context, tx pgx.Tx, provider, by uuid.UUID, overlap time.Duration) (Secret, string, error) {
	if err := lockProvider(ctx, tx, provider); err != nil {
		return Secret{}, "", err
	}
	active, err := s.active(ctx, tx, provider)
	switch {
	case err != nil:
		return Secret{}, "", err
	case len(active) >= MaxSecrets && overlap > 0:
		return Secret{}, "", ErrTooManySecrets
	}
	added, text, err := s.insert(ctx, tx, provider, by)
	if err != nil {
		return Secret{}, "", err
	}
	if _, err := tx.Exec(ctx, expireOthersSQL, provider, added.ID, overlap); err != nil {
		return Secret{}, "", fmt.Errorf("push: let secrets end: %w", err)
	}
	return added, text, nil
}

func (s *Secrets) insert(ctx context.Context, tx pgx.Tx, provider, by uuid.UUID) (Secret, string, error) {
	added, text := Secret{ID: id.New()}, webhook.NewSecret()
	sealed, err := s.vault.Seal([]byte(text), SecretColumn.Row(added.ID))
	if err != nil {
		return Secret{}, "", err
	}
	if err := tx.QueryRow(ctx, insertSQL, added.ID, provider, sealed, by).Scan(&added.CreatedAt); err != nil {
		return Secret{}, "", fmt.Errorf("push: keep a secret: %w", err)
	}
	added.CreatedAt = added.CreatedAt.UTC()
	return added, text, nil
}

// Revoke ends a secret at once, and forgets it. To revoke it again changes nothing. Its errors are ErrSecretNotFound, also for another's, and
// ErrLastSecret.
func (s *Secrets) Revoke(ctx context.Context, provider, secret, by uuid.UUID) error {
	return pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := lockProvider(ctx, tx, provider); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM provider_secrets WHERE provider_id = $1 AND id = $2)`, provider, secret).Scan(&there); err != nil {
			return fmt.Errorf("push: find a secret: %w", err)
		}
		if !there {
			return ErrSecretNotFound
		}
		active, err := s.active(ctx, tx, provider)
		switch {
		case err != nil:
			return err
		case isLast(active, secret):
			return ErrLastSecret
		}
		if _, err := tx.Exec(ctx, revokeSecretSQL, provider, secret, by); err != nil {
			return fmt.Errorf("push: revoke a secret: %w", err)
		}
		return nil
	})
}

// isLast tells whether without this secret none would be left, at once or as soon as those have ended that have an end.
func isLast(active []sealedSecret, secret uuid.UUID) bool {
	isIt := func(a sealedSecret) bool { return a.ID == secret }
	return slices.ContainsFunc(active, isIt) && !slices.ContainsFunc(active, func(a sealedSecret) bool { return !isIt(a) && a.ExpiresAt.IsZero() })
}

func lockProvider(ctx context.Context, tx pgx.Tx, provider uuid.UUID) error {
	if _, err := tx.Exec(ctx, lockProviderSQL, provider); err != nil {
		return fmt.Errorf("push: lock a provider: %w", err)
	}
	return nil
}

// signer has a provider's active secrets. It returns webhook.ErrNoSecret where there is none, and the vault's errors.
func (s *Secrets) signer(ctx context.Context, provider uuid.UUID) (*webhook.Signer, error) {
	active, err := s.active(ctx, s.pool, provider)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(active))
	for i, one := range active {
		text, err := s.vault.Open(one.sealed, SecretColumn.Row(one.ID))
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	return webhook.NewSigner(texts...)
}
