package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
)

const (
	// relayPage is how many events are handed over at once.
	relayPage = 200
	// maxPending is how many deliveries of one endpoint may wait. The rest stays where it is, in the journal, and costs nothing until then.
	maxPending = 400
	// busyPending is the same while the process has better things to do: enough for its couriers to have a batch at any time, and not more.
	busyPending = 4 * busyBatch
	// relayLease is for how long the relay belongs to a process that has not said so again.
	relayLease = 10 * time.Second
	// relayWindow is how many places of the order are looked at at once for endpoints that have had everything so far.
	relayWindow = 5000
)

// Relay makes deliveries of what happened, for every endpoint from where it is to the horizon. One process at a time does so for all. It is
// used from one goroutine.
type Relay struct {
	db   *pgxpool.Pool
	feed *Feed
	self uuid.UUID
	// Busy says that others need the machine more. Then no more is handed over than is sent soon. Nil for never.
	Busy func() bool
	// looked is how far it is known of every endpoint that is not behind whether there is something for it.
	looked int64
	// known has the endpoints that were seen before, and behind those that may have more to get, with the place from which on.
	known  map[uuid.UUID]bool
	behind map[uuid.UUID]int64
}

// NewRelay returns a relay that knows of no endpoint yet.
func NewRelay(db *pgxpool.Pool, feed *Feed) *Relay {
	return &Relay{db: db, feed: feed, self: id.New(), known: map[uuid.UUID]bool{}, behind: map[uuid.UUID]int64{}}
}

// target is an endpoint as the relay sees it.
type target struct {
	id       uuid.UUID
	owner    Viewer
	types    []string
	position int64
	pending  int
}

// Run hands over what is new, and returns how many deliveries it made; 0 once there are no more for now. It may be called at any time, by
// any number of processes at once, and be cut off: each event becomes one delivery of an endpoint.
func (r *Relay) Run(ctx context.Context) (made int, err error) {
	targets, mine, err := r.begin(ctx)
	if err != nil || !mine || len(targets) == 0 {
		r.forget()
		return 0, err
	}
	upTo, err := r.feed.horizon.Move(ctx)
	if err != nil {
		return 0, err
	}
	if err := r.look(ctx, targets, upTo); err != nil {
		return 0, err
	}
	most := r.most()
	for _, t := range targets {
		from, some := r.behind[t.id]
		if !some || t.pending >= most {
			continue
		}
		n, err := r.handOver(ctx, t, max(from, t.position), upTo, min(relayPage, most-t.pending))
		if err != nil {
			return made, err
		}
		made += n
	}
	return made, nil
}

// most is how many deliveries of one endpoint may wait now.
func (r *Relay) most() int {
	if r.Busy != nil && r.Busy() {
		return busyPending
	}
	return maxPending
}

// forget makes it begin anew: what others have done meanwhile, it does not know.
func (r *Relay) forget() {
	clear(r.known)
	clear(r.behind)
}

const (
	holdRelaySQL = `
UPDATE webhook_relay SET held = $1, until = ballast_now() + $2::interval
WHERE (held = $1 OR until <= ballast_now()) AND EXISTS (SELECT FROM webhook_endpoints WHERE status = 'enabled')`

	targetsSQL = `
SELECT e.id, COALESCE(e.holder_id, '00000000-0000-0000-0000-000000000000'), COALESCE(e.provider_id, '00000000-0000-0000-0000-000000000000'),
       e.event_types, e.position,
       (SELECT count(*) FROM (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.status = 'pending' LIMIT $1) AS waiting)
FROM webhook_endpoints e WHERE e.status = 'enabled'`
)

// begin returns the endpoints that are sent to, and whether it is this relay's turn.
func (r *Relay) begin(ctx context.Context) (targets []target, mine bool, err error) {
	tag, err := r.db.Exec(ctx, holdRelaySQL, r.self, relayLease)
	if err != nil || tag.RowsAffected() == 0 {
		return nil, false, wrap("hold the relay", err)
	}
	err = byIndex(ctx, r.db, func(rows pgx.Rows) (err error) {
		targets, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t target, err error) {
			err = row.Scan(&t.id, &t.owner.HolderID, &t.owner.ProviderID, &t.types, &t.position, &t.pending)
			return t, err
		})
		return err
	}, targetsSQL, maxPending)
	return targets, true, wrap("endpoints", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("events: %s: %w", what, err)
}

// Those who see everything are touched by whatever happens. Beside them, owners are found by what was moved and what was told.
const touchedSQL = `
SELECT DISTINCT owner FROM (
    SELECT COALESCE(a.holder_id, a.provider_id) AS owner FROM postings p
    CROSS JOIN LATERAL (SELECT holder_id, provider_id FROM accounts WHERE accounts.id = p.from_account
                        UNION ALL SELECT holder_id, provider_id FROM accounts WHERE accounts.id = p.to_account OFFSET 0) AS a
    WHERE p.seq > $1 AND p.seq <= $2
    UNION ALL SELECT holder_id FROM events WHERE seq > $1 AND seq <= $2
    UNION ALL SELECT provider_id FROM events WHERE seq > $1 AND seq <= $2
) AS touched WHERE owner = ANY($3)`

// look finds out which of the endpoints that have had everything so far have something new. Where none of them has, they all are told apart
// by one look at what is new; and while all are behind anyway, there is nothing to look for.
func (r *Relay) look(ctx context.Context, targets []target, upTo int64) error {
	r.forgetOthers(targets)
	var idle []target
	for _, t := range targets {
		if _, late := r.behind[t.id]; late {
			continue
		}
		if !r.known[t.id] { // Whatever it has missed, it says itself.
			r.known[t.id], r.behind[t.id] = true, t.position
			continue
		}
		idle = append(idle, t)
	}
	if len(idle) == 0 {
		r.looked = upTo
		return nil
	}
	for r.looked < upTo {
		to := min(upTo, r.looked+relayWindow)
		touched, err := r.touched(ctx, idle, to)
		if err != nil {
			return err
		}
		for _, t := range idle {
			if _, late := r.behind[t.id]; !late && (t.owner.owner() == uuid.Nil || slices.Contains(touched, t.owner.owner())) {
				r.behind[t.id] = r.looked
			}
		}
		r.looked = to
	}
	return nil
}

// forgetOthers forgets endpoints that are not sent to: when they are again, they have missed something.
func (r *Relay) forgetOthers(targets []target) {
	for endpoint := range r.known {
		if !slices.ContainsFunc(targets, func(t target) bool { return t.id == endpoint }) {
			delete(r.known, endpoint)
			delete(r.behind, endpoint)
		}
	}
}

func (r *Relay) touched(ctx context.Context, idle []target, to int64) ([]uuid.UUID, error) {
	var owners []uuid.UUID
	for _, t := range idle {
		if owner := t.owner.owner(); owner != uuid.Nil {
			owners = append(owners, owner)
		}
	}
	if len(owners) == 0 {
		return nil, nil
	}
	rows, err := r.db.Query(ctx, touchedSQL, r.looked, to, owners)
	if err != nil {
		return nil, wrap("look", err)
	}
	touched, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	return touched, wrap("look", err)
}

// Moving on and making the deliveries are one statement. If another has moved the endpoint on, or it was disabled, there is nothing to do.
const handOverSQL = `
WITH moved AS (
    UPDATE webhook_endpoints SET position = $2 WHERE id = $1 AND position = $3 AND status = 'enabled' RETURNING id
)
INSERT INTO webhook_deliveries (id, endpoint_id, seq, event_id, event_type, object_id)
SELECT n.id, moved.id, n.seq, n.event_id, n.event_type, n.object_id
FROM moved, unnest($4::uuid[], $5::bigint[], $6::uuid[], $7::text[], $8::uuid[]) AS n (id, seq, event_id, event_type, object_id)
ON CONFLICT ON CONSTRAINT webhook_deliveries_once DO NOTHING`

// handOver makes deliveries of a page of what the owner of an endpoint sees.
func (r *Relay) handOver(ctx context.Context, t target, from, upTo int64, page int) (int, error) {
	types, known := Select(t.types)
	if !known { // A type that there was once. What is left of the words may be none, which is not all.
		types, _ = Select(slices.DeleteFunc(slices.Clone(t.types), func(word string) bool { _, ok := Select([]string{word}); return !ok }))
		types = append(types, WebhookTest)
	}
	p, err := r.feed.readUpTo(ctx, Query{Viewer: t.owner, After: from, Types: types, Limit: page, bare: true}, upTo)
	if err != nil {
		return 0, err
	}
	var ids, events, objects []uuid.UUID
	var seqs []int64
	var names []string
	for _, e := range p.Events {
		if e.Type == WebhookTest { // It is sent to the endpoint that is tested, by whoever asked for it.
			continue
		}
		ids, seqs, events = append(ids, id.New()), append(seqs, e.Seq), append(events, e.ID)
		names, objects = append(names, string(e.Type)), append(objects, e.Object.ID)
	}
	if p.More {
		r.behind[t.id] = p.Next
	} else {
		delete(r.behind, t.id)
	}
	if len(ids) == 0 && p.Next-t.position < relayWindow {
		return 0, nil // Where it is does not matter much, so that it is not written each time that something happens to nobody.
	}
	tag, err := r.db.Exec(ctx, handOverSQL, t.id, p.Next, t.position, ids, seqs, events, names, objects)
	if err != nil {
		return 0, wrap("hand over", err)
	}
	if tag.RowsAffected() == 0 && len(ids) > 0 {
		r.behind[t.id] = 0 // Another has moved it; what is next, the endpoint itself says.
	}
	return int(tag.RowsAffected()), nil
}
