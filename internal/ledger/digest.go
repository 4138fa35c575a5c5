package ledger

import (
	"context"

	"github.com/google/uuid"
)

// HasDigest tells whether the journal has a transaction under an idempotency digest. What is made outside of the journal asks it
// first, so that one key is not used for both.
func HasDigest(ctx context.Context, db Querier, digest uuid.UUID) (has bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM transactions WHERE idempotency_digest = $1)`, digest).Scan(&has)
	return has, err
}
