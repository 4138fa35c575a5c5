package redeem

import (
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
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
	pledge             uuid.UUID
	backing, earmarked uuid.UUID
	expiresAt          time.Time
	// hours is what backed tokens when it was looked at, without a lock.
	hours int64
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

// allocate takes hours from the candidates in their order, as the locked accounts hold them. It returns ErrNoCapacity where
// they do not suffice.
func allocate(b *ledger.Book, candidates []candidate, hours int64) ([]line, error) {
	var lines []line
	for _, c := range candidates {
		held, err := b.Balance(c.backing)
		if err != nil {
			return nil, err
		}
		take := min(held, hours)
		if take == 0 || !c.expiresAt.After(b.At()) {
			continue
		}
		lines = append(lines, line{pledge: c.pledge, hours: take, from: c.backing, to: c.earmarked})
		if hours -= take; hours == 0 {
			return lines, nil
		}
	}
	return nil, ErrNoCapacity
}
