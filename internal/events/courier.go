package events

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/vault"
)

const (
	// batch is how many deliveries to one endpoint a process takes at once, and atOnce how many of them it sends at the same time.
	batch  = 64
	atOnce = 8
	// busyBatch is what it takes at once while it has better things to do: each waits for its turn, and no endpoint for long.
	busyBatch = 16
	// sendTimeout bounds one try, and lease is for how long an endpoint belongs to the process that sends to it: longer than all of its
	// tries can take, the last of which begins when patience ends.
	sendTimeout = 15 * time.Second
	lease       = patience + sendTimeout + time.Minute
)

// Message is what is sent to an endpoint.
type Message struct {
	URL string
	// ID names the event, and is the same however often it is sent.
	ID uuid.UUID
	// At is when this try is made.
	At   time.Time
	Body []byte
	// Secrets are those to sign with.
	Secrets []string
}

// Reply is what came of it: an answer with its status, or one of the outcomes without one.
type Reply struct {
	HTTPStatus int
	Outcome    Outcome
}

// Sender sends signed messages over HTTP, which the domain knows nothing of.
type Sender interface {
	// Send sends one message. Where there was an answer, Outcome is empty.
	Send(ctx context.Context, m Message) Reply
}

// Encode writes an event as one may see it whose accounts are own, or who sees all where it is nil: what the feed has.
type Encode func(e *Event, own map[uuid.UUID]struct{}) ([]byte, error)

// Observer is told of attempts. Its methods must return at once.
type Observer interface {
	// Attempted reports one try.
	Attempted(o Outcome, took time.Duration)
}

// Courier sends deliveries that are due. It may be used from many goroutines and processes at once: each endpoint is sent to by one of
// them at a time, and of the events of one object each only when the one before it has been delivered or given up.
type Courier struct {
	DB     *pgxpool.Pool
	Feed   *Feed
	Vault  *vault.Vault
	Sender Sender
	Encode Encode
	// Observer is told of attempts; nil for nobody.
	Observer Observer
	// Busy says that others need the machine more. Then the courier sends no more than BusyRate a second.
	Busy func() bool

	// passed is when the last turn that was given will have passed: by that all goroutines together keep to the rate.
	turn   sync.Mutex
	passed time.Time

	pace pace
	// patience is another than the constant, in tests.
	patience time.Duration
}

// BusyRate is how many deliveries a second a courier makes while the process has better things to do. At a millisecond of CPU each, on a machine
// that has none left, that is a fortieth of a core.
const BusyRate = 25

// Deliver sends what is due to one endpoint, and returns how many deliveries it tried; 0 where nothing is due, or others are at it, or as many as may
// be are with endpoints that are slow, and there is nothing else to do.
func (c *Courier) Deliver(ctx context.Context) (int, error) {
	avoid, place := c.pace.enter()
	b, err := c.take(ctx, avoid)
	if place {
		if err == nil && b != nil && c.pace.isSlow(b.endpoint) {
			defer c.pace.leave()
		} else {
			c.pace.leave()
		}
	}
	if err != nil || b == nil {
		return 0, err
	}
	if err := c.load(ctx, b); err != nil {
		return 0, err
	}
	c.sendAll(ctx, b)
	if err := c.finish(context.WithoutCancel(ctx), b); err != nil {
		return 0, err
	}
	tried := b.tried()
	c.giveWay(ctx, tried)
	return tried, nil
}

// bundle is what one process sends to one endpoint.
type bundle struct {
	endpoint uuid.UUID
	owner    Viewer
	url      string
	until    time.Time
	// at is the time of the domain when it was taken, and took how long ago that is.
	at      time.Time
	began   time.Time
	secrets []string
	due     []*parcel
}

// parcel is one delivery in a bundle.
type parcel struct {
	delivery uuid.UUID
	seq      int64
	tries    int
	id       uuid.UUID
	body     []byte
	reply    Reply
	took     time.Duration
}

// load reads what is to be sent: the events as the endpoint's owner sees them, and the secrets.
func (c *Courier) load(ctx context.Context, b *bundle) error {
	seqs := make([]int64, len(b.due))
	for i, p := range b.due {
		seqs[i] = p.seq
	}
	page, err := c.Feed.at(ctx, b.owner, seqs)
	if err != nil {
		return err
	}
	bodies := make(map[int64][]byte, len(seqs))
	for i := range page.Events {
		if bodies[page.Events[i].Seq], err = c.Encode(&page.Events[i], page.Own); err != nil {
			return err
		}
	}
	for _, p := range b.due {
		p.body = bodies[p.seq]
	}
	b.secrets, err = c.secretsOf(ctx, b.endpoint)
	return err
}

// tried is how many of a bundle's deliveries were tried.
func (b *bundle) tried() (n int) {
	for _, p := range b.due {
		if p.reply.Outcome != "" {
			n++
		}
	}
	return n
}

// sendAll sends a bundle, a few at a time, and at least those. What is not sent because ctx ends, or because the endpoint is too slow, has no outcome,
// and is not counted as tried.
func (c *Courier) sendAll(ctx context.Context, b *bundle) {
	began, patient := time.Now(), cmp.Or(c.patience, patience)
	waiting := make(chan *parcel, len(b.due))
	for _, p := range b.due {
		waiting <- p
	}
	close(waiting)
	var senders sync.WaitGroup
	for range min(atOnce, len(b.due)) {
		senders.Go(func() {
			for p := range waiting {
				if c.send(ctx, b, p); time.Since(began) > patient {
					return
				}
			}
		})
	}
	senders.Wait()
	c.pace.note(b.endpoint, time.Since(began) > patient)
}

func (c *Courier) send(ctx context.Context, b *bundle, p *parcel) {
	if ctx.Err() != nil {
		return
	}
	began := time.Now()
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	reply := c.Sender.Send(sending, Message{URL: b.url, ID: p.id, At: b.at.Add(began.Sub(b.began)), Body: p.body, Secrets: b.secrets})
	if p.took = time.Since(began); ctx.Err() != nil && reply.HTTPStatus == 0 {
		return
	}
	p.reply = judge(reply)
	if c.Observer != nil {
		c.Observer.Attempted(p.reply.Outcome, p.took)
	}
}

// judge says what an answer means. 410 says that the endpoint is no more.
func judge(r Reply) Reply {
	switch {
	case r.HTTPStatus == 0:
	case r.HTTPStatus >= 200 && r.HTTPStatus < 300:
		r.Outcome = OutcomeDelivered
	case r.HTTPStatus == 410:
		r.Outcome = OutcomeGone
	default:
		r.Outcome = OutcomeRefused
	}
	return r
}

// most is how many deliveries are taken at once now.
func (c *Courier) most() int {
	if c.busy() {
		return busyBatch
	}
	return batch
}

func (c *Courier) busy() bool { return c.Busy != nil && c.Busy() }

// giveWay waits after so many deliveries while the process has better things to do, until the turns of those who came before have passed and its
// own as well.
func (c *Courier) giveWay(ctx context.Context, sent int) {
	if !c.busy() {
		return
	}
	timer := time.NewTimer(time.Until(c.turnOf(sent)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// turnOf returns when the turn of so many deliveries has passed.
func (c *Courier) turnOf(sent int) time.Time {
	c.turn.Lock()
	defer c.turn.Unlock()
	if now := time.Now(); c.passed.Before(now) {
		c.passed = now
	}
	c.passed = c.passed.Add(time.Duration(sent) * time.Second / BusyRate)
	return c.passed
}
