// Package events tells each what happens to its own things: as a feed that is read, and as webhooks that are sent.
//
// Everything is in one order, that of the journal's seq. Transactions are events as they are, so that the write path pays nothing for them;
// what is not a transaction (the steps of a redemption, say) has a row in the table events, which a trigger writes with what it tells of.
// Nothing is read beyond the ledger's Horizon, and so nothing is ever passed over.
package events

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Viewer is whose events are seen: a holder's, a provider's, or, where it is neither, all.
type Viewer struct{ HolderID, ProviderID uuid.UUID }

// owner is the nil UUID for one who sees all.
func (v Viewer) owner() uuid.UUID {
	if v.HolderID != uuid.Nil {
		return v.HolderID
	}
	return v.ProviderID
}

// Event is something that happened.
type Event struct {
	// Seq is its place in the order of the journal.
	Seq int64
	// ID never changes, whoever sees it and however often it is sent.
	ID     uuid.UUID
	Type   Type
	Object Object
	At     time.Time
	// Transaction is the one that the event is, or nil.
	Transaction *ledger.Transaction
	// Data is what is told of another event: a JSON object with ids as UUIDs and amounts in minor units.
	Data []byte
}

// Page is some events, oldest first.
type Page struct {
	Events []Event
	// Own has those accounts of the events' transactions that are the viewer's; nil for one who sees all.
	Own map[uuid.UUID]struct{}
	// Next is where the page after this one begins.
	Next int64
	// More says that asking for it now may bring something.
	More bool
}

// Feed reads events. It may be used from many goroutines.
type Feed struct {
	db      *pgxpool.Pool
	books   *ledger.Ledger
	horizon *ledger.Horizon
}

// NewFeed returns the feed of the database of db, which books must write to and horizon be of.
func NewFeed(db *pgxpool.Pool, books *ledger.Ledger, horizon *ledger.Horizon) *Feed {
	return &Feed{db: db, books: books, horizon: horizon}
}
