package events_test

import (
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/ledger"
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

// While others need the machine more, an endpoint waits with no more than is sent soon, and the metrics say what it has not got yet. It has it all
// when they do not any more.
func TestWhileBusyLessIsHandedOver(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	o.endpoint(events.Viewer{HolderID: alice})
	var commands []*ledger.Command
	for range 500 {
		commands = append(commands, transfer(a[0], a[1]))
	}
	o.submit(commands...)
	busy := true
	o.relay.Busy = func() bool { return busy }
	asked := 0
	o.courier.Busy = func() bool { asked++; return asked == 1 } // Until it has sent, so that nobody waits for its turn to pass.
	handOver := func() (made int) {
		for n := 1; n > 0; made += n {
			var err error
			if n, err = o.relay.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return made
	}
	o.clock.Advance(time.Hour)
	if made := handOver(); made != 64 {
		t.Errorf("%d were handed over at first", made)
	}
	if _, err := o.courier.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := o.backlog(); got.Due != 48 || got.Behind != time.Hour {
		t.Errorf("when some are sent: %+v", got)
	}
	if made := handOver(); made != 16 {
		t.Errorf("%d were handed over in place of 16", made)
	}
	busy = false
	o.work()
	if sent := len(o.post.take()); sent != 500 {
		t.Errorf("%d were sent of 500", sent)
	}
}
