package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/vault"
)

// post is a network that delivers into memory, and fails as it is told to.
type post struct {
	mu   sync.Mutex
	sent []events.Message
	// answer is what comes of the next message; 200 where it is nil.
	answer func(m events.Message) events.Reply
}

func (p *post) Send(_ context.Context, m events.Message) events.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
	if p.answer != nil {
		return p.answer(m)
	}
	return events.Reply{HTTPStatus: 200}
}

func (p *post) take() []events.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.sent
	p.sent = nil
	return sent
}

// plain writes events so that tests can read them.
func plain(e *events.Event, own map[uuid.UUID]struct{}) ([]byte, error) {
	return json.Marshal(map[string]any{"seq": e.Seq, "type": e.Type, "id": e.ID, "own": len(own)})
}

func seqOf(t *testing.T, m events.Message) int64 {
	t.Helper()
	var body struct {
		Seq int64
		ID  uuid.UUID
	}
	if err := json.Unmarshal(m.Body, &body); err != nil || body.ID != m.ID {
		t.Fatalf("a message is %s (%v)", m.Body, err)
	}
	return body.Seq
}

// office is a world with webhooks.
type office struct {
	*world
	t        *testing.T
	clock    *pgtest.Clock
	webhooks *events.Webhooks
	relay    *events.Relay
	courier  *events.Courier
	post     *post
}

func newOffice(t *testing.T) *office {
	t.Helper()
	return newOfficeWith(t, vault.NewKey())
}

// newOfficeWith is one whose secrets are sealed with a key that the test knows.
func newOfficeWith(t *testing.T, key string) *office {
	t.Helper()
	w := newWorld(t)
	clock := pgtest.NewClock(t, w.db, time.Now().Add(time.Hour))
	keys, err := vault.ParseKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	secrets := vault.New(keys, w.db.App)
	p := &post{}
	return &office{
		world: w, t: t, clock: clock, webhooks: events.NewWebhooks(w.db.App, w.feed, secrets), relay: events.NewRelay(w.db.App, w.feed), post: p,
		courier: &events.Courier{DB: w.db.App, Feed: w.feed, Vault: secrets, Sender: p, Encode: plain},
	}
}

func (o *office) inTx(fn func(tx pgx.Tx) error) {
	o.t.Helper()
	if err := pg.InTx(o.t.Context(), o.db.App, pgx.TxOptions{}, fn); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) endpoint(owner events.Viewer, types ...string) (e *events.Endpoint) {
	o.t.Helper()
	o.inTx(func(tx pgx.Tx) (err error) {
		e, err = o.webhooks.CreateTx(o.t.Context(), tx, events.NewEndpoint{
			Owner: owner, CreatedBy: uuid.New(), URL: "https://hooks.example.com/" + uuid.NewString(), Types: types, Secret: "whsec_" + uuid.NewString(),
		})
		return err
	})
	return e
}

// work hands over and sends until there is nothing left to do now.
func (o *office) work() {
	o.t.Helper()
	for {
		made, err := o.relay.Run(o.t.Context())
		if err != nil {
			o.t.Fatal(err)
		}
		sent, err := o.courier.Deliver(o.t.Context())
		if err != nil {
			o.t.Fatal(err)
		}
		if made == 0 && sent == 0 {
			return
		}
	}
}

func (o *office) status(owner events.Viewer, e *events.Endpoint) *events.Endpoint {
	o.t.Helper()
	now, err := o.webhooks.Endpoint(o.t.Context(), owner, e.ID)
	if err != nil {
		o.t.Fatal(err)
	}
	return now
}

func (o *office) deliveries(owner events.Viewer, e *events.Endpoint, status events.DeliveryStatus) []*events.Delivery {
	o.t.Helper()
	found, err := o.webhooks.Deliveries(o.t.Context(), owner, e.ID, events.DeliveryFilter{Status: status, Limit: 200})
	if err != nil {
		o.t.Fatal(err)
	}
	return found
}

// Each endpoint is sent what its owner's feed has from then on, of the types that it wants, once.
func TestEndpointsAreSentWhatTheFeedHas(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	bob, b := o.holder(1)
	carol, c := o.holder(1)
	o.submit(transfer(a[0], b[0])) // Before there is anybody to hear of it.
	ofAlice, ofBob := events.Viewer{HolderID: alice}, events.Viewer{HolderID: bob}
	endpoints := map[string]*events.Endpoint{
		"alice": o.endpoint(ofAlice), "bob": o.endpoint(ofBob, "transfer.*"), "mints": o.endpoint(ofBob, "mint.created"), "all": o.endpoint(events.Viewer{}),
		"provider": o.endpoint(events.Viewer{ProviderID: o.provider}),
	}
	want := map[string][]int64{}
	tell := func(tx *ledger.Transaction, names ...string) {
		for _, name := range names {
			want[endpoints[name].URL] = append(want[endpoints[name].URL], tx.Seq)
		}
	}
	check := func(when string) {
		t.Helper()
		o.work()
		got := map[string][]int64{}
		for _, m := range o.post.take() {
			if len(m.Secrets) != 1 || !m.At.Equal(o.clock.Now()) && m.At.Before(o.clock.Now()) {
				t.Errorf("a message is signed by %d secrets, at %s", len(m.Secrets), m.At)
			}
			got[m.URL] = append(got[m.URL], seqOf(t, m))
		}
		for name, e := range endpoints {
			slices.Sort(got[e.URL])
			if !slices.Equal(got[e.URL], want[e.URL]) {
				t.Errorf("%s: %s was sent %v, want %v", when, name, got[e.URL], want[e.URL])
			}
		}
		clear(want)
	}
	check("at first")
	for range 3 {
		tell(o.submit(transfer(a[0], b[0])), "alice", "bob", "all")
		tell(o.submit(transfer(a[0], a[1])), "alice", "all")
		tell(o.submit(transfer(a[1], c[0])), "alice", "all")
		tell(o.submit(transfer(c[0], b[0])), "bob", "all")
		check("later")
	}
	mint := &ledger.Command{Kind: ledger.KindMint, Call: call(), Moves: []ledger.Move{{From: o.issuance, To: b[0], Amount: money.Micros(5)}}}
	tell(o.submit(mint), "mints", "provider", "all")
	check("of a mint")
	_ = carol

	// A relay that begins anew, as after a restart, sends nothing twice, and nothing that happened meanwhile is lost.
	tell(o.submit(transfer(a[0], b[0])), "alice", "bob", "all")
	o.relay = events.NewRelay(o.db.App, o.feed)
	o.clock.Advance(time.Minute)
	check("after a restart")
}

// Of two relays one works; when it is gone, the other goes on from where it was.
func TestOneRelayAtATime(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	e := o.endpoint(events.Viewer{HolderID: alice})
	other := events.NewRelay(o.db.App, o.feed)
	o.work()
	o.submit(transfer(a[0], a[1]))
	if made, err := other.Run(t.Context()); err != nil || made != 0 {
		t.Fatalf("the other relay made %d deliveries (%v) while it was not its turn", made, err)
	}
	o.clock.Advance(11 * time.Second)
	if made, err := other.Run(t.Context()); err != nil || made != 1 {
		t.Fatalf("the other relay made %d deliveries (%v) in its turn", made, err)
	}
	if made, err := o.relay.Run(t.Context()); err != nil || made != 0 {
		t.Fatalf("the first relay made %d more (%v)", made, err)
	}
	if n := len(o.deliveries(events.Viewer{HolderID: alice}, e, "")); n != 1 {
		t.Errorf("there are %d deliveries of one event", n)
	}
}

// What fails is tried again after longer and longer pauses over three days, always as the same message, and then given up; the events of
// its object wait for it, those of others do not.
func TestFailedDeliveriesAreTriedAgainAndHoldTheirObject(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	v := events.Viewer{HolderID: alice}
	e := o.endpoint(v)
	paid := o.submit(transfer(a[0], a[1]))
	reversal := o.books.Reverse(t.Context(), call(), paid.ID, "by mistake")
	if reversal.Err != nil {
		t.Fatal(reversal.Err)
	}
	back := reversal.Transaction
	other := o.submit(transfer(a[0], a[1]))
	o.post.answer = func(m events.Message) events.Reply {
		if seqOf(t, m) == paid.Seq {
			return events.Reply{HTTPStatus: 500}
		}
		return events.Reply{HTTPStatus: 204}
	}
	began := o.clock.Now()
	o.work()
	first := o.post.take()
	if len(first) != 2 || seqOf(t, first[0])+seqOf(t, first[1]) != paid.Seq+other.Seq {
		t.Fatalf("at first %d messages are sent; what is about the payment must wait", len(first))
	}
	tries, others := 1, 1
	ofTheObject := func() (seqs []int64) {
		for _, m := range o.post.take() {
			if seq := seqOf(t, m); seq == paid.Seq || seq == back.Seq {
				seqs = append(seqs, seq)
			}
		}
		return seqs
	}
	for range 20 {
		pending := o.deliveries(v, e, events.DeliveryPending)
		if len(pending) != 2 {
			break
		}
		next := pending[1].NextAt
		o.clock.Set(next.Add(-time.Second))
		if o.work(); len(ofTheObject()) != 0 {
			t.Fatal("it was tried too early")
		}
		o.clock.Set(next)
		o.submit(transfer(a[0], a[1])) // Others arrive meanwhile, so that the endpoint is not taken for dead.
		others++
		o.work()
		again := ofTheObject()
		if len(again) == 0 || again[0] != paid.Seq || len(again) == 2 && again[1] != back.Seq || len(again) > 2 {
			t.Fatalf("tried again were %v", again)
		}
		tries++
	}
	given := o.deliveries(v, e, events.DeliveryFailed)
	took := o.clock.Now().Sub(began)
	if len(given) != 1 || given[0].Tried != 10 || tries != 10 || len(given[0].Attempts) != 10 || took < 60*time.Hour || took > 100*time.Hour {
		t.Fatalf("given up are %d after %d tries and %v", len(given), tries, took)
	}
	if at := given[0].Attempts[0]; at.Outcome != events.OutcomeRefused || at.HTTPStatus != 500 {
		t.Errorf("the log says %+v", at)
	}
	if n := len(o.deliveries(v, e, events.DeliveryDelivered)); n != others+1 {
		t.Errorf("%d were delivered, of %d others and what waited", n, others)
	}
	if now := o.status(v, e); now.Status != events.EndpointEnabled {
		t.Errorf("the endpoint is %s", now.Status)
	}

	// By hand it is sent once more, with as many tries as a new one.
	o.post.answer = nil
	if _, err := o.webhooks.Replay(t.Context(), v, e.ID, given[0].ID); err != nil {
		t.Fatal(err)
	}
	o.work()
	if sent := o.post.take(); len(sent) != 1 || sent[0].ID != paid.ID || len(o.deliveries(v, e, events.DeliveryFailed)) != 0 {
		t.Errorf("replayed, %d messages were sent", len(sent))
	}
}

// An endpoint that says it is gone is sent nothing more; one that has failed for three days neither. Its owner can read so, and can go on
// where it stopped, or from now.
func TestEndpointsAreDisabled(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, a := o.holder(2)
	v := events.Viewer{HolderID: alice}
	gone, dead := o.endpoint(v), o.endpoint(v)
	o.post.answer = func(m events.Message) events.Reply {
		if m.URL == gone.URL {
			return events.Reply{HTTPStatus: 410}
		}
		return events.Reply{Outcome: events.OutcomeNoAnswer}
	}
	o.submit(transfer(a[0], a[1]))
	o.work()
	if e := o.status(v, gone); e.Status != events.EndpointDisabled || e.DisabledReason != events.DisabledGone || e.DisabledAt.IsZero() {
		t.Fatalf("after 410 the endpoint is %+v", e)
	}
	o.submit(transfer(a[0], a[1]))
	for range 400 {
		if o.status(v, dead).Status == events.EndpointDisabled {
			break
		}
		o.clock.Advance(time.Hour)
		o.work()
	}
	if e := o.status(v, dead); e.DisabledReason != events.DisabledFailing || e.FailingSince.IsZero() {
		t.Fatalf("after days of failure the endpoint is %+v", e)
	}
	var told []string
	for _, e := range o.read(v, 0, 50, events.WebhookEndpointDisabled) {
		told = append(told, e.Object.ID.String())
	}
	if !slices.Equal(told, []string{gone.ID.String(), dead.ID.String()}) {
		t.Errorf("told are %v", told)
	}

	o.post.answer = nil
	o.post.take()
	enabled := events.EndpointEnabled
	if _, err := o.webhooks.Update(t.Context(), v, gone.ID, events.Change{Status: &enabled}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.webhooks.Update(t.Context(), v, dead.ID, events.Change{Status: &enabled, SkipMissed: true}); err != nil {
		t.Fatal(err)
	}
	now := o.submit(transfer(a[0], a[1]))
	o.work()
	got := map[string]int{}
	for _, m := range o.post.take() {
		got[m.URL]++
		if m.URL == dead.URL && seqOf(t, m) != now.Seq {
			t.Errorf("%d is sent to the one that was to skip it", seqOf(t, m))
		}
	}
	// To the first, what it answered 410 to is sent again; the second payment, two times an endpoint was disabled, and the last payment follow.
	if got[gone.URL] != 5 || got[dead.URL] != 1 {
		t.Errorf("enabled again, they are sent %v", got)
	}
}

// A secret that is replaced signs on beside the new one for a while. What is under test is sent to it alone, whatever it wants.
func TestSecretsAndTests(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	alice, _ := o.holder(1)
	v := events.Viewer{HolderID: alice}
	e, other := o.endpoint(v, "mint.created"), o.endpoint(v)
	o.inTx(func(tx pgx.Tx) error {
		_, err := o.webhooks.RotateTx(t.Context(), tx, v, e.ID, "whsec_new", time.Hour)
		return err
	})
	for _, want := range []int{2, 1} {
		var d *events.Delivery
		o.inTx(func(tx pgx.Tx) (err error) {
			d, err = o.webhooks.TestTx(t.Context(), tx, v, e.ID, alice)
			return err
		})
		o.work()
		sent := o.post.take()
		if len(sent) != 1 || sent[0].URL != e.URL || len(sent[0].Secrets) != want || sent[0].ID != d.EventID || !slices.Contains(sent[0].Secrets, "whsec_new") {
			t.Fatalf("sent are %v", sent)
		}
		o.clock.Advance(time.Hour)
	}
	if n := len(o.deliveries(v, other, "")); n != 0 {
		t.Errorf("the other endpoint has %d deliveries", n)
	}
	var kept []byte
	if err := o.db.Pool.QueryRow(t.Context(), `SELECT string_agg(sealed, '') FROM webhook_secrets`).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if len(kept) == 0 || bytes.Contains(kept, []byte("whsec_")) {
		t.Error("secrets are kept as they are")
	}
}

// However many couriers work, and however much waits, each event is delivered once and the events of one object in their order.
func TestManyCouriers(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	var owners []events.Viewer
	var all []uuid.UUID
	for range 5 {
		holder, accounts := o.holder(2)
		owners, all = append(owners, events.Viewer{HolderID: holder}), append(all, accounts...)
	}
	for _, v := range owners {
		o.endpoint(v)
	}
	var commands []*ledger.Command
	for i := range 1000 {
		commands = append(commands, transfer(all[i%10], all[(i*7+1)%10]))
	}
	commands = slices.DeleteFunc(commands, func(c *ledger.Command) bool { return c.Moves[0].From == c.Moves[0].To })
	o.submit(commands...)
	seen := map[string]int{}
	o.post.answer = func(m events.Message) events.Reply {
		seen[fmt.Sprint(m.URL, m.ID)]++
		return events.Reply{HTTPStatus: 200}
	}
	for range 200 {
		made, err := o.relay.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var couriers sync.WaitGroup
		for range 3 {
			couriers.Go(func() {
				if _, err := o.courier.Deliver(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		couriers.Wait()
		var waiting int
		if err := o.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting > 5*600 {
			t.Fatalf("%d deliveries wait at once", waiting)
		}
		if made == 0 && waiting == 0 {
			break
		}
	}
	want := 0
	for _, v := range owners {
		want += len(o.read(v, 0, 200, events.TransferCreated))
	}
	for what, times := range seen {
		if times != 1 {
			t.Errorf("%s was sent %d times", what, times)
		}
	}
	if len(seen) != want || want < 1000 {
		t.Errorf("%d were sent, of %d", len(seen), want)
	}
}
