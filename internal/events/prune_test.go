package events_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/events"
)

func (o *office) prune(want int) {
	o.t.Helper()
	if n, err := events.PruneDeliveries(o.t.Context(), o.db.App); err != nil || n != want {
		o.t.Fatalf("%d were pruned, not %d (%v)", n, want, err)
	}
}

func (o *office) attempts() (n int) {
	o.t.Helper()
	if err := o.db.App.QueryRow(o.t.Context(), `SELECT count(*) FROM webhook_attempts`).Scan(&n); err != nil {
		o.t.Fatal(err)
	}
	return n
}

// What has ended is kept for 30 days from its end, with its log. What is pending stays, however old it is, and what was sent again is as
// new as that. What was pruned is not sent again.
func TestEndedDeliveriesArePruned(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	v := events.Viewer{HolderID: alice}
	ends, waits := o.endpoint(v), o.endpoint(v)
	o.post.answer = func(m events.Message) events.Reply {
		if m.URL == waits.URL {
			return events.Reply{Outcome: events.OutcomeNoAnswer}
		}
		return events.Reply{HTTPStatus: 200}
	}
	o.submit(transfer(a[0], a[1]))
	o.work()
	disabled := events.EndpointDisabled // What is pending stays so from now on.
	if _, err := o.webhooks.Update(t.Context(), v, waits.ID, events.Change{Status: &disabled}); err != nil {
		t.Fatal(err)
	}
	o.work()
	first := o.deliveries(v, ends, events.DeliveryDelivered)
	if len(first) != 2 || o.attempts() != 3 { // The transfer, and that the other is disabled.
		t.Fatalf("%d were delivered in %d attempts", len(first), o.attempts())
	}

	const month = 30 * 24 * time.Hour
	o.clock.Set(first[1].EndedAt.Add(month - time.Millisecond))
	o.prune(0)
	if _, err := o.webhooks.Replay(t.Context(), v, ends.ID, first[1].ID); err != nil {
		t.Fatal(err)
	}
	o.clock.Advance(time.Hour)
	o.prune(1) // The one that is to be sent again has no end now.
	o.work()
	if left := o.deliveries(v, ends, ""); len(left) != 1 || left[0].ID != first[1].ID || len(left[0].Attempts) != 2 {
		t.Fatalf("left are %v", left)
	}
	o.clock.Advance(month - time.Second)
	o.prune(0)
	o.clock.Advance(time.Second)
	o.prune(1)
	o.prune(0)
	if n := len(o.deliveries(v, waits, events.DeliveryPending)); n != 1 || o.attempts() != 1 {
		t.Errorf("%d are pending, and %d attempts are left", n, o.attempts())
	}
	o.post.take()
	if o.work(); len(o.post.take()) != 0 {
		t.Error("what was pruned is sent again")
	}
}

// A call goes on, piece by piece, until nothing old is left.
func TestPruningGoesOnInPieces(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, _ := o.holder(1)
	e := o.endpoint(events.Viewer{HolderID: alice})
	o.exec(`INSERT INTO webhook_deliveries (id, endpoint_id, seq, event_id, event_type, object_id, status, ended_at)
		SELECT gen_random_uuid(), $1, 1000 + n, gen_random_uuid(), 'mint.created', $2, 'failed', ballast_now() FROM generate_series(1, 2001) AS n`, e.ID, uuid.New())
	o.prune(0)
	o.clock.Advance(30 * 24 * time.Hour)
	o.prune(2001)
}
