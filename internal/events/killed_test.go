package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/vault"
)

// The environment of a process that is a courier until it is killed: the database, and the key of its secrets.
const (
	victimURL = "BALLAST_EVENTS_VICTIM"
	victimKey = "BALLAST_EVENTS_VICTIM_KEY"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimURL) != "" {
		fmt.Println(beVictim(context.Background()))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beVictim delivers to whoever reads its output: a line for each message. The message of which half a bundle is made is received, and never
// answered, so that the process has a lease, and nothing of the bundle is written.
func beVictim(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, os.Getenv(victimURL))
	if err != nil {
		return err
	}
	keys, err := vault.ParseKeyring(os.Getenv(victimKey))
	if err != nil {
		return err
	}
	books := ledger.New(pool, pool, ledger.Options{})
	feed := events.NewFeed(pool, books, ledger.NewHorizon(pool))
	courier := &events.Courier{DB: pool, Feed: feed, Vault: vault.New(keys, pool), Sender: &dying{answers: 10}, Encode: plain}
	_, err = courier.Deliver(ctx)
	return err
}

// dying is a network that answers so many messages, and then none.
type dying struct {
	post
	answers int
}

func (d *dying) Send(ctx context.Context, m events.Message) events.Reply {
	d.mu.Lock()
	line, err := json.Marshal(m)
	if err == nil {
		fmt.Println(string(line))
	}
	last := d.answers == 0
	d.answers--
	d.mu.Unlock()
	if last || err != nil {
		fmt.Println("held")
		<-ctx.Done()
	}
	return events.Reply{HTTPStatus: 200}
}

// A courier's process is killed when it has sent half of what it took and written nothing of it. While its lease lasts nobody sends to that endpoint; then
// another process sends all of it again, under the same ids: no event is lost, and those of one object are never overtaken.
func TestWhatAKilledCourierTookIsSentByAnother(t *testing.T) {
	t.Parallel()
	key := vault.NewKey()
	o := newOfficeWith(t, key)
	alice, a := o.holder(2)
	o.endpoint(events.Viewer{HolderID: alice})
	ofObject, firsts := map[int64]uuid.UUID{}, map[int64]bool{}
	for range 20 {
		paid := o.submit(transfer(a[0], a[1]))
		v := o.books.Reverse(t.Context(), call(), paid.ID, "by mistake")
		if v.Err != nil {
			t.Fatal(v.Err)
		}
		ofObject[paid.Seq], ofObject[v.Transaction.Seq] = paid.ID, paid.ID
		firsts[paid.Seq] = true
	}
	for made := 1; made > 0; {
		var err error
		if made, err = o.relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	received := o.killCourier(key)
	if len(received) <= 10 || len(received) > 20 {
		t.Fatalf("%d were received of the one that was killed", len(received))
	}
	for _, m := range received {
		if seq := seqOf(t, m); !firsts[seq] {
			t.Errorf("%d was sent, though what came before it had not been written to be delivered", seq)
		}
	}
	var leased bool
	var tried int
	const state = `SELECT bool_and(leased_until > ballast_now()), (SELECT count(*) FROM webhook_attempts) FROM webhook_endpoints`
	if err := o.db.Pool.QueryRow(t.Context(), state).Scan(&leased, &tried); err != nil || !leased || tried != 0 {
		t.Fatalf("it had a lease: %t, and has written %d attempts (%v)", leased, tried, err)
	}
	if n, err := o.courier.Deliver(t.Context()); n != 0 || err != nil {
		t.Errorf("while the lease lasts, another sent %d (%v)", n, err)
	}
	o.clock.Advance(10 * time.Minute)
	o.work()
	again := o.post.take()
	received = append(received, again...)
	order, seen, ids := map[uuid.UUID][]int64{}, map[int64]bool{}, map[int64]uuid.UUID{}
	for _, m := range received {
		seq := seqOf(t, m)
		if at, ok := ids[seq]; ok && at != m.ID {
			t.Errorf("%d was sent as %s and as %s", seq, at, m.ID)
		}
		ids[seq] = m.ID
		if !seen[seq] {
			order[ofObject[seq]] = append(order[ofObject[seq]], seq)
		}
		seen[seq] = true
	}
	if got, want := slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(ofObject)); !slices.Equal(got, want) || len(again) != len(want) {
		t.Errorf("received were %v of %v, %d of them from the other", got, want, len(again))
	}
	for object, seqs := range order {
		if !slices.IsSorted(seqs) {
			t.Errorf("events of %s came in the order %v", object, seqs)
		}
	}
}

// killCourier runs a courier in a process of its own, kills it when it has half of its bundle behind it, and returns what it sent.
func (o *office) killCourier(key string) (received []events.Message) {
	o.t.Helper()
	victim := exec.CommandContext(o.t.Context(), os.Args[0]) //nolint:gosec // This very program.
	victim.Env = append(os.Environ(), victimURL+"="+o.db.AppURL, victimKey+"="+key)
	said, err := victim.StdoutPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		o.t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && lines.Text() != "held" {
		var m events.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			o.t.Fatalf("the victim said %q", lines.Text())
		}
		received = append(received, m)
	}
	if err := victim.Process.Kill(); err != nil {
		o.t.Fatal(err)
	}
	_ = victim.Wait() // It says that it was killed.
	return received
}
