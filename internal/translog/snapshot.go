package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// ErrNothingPublished means that the log has no entry yet, so that there is nothing to speak of.
var ErrNothingPublished = errors.New("translog: nothing is published yet")

const (
	unpublishedSQL = `SELECT seq, bundle FROM log_entries WHERE seq > $1 ORDER BY seq`

	changesSQL = `
SELECT account, sum(debit)::bigint, sum(credit)::bigint, count(*) FROM (
    SELECT from_account AS account, amount AS debit, 0 AS credit FROM postings WHERE seq = ANY($1)
    UNION ALL SELECT to_account, 0, amount FROM postings WHERE seq = ANY($1)
) AS side GROUP BY account`

	privateAccountsSQL = `
SELECT a.id, a.kind, a.status, a.asset, a.balance, a.version FROM accounts a
WHERE a.kind IN ('holder', 'hold', 'escrow') AND a.asset = $1 ORDER BY a.id`

	viewedAccountsSQL = `
SELECT a.id, a.kind, a.status, a.asset, a.balance, a.version, k.key FROM accounts a JOIN account_keys k ON k.account_id = a.id
WHERE a.kind IN ('holder', 'hold', 'escrow') ORDER BY a.id`
)

// rewoundAtOnce bounds how many transactions are looked up at a time.
const rewoundAtOnce = 4096

// snapshot is the books as they were when the log had its first size entries: those of one moment of the database, less the transactions
// whose entries come later. Its boundary is the last row that was noted as published. All rows up to that one are in the log, and none after it
// is; but since groups of several processes draw their seqs in turns, what is in a row, and not a seq, says which transactions these are.
//
// It keeps a database transaction open until it is closed. What it holds in memory grows with what waits to be published, and with nothing else.
type snapshot struct {
	tx      pgx.Tx
	size    int64
	changes map[uuid.UUID]change
}

// change is what transactions beyond a snapshot's boundary did to one account.
type change struct{ debits, credits, postings int64 }

// takeSnapshot begins a snapshot of the books at the size of the log that is published. It returns ErrNothingPublished before there is one, and
// ErrStoreBehind where the store has not published as much as the database believes.
func takeSnapshot(ctx context.Context, pool *pgxpool.Pool, published Tree) (*snapshot, error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("translog: snapshot: %w", err)
	}
	s := &snapshot{tx: tx, changes: make(map[uuid.UUID]change)}
	if err := s.find(ctx, published); err != nil {
		s.close(ctx)
		return nil, err
	}
	return s, nil
}

// close ends the database transaction, as often as it is called.
func (s *snapshot) close(ctx context.Context) {
	s.tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck,gosec // nothing was written
}

func (s *snapshot) find(ctx context.Context, published Tree) error {
	// Reading all accounts may take longer than a request may: the caller's context bounds it.
	if _, err := s.tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
		return fmt.Errorf("translog: snapshot: %w", err)
	}
	var boundary position
	err := s.tx.QueryRow(ctx, lastPositionSQL).Scan(&boundary.seq, &boundary.size)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNothingPublished
	case err != nil:
		return fmt.Errorf("translog: snapshot: %w", err)
	case boundary.size > published.N:
		return fmt.Errorf("%w: it has %d entries, and the database %d", ErrStoreBehind, published.N, boundary.size)
	}
	s.size = boundary.size
	seqs, err := s.unpublished(ctx, boundary.seq)
	if err != nil {
		return err
	}
	for len(seqs) > 0 {
		n := min(len(seqs), rewoundAtOnce)
		if err := s.rewind(ctx, seqs[:n]); err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return nil
}

// unpublished returns the seqs of the transactions whose entries are in rows after the boundary.
func (s *snapshot) unpublished(ctx context.Context, boundary int64) ([]int64, error) {
	rows, err := s.tx.Query(ctx, unpublishedSQL, boundary)
	if err != nil {
		return nil, fmt.Errorf("translog: snapshot: %w", err)
	}
	var seqs []int64
	var key int64
	var bundle []byte
	_, err = pgx.ForEachRow(rows, []any{&key, &bundle}, func() error {
		for entry, err := range leaf.Entries(bundle) {
			if err != nil {
				return fmt.Errorf("row %d: %w", key, err)
			}
			seq, ok, err := seqOf(entry)
			if err != nil {
				return fmt.Errorf("row %d: %w", key, err)
			}
			if ok {
				seqs = append(seqs, seq)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("translog: snapshot: %w", err)
	}
	return seqs, nil
}

var (
	transactionEnd = []byte(`"type":"transaction","v":"1"}`)
	seqMember      = []byte(`,"seq":"`)
)

// seqOf returns the seq of an entry of a transaction; other entries have none. It relies on the form in which [leaf.Transaction] writes: quotes
// within a text are escaped there, so that no text can look like a member.
func seqOf(entry []byte) (seq int64, ok bool, err error) {
	if !bytes.HasSuffix(entry, transactionEnd) {
		return 0, false, nil
	}
	at := bytes.LastIndex(entry, seqMember)
	if at < 0 {
		return 0, false, leaf.ErrBundle
	}
	digits, _, _ := bytes.Cut(entry[at+len(seqMember):], []byte(`"`))
	seq, err = strconv.ParseInt(string(digits), 10, 64)
	return seq, true, err
}

// rewind adds up what some transactions did.
func (s *snapshot) rewind(ctx context.Context, seqs []int64) error {
	rows, err := s.tx.Query(ctx, changesSQL, seqs)
	if err != nil {
		return fmt.Errorf("translog: snapshot: %w", err)
	}
	var account uuid.UUID
	var more change
	_, err = pgx.ForEachRow(rows, []any{&account, &more.debits, &more.credits, &more.postings}, func() error {
		c := s.changes[account]
		s.changes[account] = change{c.debits + more.debits, c.credits + more.credits, c.postings + more.postings}
		return nil
	})
	if err != nil {
		return fmt.Errorf("translog: snapshot: %w", err)
	}
	return nil
}

// private is an account of a holder, a hold or an escrow, as it was.
type private struct {
	id               uuid.UUID
	kind             ledger.AccountKind
	status           ledger.AccountStatus
	asset            string
	balance, version int64
	key              []byte
}

// accounts calls see with every private account of an asset in the order of ids, which is that of their names too.
func (s *snapshot) accounts(ctx context.Context, asset string, see func(p *private) error) error {
	rows, err := s.tx.Query(ctx, privateAccountsSQL, asset)
	var p private
	return s.each(rows, err, &p, []any{&p.id, &p.kind, &p.status, &p.asset, &p.balance, &p.version}, see)
}

// keyed is accounts for those of every asset that have a key, with it.
func (s *snapshot) keyed(ctx context.Context, see func(p *private) error) error {
	rows, err := s.tx.Query(ctx, viewedAccountsSQL)
	var p private
	return s.each(rows, err, &p, []any{&p.id, &p.kind, &p.status, &p.asset, &p.balance, &p.version, &p.key}, see)
}

func (s *snapshot) each(rows pgx.Rows, err error, p *private, into []any, see func(p *private) error) error {
	if err != nil {
		return fmt.Errorf("translog: read accounts: %w", err)
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		after := s.changes[p.id]
		p.balance, p.version = p.balance-after.credits+after.debits, p.version-after.postings
		return see(p)
	})
	if err != nil {
		return fmt.Errorf("translog: read accounts: %w", err)
	}
	return nil
}
