package voucher

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// VoidRequest asks for vouchers not to be handed out: those with these codes, or all of a batch that are unused.
type VoidRequest struct {
	// Caller is the principal who asks.
	Caller     uuid.UUID
	ProviderID uuid.UUID
	// BatchID is set, or Codes are.
	BatchID uuid.UUID
	Codes   []string
}

const (
	// The lock of the issuance account is that under which codes are handed out.
	lockIssuanceSQL = `SELECT FROM accounts WHERE provider_id = $1 AND kind = 'issuance' AND asset = 'SCH' FOR NO KEY UPDATE`

	hasBatchSQL = `SELECT EXISTS (SELECT FROM voucher_batches WHERE id = $1 AND provider_id = $2)`

	voidBatchSQL = `
UPDATE vouchers SET voided_at = ballast_now(), voided_by = $2 WHERE batch_id = $1 AND redemption_id IS NULL AND voided_at IS NULL`

	countVoidedSQL = `SELECT count(*) FROM vouchers WHERE batch_id = $1 AND voided_at IS NOT NULL`

	selectByCodeSQL = `SELECT code_digest, redemption_id IS NOT NULL FROM vouchers WHERE provider_id = $1 AND code_digest = ANY ($2)`

	voidCodesSQL = `
UPDATE vouchers SET voided_at = ballast_now(), voided_by = $3
WHERE provider_id = $1 AND code_digest = ANY ($2) AND redemption_id IS NULL AND voided_at IS NULL`
)

// Void keeps vouchers from being handed out, for good, and returns how many of those that were meant are void now, be it by an earlier call. Of a
// batch, those that were used stay so. Codes are voided all or none: a [*LinesError] names those that were never loaded or that were used.
// It also returns ErrBatchNotFound; an [*InvalidError] where neither or both is asked for, or too many; vault.ErrNotConfigured; or an error of the
// database.
func (s *Store) Void(ctx context.Context, v VoidRequest) (voided int, err error) {
	if (v.BatchID == uuid.Nil) == (len(v.Codes) == 0) {
		return 0, &InvalidError{Field: "codes", Code: "ambiguous", Detail: "Name a batch or codes, and not both."}
	}
	if len(v.Codes) > MaxVouchers {
		return 0, &InvalidError{Field: "codes", Code: "out_of_range", Detail: "Up to 10,000 codes are voided at once."}
	}
	digests, err := s.digests(ctx, v.Codes)
	if err != nil {
		return 0, err
	}
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockIssuanceSQL, v.ProviderID); err != nil {
			return fmt.Errorf("voucher: void: %w", err)
		}
		if v.BatchID != uuid.Nil {
			voided, err = v.batch(ctx, tx)
		} else {
			voided, err = v.codes(ctx, tx, digests)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return voided, nil
}

func (s *Store) digests(ctx context.Context, codes []string) ([][]byte, error) {
	digests := make([][]byte, len(codes))
	for i, code := range codes {
		var err error
		if digests[i], err = s.vault.Digest(ctx, purposeCode, []byte(code)); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

func (v *VoidRequest) batch(ctx context.Context, tx pgx.Tx) (voided int, err error) {
	var there bool
	if err := tx.QueryRow(ctx, hasBatchSQL, v.BatchID, v.ProviderID).Scan(&there); err != nil {
		return 0, fmt.Errorf("voucher: void: %w", err)
	}
	if !there {
		return 0, ErrBatchNotFound
	}
	if _, err := tx.Exec(ctx, voidBatchSQL, v.BatchID, v.Caller); err != nil {
		return 0, fmt.Errorf("voucher: void: %w", err)
	}
	if err := tx.QueryRow(ctx, countVoidedSQL, v.BatchID).Scan(&voided); err != nil {
		return 0, fmt.Errorf("voucher: void: %w", err)
	}
	return voided, nil
}

func (v *VoidRequest) codes(ctx context.Context, tx pgx.Tx, digests [][]byte) (voided int, err error) {
	rows, err := tx.Query(ctx, selectByCodeSQL, v.ProviderID, digests)
	if err != nil {
		return 0, fmt.Errorf("voucher: void: %w", err)
	}
	usedBy := map[string]bool{}
	var digest []byte
	var used bool
	if _, err := pgx.ForEachRow(rows, []any{&digest, &used}, func() error {
		usedBy[string(digest)] = used
		return nil
	}); err != nil {
		return 0, fmt.Errorf("voucher: void: %w", err)
	}
	var e LinesError
	for i, digest := range digests {
		switch used, there := usedBy[string(digest)]; {
		case !there:
			e.add(i+1, "code", "unknown", "No such code was loaded.")
		case used:
			e.add(i+1, "code", "used", "The code was handed to a redemption.")
		}
	}
	if err := e.orNil(); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, voidCodesSQL, v.ProviderID, digests, v.Caller); err != nil {
		return 0, fmt.Errorf("voucher: void: %w", err)
	}
	return len(usedBy), nil
}
