package events_test

import (
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/events"
)

func (o *office) backlog() events.Backlog {
	o.t.Helper()
	b, err := events.ReadBacklog(o.t.Context(), o.db.App)
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

// What is due counts from when it is, and what is not, does not: a later event of an object, a try whose time has not come, an endpoint that
// is disabled.
func TestBacklogIsWhatIsDue(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	v := events.Viewer{HolderID: alice}
	e := o.endpoint(v)
	want := func(b events.Backlog, why string) {
		t.Helper()
		if got := o.backlog(); got != b {
			t.Errorf("%s: %+v, want %+v", why, got, b)
		}
	}
	want(events.Backlog{}, "nothing has happened")
	o.submit(transfer(a[0], a[1]))
	o.submit(transfer(a[0], a[1]))
	if _, err := o.relay.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.clock.Advance(time.Minute)
	want(events.Backlog{Due: 2, Lag: time.Minute}, "nobody sends")
	o.post.answer = func(events.Message) events.Reply { return events.Reply{Outcome: events.OutcomeNoAnswer} }
	o.work()
	want(events.Backlog{}, "it is tried again later")
	o.clock.Set(o.deliveries(v, e, events.DeliveryPending)[0].NextAt.Add(time.Hour))
	if got := o.backlog(); got.Due != 2 || got.Lag < time.Hour || got.Lag > 2*time.Hour {
		t.Errorf("an hour after it should have been tried: %+v", got)
	}
	disabled := events.EndpointDisabled
	if _, err := o.webhooks.Update(t.Context(), v, e.ID, events.Change{Status: &disabled}); err != nil {
		t.Fatal(err)
	}
	want(events.Backlog{}, "it is disabled")
}

// Of an endpoint that much waits for, the rest stays in the journal, and is as late as it is old.
func TestBacklogTellsOfWhatIsLeftInTheJournal(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	o.endpoint(events.Viewer{HolderID: alice})
	for range 500 {
		o.submit(transfer(a[0], a[1]))
	}
	for made := 1; made > 0; {
		var err error
		if made, err = o.relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o.clock.Advance(time.Hour)
	if got := o.backlog(); got.Due != 400 || got.Lag != time.Hour || got.Behind != time.Hour {
		t.Errorf("an hour later: %+v", got)
	}
	o.work()
	if got := o.backlog(); got != (events.Backlog{}) {
		t.Errorf("when all is sent: %+v", got)
	}
}
