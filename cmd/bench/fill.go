package main

import (
	"context"
	"fmt"
	"time"
)

// fill writes a journal of about n postings behind the guards' back: a coin goes around the accounts, over and over, so that
// every balance and version is known without adding up. Afterwards all the checks of the ledger hold, which the run shows.
const fillSQL = `
INSERT INTO transactions (seq, id, kind, lines, caller, idempotency_digest, request_digest, created_at)
SELECT nextval('journal_seq'), ('018f' || lpad(to_hex(g), 8, '0') || substr(md5(g::text), 1, 20))::uuid, 'transfer', 1, $3,
       gen_random_uuid(), gen_random_uuid(), now()
FROM generate_series($1::bigint, $2::bigint) AS g`

// The k-th lap moves one unit from each account to the next. An account is paid before it pays, but for the first of each lap.
const fillPostingsSQL = `
INSERT INTO postings (seq, line, from_account, to_account, asset, amount, from_balance, from_version, to_balance, to_version)
SELECT $3 + g - $1, 0, f.id, t.id, 'SCH', 1,
       f.balance - CASE WHEN g % n.n = 0 THEN 1 ELSE 0 END, f.version + 2 * (g / n.n) + CASE WHEN g % n.n = 0 THEN 1 ELSE 2 END,
       t.balance + CASE WHEN t.n = 0 THEN 0 ELSE 1 END, t.version + 2 * (g / n.n) + CASE WHEN t.n = 0 THEN 2 ELSE 1 END
FROM generate_series($1::bigint, $2::bigint) AS g
CROSS JOIN (SELECT count(*) AS n FROM ring) AS n
JOIN ring f ON f.n = g % n.n JOIN ring t ON t.n = (g + 1) % n.n`

const fillChunk = 500_000

func (r *rig) fill(ctx context.Context, postings int) error {
	laps := postings / len(r.accounts)
	conn, err := r.owner.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`CREATE TEMP TABLE ring AS SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, balance, version FROM accounts WHERE kind = 'holder'`,
		`CREATE UNIQUE INDEX ON ring (n)`, `ANALYZE ring`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	total := int64(laps) * int64(len(r.accounts))
	for first := int64(0); first < total; first += fillChunk {
		last := min(first+fillChunk, total) - 1
		var seq int64
		if err := conn.QueryRow(ctx, `SELECT last_value FROM journal_seq`).Scan(&seq); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, fillSQL, first, last, r.holder); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, fillPostingsSQL, first, last, seq+1); err != nil {
			return err
		}
		fmt.Printf("  %d postings written\n", last+1)
	}
	_, err = conn.Exec(ctx, `UPDATE accounts a SET debits = a.debits + $1, credits = a.credits + $1, version = a.version + 2 * $1,
		previous_version = a.version, previous_balance = a.balance FROM ring WHERE ring.id = a.id`, int64(laps))
	if err != nil {
		return err
	}
	for _, sql := range []string{`RESET session_replication_role`, `VACUUM ANALYZE`, `CHECKPOINT`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// pastCheckpointFor is how long it takes until nearly every page of the indexes by random keys has been written to since the checkpoint.
const pastCheckpointFor = 30 * time.Second

// pastCheckpoint lets the ledger work for a while after fill's checkpoint. The first change of a page after a checkpoint puts all of it into the write-ahead log; in a journal of ten million that is every
// transfer at first, and a ledger that works makes a checkpoint once in many minutes.
func (r *rig) pastCheckpoint(ctx context.Context) error {
	seconds := r.opts.Seconds
	defer func() { r.opts.Seconds = seconds }()
	r.opts.Seconds = int(pastCheckpointFor.Seconds())
	rate, err := r.closedLoop(ctx, workload{batch: 1, connections: r.opts.Connections})
	if err != nil {
		return fmt.Errorf("working past the checkpoint: %w", err)
	}
	fmt.Printf("  worked past the checkpoint for %s, at %.0f/s\n", pastCheckpointFor, rate)
	return nil
}
