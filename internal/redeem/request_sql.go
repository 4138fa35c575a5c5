package redeem

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// One statement writes a redemption, its lines and its first steps, so that the guards of each see the others.
const insertRedemptionSQL = `
WITH redemption AS (
    INSERT INTO redemptions (id, account_id, holder_id, escrow_account, provider_id, gpu_class, amount, hours, k, epoch_id, transport,
                             recipient_account, status, metadata, requested_by, created_at, quote_id, on_delay, rerouted_from, deliver_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $22, $23, $24, $25)
), lines AS (
    INSERT INTO redemption_lines (redemption_id, pledge_id, hours, requested_on)
    SELECT $1, l.pledge_id, l.hours, ($16::timestamptz AT TIME ZONE 'UTC')::date FROM unnest($17::uuid[], $18::bigint[]) AS l (pledge_id, hours)
)
INSERT INTO redemption_events (redemption_id, n, status, at, actor, detail)
SELECT $1, e.n, e.status, $16, $19, NULLIF(e.detail, '') FROM unnest($20::text[], $21::text[]) WITH ORDINALITY AS e (status, detail, n)`

func queueInsert(b *ledger.Writes, s *requestStep, t *ledger.Transaction) {
	b.Queue(insertRedemptionSQL, insertArgs(s, t)...)
}

func insertArgs(s *requestStep, t *ledger.Transaction) []any {
	pledges := make([]uuid.UUID, len(s.lines))
	hours := make([]int64, len(s.lines))
	for i, l := range s.lines {
		pledges[i], hours[i] = l.pledge, l.hours
	}
	statuses, details := columns(s.delivery.Transport.issuer().begin())
	n := s.ask
	return []any{
		s.id, n.AccountID, n.Owner, s.escrow, n.ProviderID, n.GPUClass, t.Postings[0].Amount, s.hours, s.rate.K, s.rate.Epoch,
		string(s.delivery.Transport), orNull(n.RecipientAccount), statuses[len(statuses)-1], n.Metadata, t.ID, t.CreatedAt,
		pledges, hours, t.Caller, statuses, details,
		orNull(n.QuoteID), string(cmp.Or(n.OnDelay, Wait)), orNull(n.reroutes), t.CreatedAt.Add(s.delivery.SLA),
	}
}

// columns returns the statuses and the details of steps.
func columns(steps []Event) (statuses, details []string) {
	for _, s := range steps {
		statuses, details = append(statuses, string(s.Status)), append(details, s.Detail)
	}
	return statuses, details
}
