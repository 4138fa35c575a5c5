package redeem

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

const (
	// QuoteLife is for how long a quote keeps what it promises: long enough for a person to read it and say yes, and short enough
	// that hours are not kept from others for nothing.
	QuoteLife = 120 * time.Second
	// maxLiveQuotes is how many a holder may have that are neither used nor expired, so that nobody can keep a provider's hours from all
	// others. The database has the same bound.
	maxLiveQuotes = 5
)

// QuoteStatus says whether a quote can still be used.
type QuoteStatus string

// The statuses of a quote. It begins open, and ends used or expired.
const (
	QuoteOpen    QuoteStatus = "open"
	QuoteUsed    QuoteStatus = "used"
	QuoteExpired QuoteStatus = "expired"
)

// Quote is the promise that a redemption, asked for in time, will have these terms.
type Quote struct {
	ID uuid.UUID
	// AccountID is where the tokens are to come from, and HolderID whose it is.
	AccountID, HolderID uuid.UUID
	ProviderID          uuid.UUID
	GPUClass            string
	// Amount is in millionths of SCH. Hours is what it is worth: Amount / K rounded down, in millionths of an hour.
	Amount, Hours int64
	// K is the SCH per hour of the class in the epoch that was in force when it was quoted, and holds after the next has begun.
	K       decimal.Decimal
	EpochID uuid.UUID
	// Transport is how the provider got to know of redemptions when it was quoted.
	Transport            Transport
	Status               QuoteStatus
	CreatedAt, ExpiresAt time.Time
	// RedemptionID is the redemption that it was used for, or the nil UUID.
	RedemptionID uuid.UUID
}

// NewQuote asks for a quote.
type NewQuote struct {
	// Caller is the principal who asks.
	Caller uuid.UUID
	// Owner is the holder to whom the account must belong.
	Owner     uuid.UUID
	AccountID uuid.UUID
	// Amount is in SCH.
	Amount     money.Quantity
	ProviderID uuid.UUID
	GPUClass   string
}

// CreateQuoteTx promises a holder, for [QuoteLife], the k of now and hours of the provider's pledges: those that lapse first, that are
// still to come when the promise ends, and that no other quote keeps. No balance moves. It locks the holder's row, and then
// the mutexes of the pledges, as the write path does, so that no redemption can take the same hours meanwhile.
//
// It returns ErrNoCapacity, ErrTooManyQuotes, anchor.ErrNoEpoch, and of the ledger: ErrAccountNotFound (also for another's account),
// ErrAccountKind, ErrAssetMismatch, ErrAccountFrozen, ErrAccountClosed, ErrInsufficientFunds where the account has less than its open quotes and
// this one are for, or ErrAmountOutOfRange.
func (r *Redemptions) CreateQuoteTx(ctx context.Context, tx pgx.Tx, n NewQuote) (*Quote, error) {
	amount, err := n.Amount.Minor(money.Scale(money.SCH))
	if errors.Is(err, money.ErrRange) {
		return nil, ledger.ErrAmountOutOfRange
	}
	if err != nil {
		return nil, err
	}
	seen, err := lookForQuote(ctx, tx, &n)
	if err != nil {
		return nil, err
	}
	if err := seen.allow(&n, amount); err != nil {
		return nil, err
	}
	for all := false; ; all = true {
		q, lines, err := seen.promise(ctx, tx, &n, amount, all)
		if errors.Is(err, ErrNoCapacity) && !all {
			continue // Others took what it had seen: it looks at everything, under locks.
		}
		if err != nil {
			return nil, err
		}
		return q, insertQuote(ctx, tx, &n, q, lines)
	}
}

// quotable is what is read ahead of a quote: of the account, under the lock of its holder; of the pledges, without one.
type quotable struct {
	account    *ledger.Account
	live       int
	promised   int64 // of the account, in millionths of SCH
	transport  Transport
	rate       anchor.RateRead
	candidates []candidate
}

// allow returns why a holder may have no quote for an amount, whatever the provider has.
func (s *quotable) allow(n *NewQuote, amount int64) error {
	if err := (&NewRedemption{Owner: n.Owner}).mayRedeem(s.account); err != nil {
		return err
	}
	switch {
	case s.account.Status == ledger.AccountFrozen:
		return ledger.ErrAccountFrozen
	case s.account.Status == ledger.AccountClosed:
		return ledger.ErrAccountClosed
	case s.account.Balance-s.promised < amount:
		return ledger.ErrInsufficientFunds
	case s.live >= maxLiveQuotes:
		return ErrTooManyQuotes
	case s.transport == "":
		return ErrNoCapacity
	}
	return nil
}

// promise locks as many pledges as seem to be enough, or all, and shares the hours out among them.
func (s *quotable) promise(ctx context.Context, tx pgx.Tx, n *NewQuote, amount int64, all bool) (*Quote, []line, error) {
	chosen := s.candidates
	if rate, err := s.rate.Now(); err == nil && !all {
		if hours, err := worth(amount, rate.K); err == nil {
			chosen, _ = enough(s.candidates, hours)
		}
	}
	now, free, err := lockFree(ctx, tx, chosen)
	if err == nil && now.IsZero() {
		err = ErrNoCapacity
	}
	if err != nil {
		return nil, nil, err
	}
	q := &Quote{
		ID: id.New(), AccountID: n.AccountID, HolderID: n.Owner, ProviderID: n.ProviderID, GPUClass: n.GPUClass, Amount: amount,
		Transport: s.transport, Status: QuoteOpen, CreatedAt: now, ExpiresAt: now.Add(QuoteLife),
	}
	rate, err := s.rate.At(now)
	if errors.Is(err, anchor.ErrNoFactor) {
		return nil, nil, ErrNoCapacity
	}
	if err != nil {
		return nil, nil, err
	}
	q.K, q.EpochID = rate.K, rate.Epoch
	if q.Hours, err = worth(amount, rate.K); err != nil {
		return nil, nil, err
	}
	if err := q.Transport.issuer().quotable(ctx, tx, q); err != nil {
		return nil, nil, err
	}
	lines, err := shareOut(chosen, free, q.Hours)
	return q, lines, err
}

// shareOut takes hours from the candidates in their order, as far as each has any free. It returns ErrNoCapacity where they do not suffice.
func shareOut(candidates []candidate, free map[uuid.UUID]int64, hours int64) ([]line, error) {
	var lines []line
	for i := range candidates {
		take := min(free[candidates[i].pledge], hours)
		if take <= 0 {
			continue
		}
		lines = append(lines, line{pledge: candidates[i].pledge, hours: take})
		if hours -= take; hours == 0 {
			return lines, nil
		}
	}
	return nil, ErrNoCapacity
}
