package redeem

import (
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// maxLines is over how many pledges one redemption may be spread.
const maxLines = 200

// worth returns how many hours, in millionths, an amount is redeemed for: amount / k, rounded down, since the holder asks. It
// returns ledger.ErrAmountOutOfRange for less than a millionth of an hour, or more than the books can hold.
func worth(amount int64, k decimal.Decimal) (int64, error) {
	hours, err := money.DivideDown(amount, k)
	if errors.Is(err, money.ErrRange) || err == nil && hours == 0 {
		return 0, ledger.ErrAmountOutOfRange
	}
	return hours, err
}

// candidate is a pledge whose hours may be taken.
type candidate struct {
	pledge                        uuid.UUID
	available, backing, earmarked uuid.UUID
	// dailyHours is how many may be taken in a day, or 0 for as many as there are.
	dailyHours int64
	// hours is what could be taken when it was looked at, without a lock.
	hours int64

	// state and taken are read under the lock: taken has what other redemptions took, by day.
	state *providers.State
	taken map[time.Time]int64
}

// redeemable returns how many hours can be taken at the book's time: what backs tokens, has not lapsed, and is not too much
// for a day.
func (c *candidate) redeemable(b *ledger.Book) (int64, error) {
	var held providers.Balances
	for account, into := range map[uuid.UUID]*int64{c.available: &held.Available, c.backing: &held.Backing, c.earmarked: &held.Earmarked} {
		var err error
		if *into, err = b.Balance(account); err != nil {
			return 0, err
		}
	}
	hours := c.state.Redeemable(held, b.At())
	if c.dailyHours > 0 {
		hours = min(hours, c.dailyHours-c.taken[dayOf(b.At())])
	}
	return hours, nil
}

// dayOf returns the beginning of a time's day of UTC.
func dayOf(t time.Time) time.Time {
	year, month, day := t.UTC().Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// line is hours of one pledge, and the accounts between which they move.
type line struct {
	pledge   uuid.UUID
	hours    int64
	from, to uuid.UUID
}

func (l line) move() ledger.Move {
	return ledger.Move{From: l.from, To: l.to, Amount: money.Micros(l.hours)}
}

// enough returns the first candidates that had the hours together, and whether that is all of them.
func enough(candidates []candidate, hours int64) ([]candidate, bool) {
	for i, c := range candidates {
		if c.hours >= hours {
			return candidates[:i+1], i == len(candidates)-1
		}
		hours -= c.hours
	}
	return candidates, true
}

// allocate takes hours from the candidates in their order, as the locked accounts hold them, but for those that quotes other than mine
// keep. It returns ErrNoCapacity where they do not suffice.
func allocate(b *ledger.Book, candidates []candidate, kept *reserved, mine uuid.UUID, hours int64) ([]line, error) {
	var lines []line
	for i := range candidates {
		c := &candidates[i]
		there, err := c.redeemable(b)
		if err != nil {
			return nil, err
		}
		take := min(there-kept.of(c.pledge, b.At(), mine), hours)
		if take <= 0 {
			continue
		}
		lines = append(lines, line{pledge: c.pledge, hours: take, from: c.backing, to: c.earmarked})
		if hours -= take; hours == 0 {
			return lines, nil
		}
	}
	return nil, ErrNoCapacity
}
