package providers

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// pledgeState is what of a pledge can change but for its balances, as a step reads it under the lock of its available account.
type pledgeState struct {
	status  PledgeStatus
	haircut decimal.NullDecimal
}

func (s *pledgeState) queue(b *ledger.Reads, pledge uuid.UUID) {
	b.Queue(`SELECT status, haircut FROM pledges WHERE id = $1`, pledge).
		QueryRow(func(row pgx.Row) error { return row.Scan(&s.status, &s.haircut) })
}

// lock is every account of a pledge that any step on it needs. The available account is the pledge's mutex.
func (p *Pledge) lock() []uuid.UUID {
	a := p.Accounts
	return []uuid.UUID{a.Commitment, a.Available, a.Backing, a.Earmarked, a.Delivered, a.Expired, a.Released}
}

// balancesIn reads where the pledge's hours are in a book.
func (p *Pledge) balancesIn(book *ledger.Book) (b Balances, err error) {
	for _, read := range []struct {
		account uuid.UUID
		into    *int64
	}{
		{p.Accounts.Available, &b.Available},
		{p.Accounts.Backing, &b.Backing},
		{p.Accounts.Earmarked, &b.Earmarked},
		{p.Accounts.Delivered, &b.Delivered},
		{p.Accounts.Expired, &b.Expired},
		{p.Accounts.Released, &b.Released},
	} {
		if *read.into, err = book.Balance(read.account); err != nil {
			return Balances{}, err
		}
	}
	return b, nil
}

// snapshot is the details of a transaction that changed a pledge: with it and the pledge's fixed terms, the first answer can be
// given again, whatever has become of the pledge since.
type snapshot struct {
	Status   PledgeStatus `json:"status"`
	Balances Balances     `json:"balances"`
}

func (s snapshot) encode() ([]byte, error) { return json.Marshal(s) }

// asIn returns the pledge as it was after a transaction that changed it.
func (p *Pledge) asIn(t *ledger.Transaction) (Pledge, error) {
	var s snapshot
	if err := json.Unmarshal(t.Details, &s); err != nil {
		return Pledge{}, fmt.Errorf("providers: details of transaction %d: %w", t.Seq, err)
	}
	then := *p
	then.Status, then.Balances = s.Status, s.Balances
	return then, nil
}

const (
	setStatusSQL = `UPDATE pledges SET status = $2 WHERE id = $1`

	// The balances are those that the group of commands leaves.
	exhaustSQL = `
WITH exhausted AS (
    UPDATE pledges SET status = 'exhausted'
    WHERE id = $1 AND status = 'active' AND NOT EXISTS (
        SELECT FROM accounts
        WHERE pledge_id = $1 AND kind IN ('pledge_available', 'pledge_backing', 'pledge_earmarked') AND balance > 0)
    RETURNING id
)
INSERT INTO pledge_events (pledge_id, status, at, actor, transaction_seq) SELECT id, 'exhausted', $2, $3, $4 FROM exhausted`
)

func queueEvent(b *ledger.Writes, pledge uuid.UUID, status PledgeStatus, t *ledger.Transaction) {
	b.Queue(insertEventSQL, pledge, status, t.CreatedAt, t.Caller, t.Seq, nil)
}

// QueueExhausted makes an active pledge exhausted if none of its hours is available, backing or earmarked any more. A
// ledger.Step that delivers hours calls it in its Write.
func QueueExhausted(b *ledger.Writes, pledge uuid.UUID, t *ledger.Transaction) {
	b.Queue(exhaustSQL, pledge, t.CreatedAt, t.Caller, t.Seq)
}

// lapsed tells whether the pledge's time is over.
func (p *Pledge) lapsed(at time.Time) bool { return !p.ExpiresAt.After(at) }
