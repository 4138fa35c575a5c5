package events

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/pg"
)

// What is due of an endpoint: of each object the first that is pending, when its time has come. What is pending is read once; looked up for each, with
// a plan made while the table was empty, it is compared with all that is pending.
const dueSQL = `
    FROM (
        SELECT DISTINCT ON (p.object_id) p.* FROM webhook_deliveries p
        WHERE p.endpoint_id = e.id AND p.status = 'pending' ORDER BY p.object_id, p.seq
    ) AS d
    WHERE d.next_at <= (SELECT ballast_now())`

const (
	// The one that was served longest ago comes first, of those that are not to be avoided.
	takeEndpointSQL = `
UPDATE webhook_endpoints SET leased_until = ballast_now() + $1::interval
WHERE id = (
    SELECT e.id FROM webhook_endpoints e
    WHERE e.status = 'enabled' AND e.leased_until <= (SELECT ballast_now()) AND e.id <> ALL ($2::uuid[]) AND EXISTS (SELECT ` + dueSQL + `)
    ORDER BY e.leased_until LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id, COALESCE(holder_id, '00000000-0000-0000-0000-000000000000'), COALESCE(provider_id, '00000000-0000-0000-0000-000000000000'),
          url, leased_until, ballast_now()`

	takeDueSQL = `
SELECT d.id, d.seq, d.event_id, d.tries FROM webhook_endpoints e CROSS JOIN LATERAL (SELECT d.* ` + dueSQL + ` ORDER BY d.seq LIMIT $2) AS d WHERE e.id = $1`

	selectSealedSQL = `SELECT id, sealed FROM webhook_secrets WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > ballast_now()) ORDER BY id`
)

// byIndex asks for rows by plans that stay good however many deliveries are kept. The settings end with the answer.
func byIndex(ctx context.Context, db *pgxpool.Pool, collect func(rows pgx.Rows) error, sql string, args ...any) error {
	b := &pgx.Batch{}
	b.Queue(pg.ByIndexSQL)
	b.Queue(sql, args...).Query(collect)
	return db.SendBatch(ctx, b).Close()
}

// take takes an endpoint to which something is due and that is none of those to be avoided, or returns nil.
func (c *Courier) take(ctx context.Context, avoid []uuid.UUID) (*bundle, error) {
	b := &bundle{began: time.Now()}
	taken := false
	err := byIndex(ctx, c.DB, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&b.endpoint, &b.owner.HolderID, &b.owner.ProviderID, &b.url, &b.until, &b.at}, func() error {
			taken = true
			return nil
		})
		return err
	}, takeEndpointSQL, lease, avoid)
	if err != nil || !taken {
		return nil, wrap("take an endpoint", err)
	}
	err = byIndex(ctx, c.DB, func(rows pgx.Rows) (err error) {
		b.due, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*parcel, error) {
			p := &parcel{}
			return p, row.Scan(&p.delivery, &p.seq, &p.id, &p.tries)
		})
		return err
	}, takeDueSQL, b.endpoint, c.most())
	return b, wrap("take deliveries", err)
}

func (c *Courier) secretsOf(ctx context.Context, endpoint uuid.UUID) (secrets []string, err error) {
	rows, err := c.DB.Query(ctx, selectSealedSQL, endpoint)
	if err != nil {
		return nil, wrap("secrets", err)
	}
	var row uuid.UUID
	var sealed []byte
	_, err = pgx.ForEachRow(rows, []any{&row, &sealed}, func() error {
		secret, err := c.Vault.Open(sealed, SealedSecrets.Row(row))
		secrets = append(secrets, string(secret))
		return err
	})
	return secrets, wrap("secrets", err)
}

const (
	logAttemptsSQL = `
INSERT INTO webhook_attempts (delivery_id, n, outcome, http_status, milliseconds)
SELECT d.id, d.attempts + 1, a.outcome, NULLIF(a.http_status, 0), a.milliseconds
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[]) AS a (id, outcome, http_status, milliseconds)
CROSS JOIN LATERAL (SELECT id, attempts FROM webhook_deliveries WHERE webhook_deliveries.id = a.id OFFSET 0) AS d`

	// A pause of NULL ends the delivery.
	finishDeliveriesSQL = `
UPDATE webhook_deliveries d
SET attempts = d.attempts + 1, tries = d.tries + 1, status = a.status,
    next_at = COALESCE(ballast_now() + a.pause, d.next_at),
    ended_at = CASE WHEN a.status <> 'pending' THEN ballast_now() END
FROM unnest($1::uuid[], $2::text[], $3::interval[]) AS a (id, status, pause) WHERE d.id = a.id`

	// It ends with the lease that was taken, if no other has it since. What a URL answered says nothing of another that the owner has put in its
	// place meanwhile, which has not failed since any time.
	releaseSQL = `
UPDATE webhook_endpoints
SET leased_until = CASE WHEN leased_until = $2 THEN ballast_now() ELSE leased_until END,
    failing_since = CASE WHEN url <> $5 THEN failing_since WHEN $3 THEN NULL WHEN $4 THEN COALESCE(failing_since, ballast_now()) ELSE failing_since END
WHERE id = $1`

	disableGoneSQL = `
UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'gone', disabled_at = ballast_now()
WHERE id = $1 AND url = $2 AND status = 'enabled'`

	disableFailingSQL = `
UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'failing', disabled_at = ballast_now()
WHERE id = $1 AND status = 'enabled' AND failing_since <= ballast_now() - $2::interval`
)

// finish writes what came of a bundle. If that is lost, everything is sent again, which the receivers know by the ids: so it need not
// wait for the disk.
func (c *Courier) finish(ctx context.Context, b *bundle) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	v := b.verdict()
	return wrap("finish", pg.InTx(ctx, c.DB, pgx.TxOptions{}, func(tx pgx.Tx) error {
		q := &pgx.Batch{}
		q.Queue(`SET LOCAL synchronous_commit = off`)
		q.Queue(pg.ByIndexSQL)
		q.Queue(logAttemptsSQL, v.ids, v.outcomes, v.answers, v.took)
		q.Queue(finishDeliveriesSQL, v.ids, v.statuses, v.pauses)
		q.Queue(releaseSQL, b.endpoint, b.until, v.delivered, v.failed, b.url)
		switch {
		case v.gone:
			q.Queue(disableGoneSQL, b.endpoint, b.url)
		case v.givenUp:
			q.Queue(disableFailingSQL, b.endpoint, givenUpAfter)
		}
		return tx.SendBatch(ctx, q).Close()
	}))
}

// verdict is what is written of a bundle, as columns.
type verdict struct {
	ids                []uuid.UUID
	outcomes, statuses []string
	answers, took      []int
	pauses             []*time.Duration
	// Whether any was delivered, any failed, any was given up, and whether the endpoint is gone.
	delivered, failed, givenUp, gone bool
}

func (b *bundle) verdict() (v verdict) {
	for _, p := range b.due {
		if p.reply.Outcome == "" {
			continue // It was not tried.
		}
		status, pause := p.next()
		v.ids, v.outcomes, v.answers = append(v.ids, p.delivery), append(v.outcomes, string(p.reply.Outcome)), append(v.answers, p.reply.HTTPStatus)
		v.took, v.statuses, v.pauses = append(v.took, int(p.took.Milliseconds())), append(v.statuses, string(status)), append(v.pauses, pause)
		v.delivered = v.delivered || status == DeliveryDelivered
		v.failed = v.failed || status != DeliveryDelivered
		v.givenUp = v.givenUp || status == DeliveryFailed
		v.gone = v.gone || p.reply.Outcome == OutcomeGone
	}
	return v
}

// next says what becomes of a delivery.
func (p *parcel) next() (DeliveryStatus, *time.Duration) {
	switch p.reply.Outcome {
	case OutcomeDelivered:
		return DeliveryDelivered, nil
	case OutcomeGone: // It waits for the endpoint to be enabled again, and is then sent at once.
		return DeliveryPending, new(time.Duration)
	case OutcomeRefused, OutcomeNotSent, OutcomeNoAnswer, OutcomeForbidden:
	}
	pause, again := pauseAfter(p.tries + 1)
	if !again {
		return DeliveryFailed, nil
	}
	return DeliveryPending, &pause
}
