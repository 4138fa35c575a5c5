package anchor

import "time"

// IndexPolicy is what decides whether the index of a class is to be believed.
type IndexPolicy struct {
	// MinSources is how many sources must have a voice about a class, 3 by default: with fewer it is thin.
	MinSources int
	// QuoteMaxAge is how long after it was observed a quote counts, 30 days by default, in whole seconds.
	QuoteMaxAge time.Duration
	// CarryLimit is how long the last price of a class that has too few sources is carried forward, 7 days by default, in whole
	// seconds.
	CarryLimit time.Duration
	// MintStopAfter is how long the index of a class may be stale or thin before its mints stop, 7 days by default.
	MintStopAfter time.Duration
}

const day = 24 * time.Hour

// DefaultIndexPolicy is the policy of a ledger that has not decided on another one.
func DefaultIndexPolicy() IndexPolicy {
	return IndexPolicy{MinSources: 3, QuoteMaxAge: 30 * day, CarryLimit: 7 * day, MintStopAfter: 7 * day}
}

// IndexStatus says how far the index of a class is to be believed.
type IndexStatus string

// The statuses. Of a class with enough sources the index is fresh. With too few, it is the last fresh price for a time: carried. After
// that it is thin while there is a source at all, and stale when there is none.
const (
	IndexFresh   IndexStatus = "fresh"
	IndexCarried IndexStatus = "carried"
	IndexThin    IndexStatus = "thin"
	IndexStale   IndexStatus = "stale"
)

// Doubtful tells whether it is stale or thin, which stops mints if it lasts.
func (s IndexStatus) Doubtful() bool { return s == IndexStale || s == IndexThin }
