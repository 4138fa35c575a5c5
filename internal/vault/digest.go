package vault

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
)

// digestColumn has the one key of digests, under an id that never changes.
var (
	digestColumn = Column{Table: "vault_digest_keys", Name: "sealed"}
	digestKeyID  = uuid.MustParse("00000000-0000-7000-8000-000000000001")
)

// Two processes that need the key for the first time agree on that of the first.
const (
	selectDigestKeySQL = `SELECT sealed FROM vault_digest_keys WHERE id = $1`
	insertDigestKeySQL = `INSERT INTO vault_digest_keys (id, sealed) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`
)

// Digest returns 32 bytes that are the same for the same text and purpose, in every process and after every rotation, and tell nothing
// of the text to whoever lacks the keys: HMAC-SHA256 under a key that is itself sealed in the database, and drawn when first needed.
// Its errors are those of Open, and the database's.
func (v *Vault) Digest(ctx context.Context, purpose string, text []byte) ([]byte, error) {
	key, err := v.digestKey(ctx)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%d:%s:", len(purpose), purpose) // A hash takes everything.
	_, _ = mac.Write(text)
	return mac.Sum(nil), nil
}

func (v *Vault) digestKey(ctx context.Context) ([]byte, error) {
	if known := v.digest.Load(); known != nil {
		return *known, nil
	}
	if !v.Configured() {
		return nil, ErrNotConfigured
	}
	if err := v.drawDigestKey(ctx); err != nil {
		return nil, err
	}
	var sealed []byte
	if err := v.pool.QueryRow(ctx, selectDigestKeySQL, digestKeyID).Scan(&sealed); err != nil {
		return nil, fmt.Errorf("vault: read the key of digests: %w", err)
	}
	key, err := v.Open(sealed, digestColumn.Row(digestKeyID))
	if err != nil {
		return nil, err
	}
	v.digest.Store(&key)
	return key, nil
}

// drawDigestKey does nothing where there is one.
func (v *Vault) drawDigestKey(ctx context.Context) error {
	var key [sha256.Size]byte
	_, _ = rand.Read(key[:]) // Never fails.
	sealed, err := v.Seal(key[:], digestColumn.Row(digestKeyID))
	if err != nil {
		return err
	}
	if _, err := v.pool.Exec(ctx, insertDigestKeySQL, digestKeyID, sealed); err != nil {
		return fmt.Errorf("vault: keep a key of digests: %w", err)
	}
	return nil
}
