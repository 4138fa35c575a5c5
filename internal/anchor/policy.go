package anchor

import (
	"time"

	"github.com/shopspring/decimal"
)

// EpochPolicy is how far and how fast the anchor may move.
type EpochPolicy struct {
	// MaxDecrease is the share of its k that a class loses at most in one epoch: greater than 0 and less than 1.
	MaxDecrease decimal.Decimal
	// Notice is how long ahead an epoch is announced, and the end of mints of a class whose sunset is. Two seconds are always left.
	Notice time.Duration
	// SunsetNotice is how long ahead the sunset itself is announced.
	SunsetNotice time.Duration
	// DraftLife is how old a draft may be when it is announced: its prices are as old.
	DraftLife time.Duration
}

const (
	defaultNotice       = 7 * 24 * time.Hour
	defaultSunsetNotice = 90 * 24 * time.Hour
	defaultDraftLife    = 14 * 24 * time.Hour
)

// leastAhead is how far ahead everything is announced, even where the policy asks for no notice at all. The guards
// epochs_are_announced_ahead and class_sunsets_are_announced_ahead want a second to be left at COMMIT; the other one is for getting there.
const leastAhead = 2 * time.Second

// notice is how long ahead an epoch, or the end of a class's mints, is announced at least.
func (p EpochPolicy) notice() time.Duration { return max(p.Notice, leastAhead) }

// DefaultEpochPolicy is a fifth per epoch, a week's notice of an epoch and ninety days' of a sunset, and drafts of two weeks.
func DefaultEpochPolicy() EpochPolicy {
	return EpochPolicy{
		MaxDecrease: decimal.New(2, -1), Notice: defaultNotice, SunsetNotice: defaultSunsetNotice, DraftLife: defaultDraftLife,
	}
}
