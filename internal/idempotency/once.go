package idempotency

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// maxAttempts bounds how often Once starts over. One repetition suffices unless answers vanish from the table.
const maxAttempts = 5

// Once runs effect and keeps the answer that it returns, in one transaction of db, unless k has an answer already:
// then that is returned, and replayed is true. It returns ErrReused when k was used for another request, and
// whatever effect returns when that fails, in which case nothing is kept and the key may be tried again.
//
// When two calls race, or the outcome of a COMMIT is unknown, Once looks again, so that every caller learns what
// happened. effect may therefore run several times, and must do nothing outside tx.
func Once(ctx context.Context, db pg.Beginner, k Key, requestDigest [16]byte, effect func(tx pgx.Tx) (Answer, error)) (answer Answer, replayed bool, err error) {
	for range maxAttempts {
		answer, replayed, err = once(ctx, db, k, requestDigest, effect)
		if !errors.Is(err, ErrRaced) && !pg.IsAmbiguous(err) {
			break
		}
	}
	return answer, replayed, err
}

func once(ctx context.Context, db pg.Beginner, k Key, requestDigest [16]byte, effect func(tx pgx.Tx) (Answer, error)) (answer Answer, replayed bool, err error) {
	err = pg.InTx(ctx, db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		kept, err := LookupTx(ctx, tx, k.Digest(), requestDigest)
		if err != nil {
			return err
		}
		if replayed = kept != nil; replayed {
			answer = *kept
			return nil
		}
		if answer, err = effect(tx); err != nil {
			return err
		}
		return StoreTx(ctx, tx, k, requestDigest, answer)
	})
	if err != nil {
		return Answer{}, false, err
	}
	return answer, replayed, nil
}
