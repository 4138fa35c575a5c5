package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Both look an account's versions up by halves: seq and created_at never go back from one version to the next.
const (
	pastBySeqSQL = `
SELECT COALESCE(e.balance, 0), v.version
FROM (SELECT account_version_before($1, $2::bigint + 1) AS version OFFSET 0) AS v
LEFT JOIN LATERAL account_entry($1, v.version) AS e ON true`

	pastByTimeSQL = `
SELECT COALESCE(e.balance, 0), v.version
FROM (SELECT account_version_at($1, $2::timestamptz) AS version OFFSET 0) AS v
LEFT JOIN LATERAL account_entry($1, v.version) AS e ON true`
)

// AccountAt returns an account with the balance and the version that it had at a time. An account that was not opened then
// is ErrAccountNotFound. Held is of now, since it belongs to another account.
func (l *Ledger) AccountAt(ctx context.Context, account uuid.UUID, at time.Time) (*Account, error) {
	a, err := l.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	if a.CreatedAt.After(at) {
		return nil, ErrAccountNotFound
	}
	err = l.pool.QueryRow(ctx, pastByTimeSQL, account, at).Scan(&a.Balance, &a.Version)
	return a, err
}

// AccountAtSeq returns an account with the balance and the version that it had once the journal had reached a seq. It returns
// ErrSeqNotReached for one that the journal has yet to reach, since what was true then is not known.
func (l *Ledger) AccountAtSeq(ctx context.Context, account uuid.UUID, seq int64) (*Account, error) {
	a, err := l.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	var last int64
	if err := l.pool.QueryRow(ctx, `SELECT COALESCE(max(seq), 0) FROM transactions`).Scan(&last); err != nil {
		return nil, err
	}
	if seq > last {
		return nil, ErrSeqNotReached
	}
	err = l.pool.QueryRow(ctx, pastBySeqSQL, account, seq).Scan(&a.Balance, &a.Version)
	return a, err
}
