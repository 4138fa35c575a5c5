package events_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/events"
)

// tarPit is a network in which some endpoints take what they are sent and answer none of it: until patience has run out or, where held is set, until
// that is closed.
type tarPit struct {
	mu    sync.Mutex
	slow  map[string]bool
	calls map[string]int
	held  chan struct{}
	// arrived has a message for each call that is held, or would be.
	arrived chan struct{}
}

const shortPatience = time.Millisecond

func (p *tarPit) Send(ctx context.Context, m events.Message) events.Reply {
	p.mu.Lock()
	p.calls[m.URL]++
	slow, held := p.slow[m.URL], p.held
	p.mu.Unlock()
	if !slow {
		return events.Reply{HTTPStatus: 200}
	}
	if held == nil {
		time.Sleep(2 * shortPatience) // What it simulates is that this passes.
		return events.Reply{Outcome: events.OutcomeNoAnswer}
	}
	p.arrived <- struct{}{}
	select {
	case <-held:
		return events.Reply{HTTPStatus: 200}
	case <-ctx.Done():
		return events.Reply{Outcome: events.OutcomeNoAnswer}
	}
}

// Endpoints that do not answer, however many, hold only some of a process's couriers, and each only for what it sends at the same time. The others
// deliver to those that are well, and to the slow ones too, in turn, whatever is due.
func TestEndpointsThatHangDoNotHoldEveryCourier(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	mallory, m := o.holder(2)
	bob, b := o.holder(2)
	pit := &tarPit{slow: map[string]bool{}, calls: map[string]int{}, arrived: make(chan struct{}, 1000)}
	o.courier.Sender = pit
	o.courier.SetPatience(shortPatience)
	var hanging []*events.Endpoint
	for range 4 {
		e := o.endpoint(events.Viewer{HolderID: mallory})
		hanging, pit.slow[e.URL] = append(hanging, e), true
	}
	for range 30 {
		o.submit(transfer(m[0], m[1]))
	}
	o.handOver()
	for range hanging { // Each is met with once, and is not waited for longer than it takes to see that.
		if n, err := o.courier.Deliver(t.Context()); n != 8 || err != nil {
			t.Fatalf("%d of 30 were tried (%v)", n, err)
		}
	}

	pit.mu.Lock()
	pit.held = make(chan struct{})
	pit.mu.Unlock()
	var couriers sync.WaitGroup
	for range 2 {
		couriers.Go(func() {
			if n, err := o.courier.Deliver(t.Context()); n != 8 || err != nil {
				t.Errorf("%d were tried again (%v)", n, err)
			}
		})
	}
	for range 16 {
		<-pit.arrived
	}
	// Both other slow ones have something due, and must not be waited for.
	waiting, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if n, err := o.courier.Deliver(waiting); n != 0 || err != nil {
		t.Fatalf("a third courier sent %d to those that hang (%v)", n, err)
	}
	well := o.endpoint(events.Viewer{HolderID: bob})
	o.submit(transfer(b[0], b[1]))
	o.handOver()
	if n, err := o.courier.Deliver(waiting); n != 1 || err != nil || pit.calls[well.URL] != 1 {
		t.Fatalf("the third courier sent %d, %v", n, err)
	}

	close(pit.held)
	couriers.Wait()
	o.clock.Advance(time.Minute) // What was tried and failed is due again.
	o.drain()
	for _, e := range hanging {
		if n := len(o.deliveries(events.Viewer{HolderID: mallory}, e, events.DeliveryDelivered)); n != 30 {
			t.Errorf("when all answer again, %d of 30 are delivered", n)
		}
	}
}

// handOver has the relay make the deliveries of all that happened.
func (o *office) handOver() {
	o.t.Helper()
	for made := 1; made > 0; {
		var err error
		if made, err = o.relay.Run(o.t.Context()); err != nil {
			o.t.Fatal(err)
		}
	}
}

// drain sends until nothing is due.
func (o *office) drain() {
	o.t.Helper()
	for sent := 1; sent > 0; {
		var err error
		if sent, err = o.courier.Deliver(o.t.Context()); err != nil {
			o.t.Fatal(err)
		}
	}
}
