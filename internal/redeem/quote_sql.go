package redeem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

const (
	// Quotes of one holder are made one after another.
	lockHolderSQL = `SELECT FROM holders WHERE id = $1 FOR NO KEY UPDATE`

	selectQuotedSQL = `
SELECT count(*), COALESCE(sum(q.amount) FILTER (WHERE q.account_id = $2), 0)::bigint
FROM (SELECT ballast_now() AS now OFFSET 0) AS clock
JOIN redemption_quotes q ON q.holder_id = $1 AND q.expires_at > clock.now
WHERE (SELECT r.id FROM redemptions r WHERE r.quote_id = q.id) IS NULL`

	// How the provider gets to know of redemptions; nothing where none can be asked of it. One that says nothing polls.
	selectTransportSQL = `
SELECT COALESCE((SELECT COALESCE(d.transport, 'pull') FROM providers p LEFT JOIN provider_deliveries d ON d.provider_id = p.id
                 WHERE p.id = $1 AND p.status = 'active' AND COALESCE(d.status, 'active') = 'active'), '')`

	// The available accounts are the pledges' mutexes, and locked in the order in which the write path does.
	lockPledgesSQL = `SELECT FROM accounts WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`

	// What each pledge has behind tokens that is still to come when the quote ends, and that neither another quote keeps nor the day's limit.
	selectFreeSQL = `
SELECT clock.now, p.id,
       LEAST(b.balance, pledge_hours_to_come(p.id, clock.now + $2::interval) - e.balance, p.max_daily_hours - today.hours)
           - pledge_reserved_hours(p.id, clock.now, NULL)
FROM (SELECT ballast_now() AS now OFFSET 0) AS clock
CROSS JOIN unnest($1::uuid[]) AS wanted (id)
JOIN pledges p ON p.id = wanted.id AND p.status IN ('active', 'defaulted')
JOIN accounts b ON b.pledge_id = p.id AND b.kind = 'pledge_backing'
JOIN accounts e ON e.pledge_id = p.id AND e.kind = 'pledge_earmarked'
CROSS JOIN LATERAL (` + takenTodaySQL + `) AS today`

	// Written by one statement, so that the guards of each see the other.
	insertQuoteSQL = `
WITH quote AS (
    INSERT INTO redemption_quotes (id, account_id, holder_id, provider_id, gpu_class, amount, hours, k, epoch_id, transport, created_by, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
)
INSERT INTO redemption_quote_lines (quote_id, pledge_id, hours, expires_at)
SELECT $1, l.pledge_id, l.hours, $13 FROM unnest($14::uuid[], $15::bigint[]) AS l (pledge_id, hours)`

	selectQuoteSQL = `
SELECT q.id, q.account_id, q.holder_id, q.provider_id, q.gpu_class, q.amount, q.hours, q.k, q.epoch_id, q.transport, q.created_at, q.expires_at,
       r.id, CASE WHEN r.id IS NOT NULL THEN 'used' WHEN q.expires_at <= ballast_now() THEN 'expired' ELSE 'open' END
FROM redemption_quotes q LEFT JOIN redemptions r ON r.quote_id = q.id
WHERE q.id = $1 AND ($2::uuid IS NULL OR q.holder_id = $2)`
)

// lookForQuote locks the holder, and then reads all that a quote for them depends on. It returns ledger.ErrAccountNotFound.
func lookForQuote(ctx context.Context, tx pgx.Tx, n *NewQuote) (*quotable, error) {
	s := &quotable{}
	b := &pgx.Batch{}
	b.Queue(lockHolderSQL, n.Owner)
	b.Queue(selectQuotedSQL, n.Owner, n.AccountID).QueryRow(func(row pgx.Row) error { return row.Scan(&s.live, &s.promised) })
	b.Queue(selectTransportSQL, n.ProviderID).QueryRow(func(row pgx.Row) error { return row.Scan(&s.transport) })
	s.rate.Queue(b, n.GPUClass)
	queueCandidates(b, n.ProviderID, n.GPUClass, uuid.Nil, &s.candidates)
	err := tx.SendBatch(ctx, b).Close()
	if err == nil {
		s.account, err = ledger.AccountTx(ctx, tx, n.AccountID)
	}
	if err != nil {
		return nil, fmt.Errorf("redeem: look for a quote: %w", err)
	}
	return s, nil
}

// lockFree locks pledges, and returns the time and how many hours of each can be promised at it; the zero time where nothing is there.
func lockFree(ctx context.Context, tx pgx.Tx, candidates []candidate) (now time.Time, free map[uuid.UUID]int64, err error) {
	mutexes, pledges := make([]uuid.UUID, len(candidates)), make([]uuid.UUID, len(candidates))
	for i := range candidates {
		mutexes[i], pledges[i] = candidates[i].available, candidates[i].pledge
	}
	free = make(map[uuid.UUID]int64, len(candidates))
	b := &pgx.Batch{}
	b.Queue(lockPledgesSQL, mutexes)
	b.Queue(selectFreeSQL, pledges, QuoteLife).Query(func(rows pgx.Rows) error {
		var pledge uuid.UUID
		var hours int64
		_, err := pgx.ForEachRow(rows, []any{&now, &pledge, &hours}, func() error {
			free[pledge] = hours
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return now, nil, fmt.Errorf("redeem: lock what is quoted: %w", err)
	}
	return now.UTC(), free, nil
}

func insertQuote(ctx context.Context, tx pgx.Tx, n *NewQuote, q *Quote, lines []line) error {
	pledges, hours := make([]uuid.UUID, len(lines)), make([]int64, len(lines))
	for i, l := range lines {
		pledges[i], hours[i] = l.pledge, l.hours
	}
	if _, err := tx.Exec(ctx, insertQuoteSQL, q.ID, q.AccountID, q.HolderID, q.ProviderID, q.GPUClass, q.Amount, q.Hours, q.K, q.EpochID,
		string(q.Transport), n.Caller, q.CreatedAt, q.ExpiresAt, pledges, hours); err != nil {
		return fmt.Errorf("redeem: write a quote: %w", err)
	}
	return nil
}

// Quote returns a quote as it is now, or ErrQuoteNotFound, also for one that is not the holder's. The nil UUID sees all.
func (r *Redemptions) Quote(ctx context.Context, quote, holder uuid.UUID) (*Quote, error) {
	q := &Quote{}
	var used *uuid.UUID
	err := r.pool.QueryRow(ctx, selectQuoteSQL, quote, orNull(holder)).Scan(&q.ID, &q.AccountID, &q.HolderID, &q.ProviderID, &q.GPUClass,
		&q.Amount, &q.Hours, &q.K, &q.EpochID, &q.Transport, &q.CreatedAt, &q.ExpiresAt, &used, &q.Status)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrQuoteNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("redeem: quote: %w", err)
	}
	q.RedemptionID, q.CreatedAt, q.ExpiresAt = orZero(used), q.CreatedAt.UTC(), q.ExpiresAt.UTC()
	return q, nil
}

// takeQuote puts the terms of the quote that is to be used, if one is, into what is asked for. Whether it can be used still, the step
// decides under lock: what is asked for again was perhaps accepted before.
func (r *Redemptions) takeQuote(ctx context.Context, n *NewRedemption) (err error) {
	if n.QuoteID == uuid.Nil {
		return nil
	}
	if n.quote, err = r.Quote(ctx, n.QuoteID, n.Owner); err != nil {
		return err
	}
	if n.quote.AccountID != n.AccountID {
		return &InvalidError{Field: "account_id", Code: "not_of_the_quote", Detail: "The quote is for another account."}
	}
	n.Amount, n.ProviderID, n.GPUClass = money.Micros(n.quote.Amount), n.quote.ProviderID, n.quote.GPUClass
	return nil
}

// queueUsed reads whether the quote was used. All that use it move tokens into the same escrow account, whose lock keeps it so.
func (s *requestStep) queueUsed(r *ledger.Reads) {
	if s.used = false; s.ask.QuoteID == uuid.Nil {
		return
	}
	r.Queue(`SELECT (SELECT id FROM redemptions WHERE quote_id = $1) IS NOT NULL`, s.ask.QuoteID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&s.used)
	})
}
