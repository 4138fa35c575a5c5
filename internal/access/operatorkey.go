package access

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// EnsureOperatorKey makes secret, a string of 32 to 255 characters of A-Z, a-z, 0-9 and '_', a working operator key, and
// returns it. It may be called at every start and by several processes at once. It returns an [*InvalidError] for a
// string that cannot be a key, and ErrConflict when the key has been revoked, rotated or has expired: what was
// ended on purpose does not come back by a restart.
func (s *Store) EnsureOperatorKey(ctx context.Context, secret string) (key Key, err error) {
	if !wellFormed(secret) {
		return Key{}, &InvalidError{"BALLAST_OPERATOR_KEY", "malformed", "An operator key is 32 to 255 characters of A-Z, a-z, 0-9 and _."}
	}
	hash := hashOf(secret)
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if err := insertOperatorKey(ctx, tx, secret, hash); err != nil {
			return err
		}
		key, err = oneKey(ctx, tx, `SELECT `+keyColumns+` FROM api_keys WHERE prefix = $1 AND hash = $2 ORDER BY id LIMIT 1`, secret[:PrefixLen], hash[:])
		return err
	})
	if err == nil && (key.Role != RoleOperator || key.Status(s.now()) != KeyActive) {
		err = ErrConflict
	}
	return key, err
}

// insertOperatorKey does nothing when the key exists, whichever way it came to be.
func insertOperatorKey(ctx context.Context, tx pgx.Tx, secret string, hash [sha256.Size]byte) error {
	_, err := tx.Exec(ctx, `INSERT INTO api_keys (id, principal_id, role, name, prefix, hash)
		SELECT $1, $1, 'operator', 'operator', $2, $3
		WHERE NOT EXISTS (SELECT FROM api_keys WHERE prefix = $2 AND hash = $3)
		ON CONFLICT DO NOTHING`, operatorKeyID(hash), secret[:PrefixLen], hash[:])
	if err != nil {
		return fmt.Errorf("access: make the operator key: %w", err)
	}
	return nil
}

// operatorKeyID follows from the key alone, so that two processes that start together make one row and not two. It
// has the form of a UUIDv7 of the year 1970, and so comes last in lists, where it disturbs no page.
func operatorKeyID(hash [sha256.Size]byte) uuid.UUID {
	sum := sha256.Sum256(append([]byte("ballast operator key id v1"), hash[:]...))
	var u uuid.UUID
	copy(u[6:], sum[:10])
	u[6] = 0x70 | u[6]&0x0f
	u[8] = 0x80 | u[8]&0x3f
	return u
}
