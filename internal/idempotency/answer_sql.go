package idempotency

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// Answer is a first answer as it is kept, to be sent again byte for byte.
type Answer struct {
	// Status is the HTTP status that was sent.
	Status int
	// Body is what is to be sent again. A secret that is shown only once is left out of it.
	Body []byte
}

// LookupTx returns the answer kept under digest, or nil when the key is new. It returns ErrReused when the key was
// used for a request with another requestDigest.
func LookupTx(ctx context.Context, tx pgx.Tx, digest, requestDigest [16]byte) (*Answer, error) {
	var kept uuid.UUID
	var a Answer
	err := tx.QueryRow(ctx, `SELECT request_digest, status, body FROM idempotency WHERE digest = $1`, uuid.UUID(digest)).
		Scan(&kept, &a.Status, &a.Body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("idempotency: look up: %w", err)
	case kept != uuid.UUID(requestDigest):
		return nil, ErrReused
	}
	return &a, nil
}

// StoreTx keeps the first answer to k, in the transaction that has the effect. It returns ErrRaced when another
// transaction was first; the transaction is then aborted, and the caller runs it again from its beginning.
func StoreTx(ctx context.Context, tx pgx.Tx, k Key, requestDigest [16]byte, a Answer) error {
	_, err := tx.Exec(ctx, `INSERT INTO idempotency (digest, request_digest, caller, status, body) VALUES ($1, $2, $3, $4, $5)`,
		uuid.UUID(k.Digest()), uuid.UUID(requestDigest), k.Caller, a.Status, a.Body)
	if pg.IsUniqueViolation(err, "idempotency_pkey") {
		return ErrRaced
	}
	if err != nil {
		return fmt.Errorf("idempotency: store: %w", err)
	}
	return nil
}
