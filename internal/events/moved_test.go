package events_test

import (
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/events"
)

// movable is an endpoint of a holder, and a function that gives it another URL.
func movable(o *office) (v events.Viewer, e *events.Endpoint, pay, move func()) {
	alice, a := o.holder(2)
	v = events.Viewer{HolderID: alice}
	e = o.endpoint(v)
	return v, e, func() { o.submit(transfer(a[0], a[1])) }, func() {
		moved := e.URL + "/moved"
		if _, err := o.webhooks.Update(o.t.Context(), v, e.ID, events.Change{URL: &moved}); err != nil {
			o.t.Error(err)
		}
	}
}

// A URL that says it is gone, when its owner has just put another in its place, says nothing of that one: what it did not take is sent there.
func TestAnOldURLThatIsGoneDoesNotDisableTheNew(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	v, e, pay, move := movable(o)
	asked := map[string]int{}
	o.post.answer = func(m events.Message) events.Reply {
		if asked[m.URL]++; m.URL != e.URL {
			return events.Reply{HTTPStatus: 200}
		}
		move()
		return events.Reply{HTTPStatus: 410}
	}
	pay()
	if _, err := o.relay.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sent, err := o.courier.Deliver(t.Context()); err != nil || sent != 1 {
		t.Fatalf("sent %d, %v", sent, err)
	}
	if now := o.status(v, e); now.Status != events.EndpointEnabled || !now.FailingSince.IsZero() {
		t.Errorf("the endpoint with its new URL is %s since the old one failed, failing since %s", now.Status, now.FailingSince)
	}
	o.work()
	if asked[e.URL] != 1 || asked[e.URL+"/moved"] != 1 || len(o.deliveries(v, e, events.DeliveryDelivered)) != 1 {
		t.Errorf("asked were %v", asked)
	}
}

// Nor does one that fails for the last time of days of failure; and with another URL, an endpoint has not failed yet.
func TestAnOldURLThatFailedForDaysDoesNotDisableTheNew(t *testing.T) {
	t.Parallel()
	for when, moves := range map[string]func(tries int, move func()) func(){
		"before the last try": func(tries int, move func()) func() {
			if tries == 9 {
				move()
			}
			return func() {}
		},
		"during the last try": func(tries int, move func()) func() {
			if tries == 9 {
				return move
			}
			return func() {}
		},
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			v, e, pay, move := movable(o)
			pay()
			tries, during := 0, func() {}
			o.post.answer = func(events.Message) events.Reply {
				tries++
				during()
				return events.Reply{HTTPStatus: 500}
			}
			for o.work(); tries < 10; o.work() {
				if since := o.status(v, e).FailingSince; since.IsZero() {
					t.Fatal("what failed is not failing")
				}
				during = moves(tries, move)
				o.clock.Set(o.deliveries(v, e, events.DeliveryPending)[0].NextAt)
			}
			if given := o.deliveries(v, e, events.DeliveryFailed); len(given) != 1 || tries != 10 {
				t.Fatalf("%d were given up after %d tries", len(given), tries)
			}
			now := o.status(v, e)
			if now.Status != events.EndpointEnabled || o.clock.Now().Sub(now.FailingSince) > time.Hour && !now.FailingSince.IsZero() {
				t.Errorf("the endpoint with its new URL is %s, failing since %s, at %s", now.Status, now.FailingSince, o.clock.Now())
			}
		})
	}
}
