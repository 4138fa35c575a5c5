package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// forwardWindow is how many places of the journal one call looks at for somebody whose accounts are too many to be asked one by one.
	forwardWindow = 5000
	// fewAccounts is how many accounts are asked one by one.
	fewAccounts = 32
)

// Stretch is a part of the journal, in its own order. Let UpTo not be beyond a Horizon: what is read is then all that there will ever be.
type Stretch struct {
	// After and UpTo bound the seq: greater than the first, up to the second.
	After, UpTo int64
	// Owner keeps the transactions that move something of a holder, or of a provider and its pledges; nil keeps all.
	Owner uuid.UUID
	// Kinds are what is wanted.
	Kinds []Kind
	// Limit is how many at most.
	Limit int
	// Bare leaves out the postings.
	Bare bool
}

// Forward returns transactions with their postings, unless they are to be bare, oldest first, and the seq up to which there are no others: the last one's where there
// are as many as the limit, and otherwise as far as it looked, which may be less far than was asked. What it costs does not grow with
// the journal.
func (l *Ledger) Forward(ctx context.Context, s Stretch) (found []*Transaction, upTo int64, err error) {
	if len(s.Kinds) == 0 || s.After >= s.UpTo {
		return nil, s.UpTo, nil
	}
	accounts, err := l.fewAccountsOf(ctx, s)
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: forward: %w", err)
	}
	var seqs []int64
	if accounts != nil {
		seqs, upTo, err = l.seek(ctx, s, accounts)
	} else {
		seqs, upTo, err = l.scan(ctx, s)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: forward: %w", err)
	}
	if len(seqs) == 0 {
		return nil, upTo, nil
	}
	if found, err = l.read(ctx, seqs, s.Bare); err != nil {
		return nil, 0, fmt.Errorf("ledger: forward: %w", err)
	}
	slices.Reverse(found)
	return found, upTo, nil
}

// fewAccountsOf returns nil where it is better to look at the journal itself: near its end, for all owners, and for one of many accounts.
func (l *Ledger) fewAccountsOf(ctx context.Context, s Stretch) ([]uuid.UUID, error) {
	if s.Owner == uuid.Nil || s.UpTo-s.After <= forwardWindow/10 {
		return nil, nil
	}
	rows, err := l.pool.Query(ctx, `SELECT id FROM accounts WHERE holder_id = $1 OR provider_id = $1 LIMIT $2`, s.Owner, fewAccounts+1)
	if err != nil {
		return nil, err
	}
	accounts, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil || len(accounts) > fewAccounts {
		return nil, err
	}
	return append([]uuid.UUID{}, accounts...), nil
}

// scan looks at one window of the journal.
func (l *Ledger) scan(ctx context.Context, s Stretch) (seqs []int64, upTo int64, err error) {
	upTo = min(s.UpTo, s.After+forwardWindow)
	query, args := scanForwardSQL, []any{s.After, upTo, s.Kinds, s.Limit}
	if s.Owner != uuid.Nil {
		query, args = scanOwnersForwardSQL, append(args, s.Owner)
	}
	err = l.byIndex(ctx, func(rows pgx.Rows) (err error) {
		seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	}, query, args...)
	if err != nil {
		return nil, 0, err
	}
	if len(seqs) == s.Limit {
		upTo = seqs[len(seqs)-1]
	}
	return seqs, upTo, nil
}

// seek takes the next entries of each account, whatever lies between. Where an account has more of them than were taken, what is known
// ends with the last that was.
func (l *Ledger) seek(ctx context.Context, s Stretch, accounts []uuid.UUID) (seqs []int64, upTo int64, err error) {
	upTo = s.UpTo
	var seq int64
	var wanted, last bool
	err = l.byIndex(ctx, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&seq, &wanted, &last}, func() error {
			if wanted {
				seqs = append(seqs, seq)
			}
			if last {
				upTo = min(upTo, seq)
			}
			return nil
		})
		return err
	}, seekForwardSQL, accounts, s.After, s.UpTo, s.Kinds, s.Limit)
	if err != nil {
		return nil, 0, err
	}
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	beyond, _ := slices.BinarySearch(seqs, upTo+1)
	if seqs = seqs[:beyond]; len(seqs) >= s.Limit {
		seqs = seqs[:s.Limit]
		upTo = seqs[s.Limit-1]
	}
	return seqs, upTo, nil
}

// At returns those transactions of these seqs that there are.
func (l *Ledger) At(ctx context.Context, seqs []int64) ([]*Transaction, error) {
	return l.read(ctx, seqs, false)
}

// OwnedOf returns those of the accounts that belong to a holder, or to a provider and its pledges.
func (l *Ledger) OwnedOf(ctx context.Context, owner uuid.UUID, accounts []uuid.UUID) (map[uuid.UUID]struct{}, error) {
	rows, err := l.pool.Query(ctx, ownedSQL, accounts, owner)
	if err != nil {
		return nil, fmt.Errorf("ledger: whose accounts: %w", err)
	}
	owned := make(map[uuid.UUID]struct{}, len(accounts))
	var account uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&account}, func() error {
		owned[account] = struct{}{}
		return nil
	})
	return owned, err
}

const (
	scanForwardSQL = `
SELECT seq FROM transactions WHERE seq > $1 AND seq <= $2 AND kind = ANY($3) ORDER BY seq LIMIT $4`

	// Seqs come in their order, and looking whose they are ends with the page: sorted afterwards, whose they are would be looked up for all of the
	// window. The OFFSET of EXISTS keeps it from being joined, for which the planner may read all postings there are.
	scanOwnersForwardSQL = `
SELECT t.seq FROM (SELECT seq FROM transactions WHERE seq > $1 AND seq <= $2 AND kind = ANY($3) ORDER BY seq OFFSET 0) AS t
WHERE EXISTS (
    SELECT FROM postings p
    CROSS JOIN LATERAL (SELECT holder_id, provider_id FROM accounts WHERE accounts.id = p.from_account
                        UNION ALL SELECT holder_id, provider_id FROM accounts WHERE accounts.id = p.to_account OFFSET 0) AS party
    WHERE p.seq = t.seq AND (party.holder_id = $5 OR party.provider_id = $5) OFFSET 0)
ORDER BY t.seq LIMIT $4`

	// An account that has nothing new costs one look at its last entry; of the others, the place to begin is found by halving. Versions have
	// no gaps, so that $5 of them are $5 entries at most.
	seekForwardSQL = `
SELECT e.seq, t.kind = ANY($4) AS wanted, e.version = place.version + $5 AND e.version < head.version AS last
FROM unnest($1::uuid[]) AS party (account)
CROSS JOIN LATERAL (SELECT version FROM accounts WHERE accounts.id = party.account OFFSET 0) AS head
CROSS JOIN LATERAL (
    SELECT CASE WHEN COALESCE((SELECT x.seq FROM account_entry(party.account, head.version) AS x), 0) <= $2 THEN head.version
                ELSE account_version_before(party.account, $2::bigint + 1) END AS version OFFSET 0) AS place
CROSS JOIN LATERAL (
    (SELECT p.seq, p.from_version AS version FROM postings p
     WHERE p.from_account = party.account AND p.from_version > place.version AND p.from_version <= place.version + $5)
    UNION ALL
    (SELECT p.seq, p.to_version FROM postings p
     WHERE p.to_account = party.account AND p.to_version > place.version AND p.to_version <= place.version + $5)
) AS e
CROSS JOIN LATERAL (SELECT kind FROM transactions WHERE transactions.seq = e.seq OFFSET 0) AS t
WHERE e.seq <= $3`

	ownedSQL = `
SELECT a.id FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT id, holder_id, provider_id FROM accounts WHERE accounts.id = wanted.id OFFSET 0) AS a
WHERE a.holder_id = $2 OR a.provider_id = $2`
)
