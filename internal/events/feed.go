package events

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// maxStretches bounds how many stretches of the journal one call looks at when they have nothing for the viewer.
const maxStretches = 8

// Query is what is asked of a feed.
type Query struct {
	Viewer
	// After is a Next of before, or 0 for the beginning.
	After int64
	// Types are what is wanted; none stand for all.
	Types []Type
	// Limit is how many at most.
	Limit int

	// bare is for who asks which events there are, and not what they say.
	bare bool
}

// Read returns the events that follow After. A page may be empty and yet have more after it.
func (f *Feed) Read(ctx context.Context, q Query) (Page, error) {
	upTo, err := f.horizon.Move(ctx)
	if err != nil {
		return Page{}, err
	}
	p, err := f.readUpTo(ctx, q, upTo)
	if err != nil {
		return Page{}, err
	}
	p.Own, err = f.ownOf(ctx, q.Viewer, p.Events)
	return p, err
}

// Latest returns the place after everything that there is now.
func (f *Feed) Latest(ctx context.Context) (int64, error) { return f.horizon.Move(ctx) }

// readUpTo is Read without looking how far the horizon has come, and whose the accounts are. What is asked for from beyond it, another process has seen.
func (f *Feed) readUpTo(ctx context.Context, q Query, upTo int64) (Page, error) {
	p := Page{Next: q.After}
	for range maxStretches {
		if p.Next >= upTo || len(p.Events) > 0 {
			break
		}
		q.After = p.Next
		var err error
		if p.Events, p.Next, err = f.stretch(ctx, q, upTo); err != nil {
			return Page{}, fmt.Errorf("events: read: %w", err)
		}
	}
	p.More = p.Next < upTo
	return p, nil
}

// stretch puts what the journal and the table of events have into one order, as far as both are known.
func (f *Feed) stretch(ctx context.Context, q Query, upTo int64) (found []Event, next int64, err error) {
	transactions, next, err := f.books.Forward(ctx, ledger.Stretch{
		After: q.After, UpTo: upTo, Owner: q.owner(), Kinds: kindsOf(q.Types), Limit: q.Limit, Bare: q.bare,
	})
	if err != nil {
		return nil, 0, err
	}
	if types, some := toldOf(q.Types); some {
		if found, err = selectTold(ctx, f.db, q, types, next); err != nil {
			return nil, 0, err
		}
	}
	for _, t := range transactions {
		found = append(found, eventOf(t))
	}
	slices.SortFunc(found, func(a, b Event) int { return int(a.Seq - b.Seq) })
	if len(found) > q.Limit {
		found = found[:q.Limit]
	}
	if len(found) == q.Limit {
		next = found[q.Limit-1].Seq
	}
	return found, next, nil
}

// at returns the events with these seqs, as they are in a page of the viewer's feed.
func (f *Feed) at(ctx context.Context, v Viewer, seqs []int64) (p Page, err error) {
	if p.Events, err = selectToldAt(ctx, f.db, seqs); err != nil {
		return Page{}, fmt.Errorf("events: read: %w", err)
	}
	transactions, err := f.books.At(ctx, seqs)
	if err != nil {
		return Page{}, fmt.Errorf("events: read: %w", err)
	}
	for _, t := range transactions {
		p.Events = append(p.Events, eventOf(t))
	}
	p.Own, err = f.ownOf(ctx, v, p.Events)
	return p, err
}

func eventOf(t *ledger.Transaction) Event {
	return Event{Seq: t.Seq, ID: t.ID, Type: journal[t.Kind], Object: objectOf(t), At: t.CreatedAt, Transaction: t}
}

func (f *Feed) ownOf(ctx context.Context, v Viewer, events []Event) (map[uuid.UUID]struct{}, error) {
	if v.owner() == uuid.Nil {
		return nil, nil
	}
	var accounts []uuid.UUID
	for _, e := range events {
		if e.Transaction != nil {
			for _, p := range e.Transaction.Postings {
				accounts = append(accounts, p.From, p.To)
			}
		}
	}
	if len(accounts) == 0 {
		return map[uuid.UUID]struct{}{}, nil
	}
	slices.SortFunc(accounts, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return f.books.OwnedOf(ctx, v.owner(), slices.Compact(accounts))
}

const (
	selectToldSQL = `SELECT seq, id, type, object_type, object_id, data, created_at FROM events WHERE `

	selectToldAtSQL = `
SELECT e.seq, e.id, e.type, e.object_type, e.object_id, e.data, e.created_at FROM unnest($1::bigint[]) AS wanted (seq)
CROSS JOIN LATERAL (SELECT * FROM events WHERE events.seq = wanted.seq OFFSET 0) AS e`

	// Of a filter that is not there, nothing is said, so that each has a plan and an index of its own.
	toldAfterSQL = `seq > $1 AND seq <= $2 AND ($4::text[] IS NULL OR type = ANY($4)) `
)

func selectTold(ctx context.Context, db querier, q Query, types []Type, upTo int64) ([]Event, error) {
	args := []any{q.After, upTo, q.Limit, types}
	owned := ""
	switch {
	case q.HolderID != uuid.Nil:
		owned, args = "AND holder_id = $5 ", append(args, q.HolderID)
	case q.ProviderID != uuid.Nil:
		owned, args = "AND provider_id = $5 ", append(args, q.ProviderID)
	}
	rows, err := db.Query(ctx, selectToldSQL+toldAfterSQL+owned+`ORDER BY seq LIMIT $3`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanTold)
}

func selectToldAt(ctx context.Context, db querier, seqs []int64) ([]Event, error) {
	rows, err := db.Query(ctx, selectToldAtSQL, seqs)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanTold)
}

func scanTold(row pgx.CollectableRow) (e Event, err error) {
	err = row.Scan(&e.Seq, &e.ID, &e.Type, &e.Object.Type, &e.Object.ID, &e.Data, &e.At)
	e.At = e.At.UTC()
	return e, err
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}
