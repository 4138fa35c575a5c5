package providers

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// State is what of a pledge decides beside its balances, as a ledger.Step reads it under the lock of the pledge's available
// account. The steps of a group share it: whatever changes it claims the pledge for itself.
type State struct {
	status   PledgeStatus
	haircut  decimal.NullDecimal
	schedule schedule
}

// Redeemable returns how many of the hours that back tokens can be taken for a redemption: those that have not lapsed.
func (s *State) Redeemable(b Balances, at time.Time) int64 {
	_, lapsed := s.schedule.lapsed(b, at)
	return b.Backing - lapsed
}

// less is the share of an hour that can back tokens.
func less(haircut decimal.Decimal) decimal.Decimal { return decimal.NewFromInt(1).Sub(haircut) }

// What changes how far a provider's hours cover its tokens claims the provider, and locks its issuance account. Of the same sort,
// several may be decided in one group; of different sorts, the later waits, since its decision may rest on coverage that was read
// before the earlier one.
const (
	claimMint       = "mint"
	claimLapse      = "lapse"
	claimSubstitute = "substitute"
	claimRedemption = "redemption"
)

// ClaimRedemption is what a step claims that asks for, issues or refunds a redemption at a provider.
func ClaimRedemption(provider uuid.UUID) ledger.Claim {
	return ledger.Claim{On: provider, As: claimRedemption}
}

// lock is every account of a pledge that any step on it needs, and that of its provider's issuance. The available account is the
// pledge's mutex.
func (p *Pledge) lock() []uuid.UUID {
	a := p.Accounts
	return []uuid.UUID{a.Commitment, a.Available, a.Backing, a.Earmarked, a.Delivered, a.Expired, a.Released, a.Issuance}
}

// heldIn reads, in a book, what the pledge's provider still has to keep ready.
func (p *Pledge) heldIn(book *ledger.Book) (b Balances, err error) {
	if b.Available, err = book.Balance(p.Accounts.Available); err != nil {
		return Balances{}, err
	}
	if b.Backing, err = book.Balance(p.Accounts.Backing); err != nil {
		return Balances{}, err
	}
	b.Earmarked, err = book.Balance(p.Accounts.Earmarked)
	return b, err
}

// balancesIn reads where all of the pledge's hours are in a book.
func (p *Pledge) balancesIn(book *ledger.Book) (b Balances, err error) {
	if b, err = p.heldIn(book); err != nil {
		return Balances{}, err
	}
	for _, read := range []struct {
		account uuid.UUID
		into    *int64
	}{
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

// asIn returns the pledge as it was after a transaction that changed it. It had no shortfall: none of the pledge's own transactions
// is possible once it has.
func (p *Pledge) asIn(t *ledger.Transaction) (Pledge, error) {
	var s snapshot
	if err := json.Unmarshal(t.Details, &s); err != nil {
		return Pledge{}, fmt.Errorf("providers: details of transaction %d: %w", t.Seq, err)
	}
	then := *p
	then.Status, then.Balances, then.Shortfall = s.Status, s.Balances, Shortfall{}
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

	reviveSQL = `
WITH revived AS (
    UPDATE pledges SET status = 'active' WHERE id = $1 AND status IN ('exhausted', 'expired', 'released') RETURNING id
)
INSERT INTO pledge_events (pledge_id, status, at, actor, transaction_seq) SELECT id, 'active', $2, $3, $4 FROM revived`
)

// queueStatus writes that a pledge has come to a status, and its event.
func queueStatus(b *ledger.Writes, pledge uuid.UUID, status PledgeStatus, t *ledger.Transaction) {
	b.Queue(setStatusSQL, pledge, status)
	queueEvent(b, pledge, status, t)
}

func queueEvent(b *ledger.Writes, pledge uuid.UUID, status PledgeStatus, t *ledger.Transaction) {
	b.Queue(insertEventSQL, pledge, status, t.CreatedAt, t.Caller, t.Seq, nil)
}

// QueueExhausted makes an active pledge exhausted if none of its hours is available, backing or earmarked any more. A
// ledger.Step that delivers hours calls it in its Write.
func QueueExhausted(b *ledger.Writes, pledge uuid.UUID, t *ledger.Transaction) {
	b.Queue(exhaustSQL, pledge, t.CreatedAt, t.Caller, t.Seq)
}

// QueueRevived makes a pledge active again whose hours had all been delivered, had lapsed or were taken back. A ledger.Step that returns
// delivered hours to what backs tokens calls it in its Write. Those that have lapsed by then, the next sweep lets expire.
func QueueRevived(b *ledger.Writes, pledge uuid.UUID, t *ledger.Transaction) {
	b.Queue(reviveSQL, pledge, t.CreatedAt, t.Caller, t.Seq)
}
