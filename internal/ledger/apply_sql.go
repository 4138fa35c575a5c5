package ledger

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	// Each row is looked up by itself, in the order of $1: the plan, which is kept for as long as the connection, can
	// never become a scan of a table that was small when it was made.
	lockAccountsSQL = `
SELECT a.id, a.asset, a.kind, COALESCE(a.holder_id, '00000000-0000-0000-0000-000000000000'), a.status, a.may_go_negative,
       a.debits, a.credits, a.version, a.posted_at
FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = wanted.id FOR NO KEY UPDATE) AS a`

	findDigestsSQL = `
SELECT t.seq FROM unnest($1::uuid[]) AS wanted (digest)
CROSS JOIN LATERAL (SELECT seq FROM transactions WHERE idempotency_digest = wanted.digest OFFSET 0) AS t`

	// A key is used up by a creation outside of the journal too.
	findCreationsSQL = `
SELECT i.digest FROM unnest($1::uuid[]) AS wanted (digest)
CROSS JOIN LATERAL (SELECT digest FROM idempotency WHERE idempotency.digest = wanted.digest OFFSET 0) AS i`

	// The clock and the order of the journal are read after the locks are held, or after the commit of the group that an assumption rests on.
	drawOrderSQL = `SELECT ballast_now(), array_agg(nextval('journal_seq')) FROM generate_series(1, $1::int)`

	// One statement writes the journal, its entries for the log and the balances, so that the guards of each see all. Of accounts that were not locked, these refuse
	// what does not follow from the state that they are in. That they are still open ($32) is asked of each row as it is locked: one that is not gets a version that there
	// cannot be, and so the statement ends there. Were it passed over, it might be changed by others before the guards look at it. Columns are unnested side by side in the SELECT
	// list, which hands rows on as they come; in FROM, each column would be put into a store of its own first, and taken out again.
	writeJournalSQL = `
WITH entered AS (
    INSERT INTO transactions (created_at, seq, id, kind, lines, caller, idempotency_digest, request_digest, subject_id, epoch_id, reverses,
                              reference, metadata, details)
    SELECT $31, unnest($2::bigint[]), unnest($3::uuid[]), unnest($4::text[]), unnest($5::smallint[]), unnest($6::uuid[]), unnest($7::uuid[]),
           unnest($8::uuid[]), unnest($9::uuid[]), unnest($10::uuid[]), unnest($11::bigint[]),
           unnest($12::text[]), unnest($13::text[])::jsonb, unnest($14::text[])::jsonb
), posted AS (
    INSERT INTO postings (seq, line, from_account, to_account, asset, amount, from_balance, from_version, to_balance, to_version)
    SELECT unnest($15::bigint[]), unnest($16::smallint[]), unnest($17::uuid[]), unnest($18::uuid[]), unnest($19::text[]), unnest($20::bigint[]),
           unnest($21::bigint[]), unnest($22::bigint[]), unnest($23::bigint[]), unnest($24::bigint[])
), logged AS (
    INSERT INTO log_entries (seq, entries, bundle) SELECT $29::bigint, $30::integer, $1::bytea WHERE octet_length($1) > 0
)
UPDATE accounts a
SET debits = n.debits, credits = n.credits, balance = n.credits - n.debits,
    version = CASE WHEN a.status = 'open' OR NOT $32::boolean THEN n.version ELSE -1 END,
    previous_balance = a.balance, previous_version = a.version, posted_at = $31
FROM unnest($25::uuid[], $26::bigint[], $27::bigint[], $28::bigint[]) AS n (id, debits, credits, version)
WHERE a.id = n.id`

	// What findCreationsSQL finds, this refuses.
	refuseUsedSQL = `SELECT refuse_used_keys($1)`
)

// writeAlikeSQL is writeJournalSQL for transactions that are alike, where columns that say the same of all have one value, or none: unnesting it for each row takes longer.
var writeAlikeSQL = strings.NewReplacer(
	"unnest($4::text[])", "($4::text[])[1]", "unnest($5::smallint[])", "($5::smallint[])[1]",
	"unnest($9::uuid[])", "($9::uuid[])[1]", "unnest($10::uuid[])", "($10::uuid[])[1]", "unnest($11::bigint[])", "($11::bigint[])[1]",
	"unnest($12::text[])", "($12::text[])[1]", "unnest($13::text[])", "($13::text[])[1]", "unnest($14::text[])", "($14::text[])[1]",
	"unnest($16::smallint[])", "($16::smallint[])[1]", "unnest($19::text[])", "($19::text[])[1]",
).Replace(writeJournalSQL)

// read is the first round trip: locks, then idempotency, the clock and the features' own reads. It begins the database transaction, unless that was done.
func (a *application) read(ctx context.Context, conn *pgxpool.Conn, begun bool) error {
	b := &pgx.Batch{}
	if !begun {
		queueBegin(b)
	}
	identified := a.queueReads(b)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	for _, n := range a.book.involved {
		n.identity = identified[n.id]
	}
	return a.readFound(ctx, conn)
}

func queueBegin(b *pgx.Batch) {
	b.Queue("begin")
	b.Queue(pg.ByIndexSQL)
}

// queueReads queues all that is read, and returns how the accounts stand in the log, once it has been.
func (a *application) queueReads(b *pgx.Batch) (identified map[uuid.UUID]*leaf.Account) {
	commands := 0
	ids := make(uuids, 0, 2*len(a.units))
	digests := make(uuids, 0, len(a.units))
	for _, u := range a.units {
		commands += len(u)
		for _, c := range u {
			digests = append(digests, c.Digest)
			for i := range c.Moves {
				ids = append(ids, [16]byte(c.Moves[i].From), [16]byte(c.Moves[i].To))
			}
			if c.Step != nil {
				for _, account := range c.Step.Lock() {
					ids = append(ids, [16]byte(account))
				}
			}
		}
	}
	ids = sortedUnique(ids)
	keys := digests.column()
	b.Queue(lockAccountsSQL, ids.column()).Query(a.scanAccounts)
	b.Queue(findDigestsSQL, keys).Query(func(rows pgx.Rows) (err error) {
		a.hits, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	b.Queue(findCreationsSQL, keys).Query(func(rows pgx.Rows) (err error) {
		a.usedUp, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	b.Queue(drawOrderSQL, commands).QueryRow(func(row pgx.Row) error {
		var o order
		err := o.scan(row)
		a.take(&o)
		return err
	})
	identified = a.identify(b, ids)
	reads := &Reads{batch: b, once: make(map[any]any)}
	for _, u := range a.units {
		for _, c := range u {
			if c.Step != nil {
				c.Step.Read(reads)
			}
		}
	}
	reads.queueQuestions()
	return identified
}

func (a *application) scanAccounts(rows pgx.Rows) error {
	a.book.accounts = make(map[uuid.UUID]*balance)
	defer rows.Close()
	for rows.Next() {
		n := &balance{}
		if err := rows.Scan((*[16]byte)(&n.id), &n.asset, (*string)(&n.kind), (*[16]byte)(&n.holder), (*string)(&n.status), &n.mayGoNegative,
			&n.debits, &n.credits, &n.version, &n.postedAt); err != nil {
			return err
		}
		n.committed = n.version
		if n.postedAt.After(a.book.at) {
			a.book.at = n.postedAt
		}
		a.book.accounts[n.id] = n
		a.book.involved = append(a.book.involved, n)
	}
	return rows.Err()
}

// readFound loads what was done before under the digests of this group. It is rare, and costs a round trip of its own.
func (a *application) readFound(ctx context.Context, conn *pgxpool.Conn) error {
	a.found = make(map[uuid.UUID]*Transaction, len(a.hits))
	if len(a.hits) == 0 {
		return nil
	}
	var found []*Transaction
	b := &pgx.Batch{}
	queueTransactions(b, a.hits, &found)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	for _, t := range found {
		a.found[t.digest] = t
	}
	return nil
}

// write is the second round trip, or the only one of an application that was assumed: the journal, the balances, the features' rows, and the commit. Behind it goes
// ahead, with which the next one begins. It calls sent once all is on its way to the database, until whose answer there is time for something else.
// An error may be one of ahead: committed tells.
func (a *application) write(ctx context.Context, conn *pgxpool.Conn, ahead *pgx.Batch, sent func()) error {
	b := &pgx.Batch{}
	if a.assumed {
		b.Queue(refuseUsedSQL, a.digests().column())
	}
	if len(a.accepted) > 0 {
		if logged {
			room := bundles.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in there
			defer func() { *room = a.spare(); bundles.Put(room) }()
			if err := a.log(*room); err != nil {
				return err
			}
		}
		columns := journals.Get().(*journal) //nolint:forcetypeassert // nothing else is in there
		defer journals.Put(columns)
		b.Queue(columns.fill(a), a.rows(columns)...)
	}
	writes := &Writes{batch: b, once: make(map[any]Rows)}
	for _, s := range a.steps {
		s.step.Write(writes, s.at)
	}
	writes.queueRows()
	b.Queue("commit").Exec(func(pgconn.CommandTag) error {
		a.commit()
		return nil
	})
	if ahead != nil {
		b.QueuedQueries = append(b.QueuedQueries, ahead.QueuedQueries...)
	}
	answers := conn.SendBatch(ctx, b)
	sent()
	return answers.Close()
}

func (a *application) digests() uuids {
	digests := make(uuids, 0, len(a.accepted))
	for _, t := range a.accepted {
		digests = append(digests, t.digest)
	}
	return digests
}

// rows returns the parameters of writeJournalSQL. The bundle, which is more than half of their bytes, is the first, with the room for all: pgx would begin with little, and
// grow by a quarter at a time, each time copied.
func (a *application) rows(j *journal) []any {
	columns := j.parameters()
	if !logged { // None is sent as an empty one, in the same memory as others: so that the two programs differ in the log alone.
		a.bundle = []byte{}
	}
	return append(append([]any{&pg.Bytes{Bytes: a.bundle, Ahead: pg.Size(columns...)}}, columns...), a.accepted[0].Seq, len(a.accepted), a.book.at, a.assumed)
}
