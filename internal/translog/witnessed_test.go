package translog

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/witness"
)

// witnessed is a log with three witnesses, of which two must cosign.
type witnessed struct {
	*world
	log       *Log
	servers   []*httptest.Server
	witnesses []*witness.Witness
	policy    *witness.Policy
}

func newWitnessed(t *testing.T) *witnessed {
	t.Helper()
	w := &witnessed{world: newWorld(t)}
	var err error
	if w.log, err = Open(w.db.App, w.store.dir, w.key); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("log %s\n", w.key.Text)
	for i := range 3 {
		dir := t.TempDir()
		vkey, err := witness.CreateKey(dir, fmt.Sprintf("witness.example/w%d", i))
		if err != nil {
			t.Fatal(err)
		}
		one, err := witness.Open(dir, []string{w.key.Text}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(one.Handler())
		t.Cleanup(server.Close)
		w.servers, w.witnesses = append(w.servers, server), append(w.witnesses, one)
		text += fmt.Sprintf("witness w%d %s %s/\n", i, vkey, server.URL)
	}
	if w.policy, err = witness.ParsePolicy([]byte(text + "group enough 2 w0 w1 w2\nquorum enough\n")); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *witnessed) cosigning() *Cosigning {
	collector := witness.NewCollector(w.policy, witness.NewClient(5*time.Second), time.Second)
	return NewCosigning(w.log, func(ctx context.Context, signed []byte, prove Prove) ([]byte, bool) {
		c := collector.Collect(ctx, signed, witness.ProofFunc(prove))
		return c.Signed, c.Satisfied
	})
}

func TestCheckpointsAreWitnessed(t *testing.T) {
	t.Parallel()
	w := newWitnessed(t)
	in, cosigning := w.integrator(), w.cosigning()
	w.servers[2].Close() // Two are enough.
	for range 3 {
		v := w.transfer(5)[4]
		w.integrate(in)
		if n, err := cosigning.Step(t.Context()); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := cosigning.Step(t.Context()); n != 0 || err != nil {
			t.Errorf("again %d, %v", n, err)
		}
		receipt, err := w.log.Receipts.Of(t.Context(), v.Transaction, func(uuid.UUID) bool { return false })
		if err != nil || receipt.State != StateWitnessed {
			t.Fatalf("%v, %s", err, receipt.State)
		}
		_, checkpoint, _ := strings.Cut(string(receipt.Proof), "\n\n")
		if err := w.policy.Satisfied([]byte(checkpoint), w.key.Verifier); err != nil {
			t.Error(err)
		}
	}
	w.servers[1].Close()
	v := w.transfer(1)[0]
	w.integrate(in)
	if n, err := cosigning.Step(t.Context()); n != 0 || err != nil {
		t.Fatalf("%d of one witness, %v", n, err)
	}
	receipt, err := w.log.Receipts.Of(t.Context(), v.Transaction, func(uuid.UUID) bool { return false })
	if err != nil || receipt.State != StatePublished || strings.Count(string(receipt.Proof), "\n— ") != 2 {
		t.Errorf("%v, %s, %s", err, receipt.State, receipt.Proof)
	}
}

// However often too few cosign, a checkpoint has one line of each: a note may not have more than 100, and one that had would be no checkpoint any more.
func TestAQuorumThatIsMissedForLongDoesNotStopTheLog(t *testing.T) {
	t.Parallel()
	w := newWitnessed(t)
	in, cosigning := w.integrator(), w.cosigning()
	w.servers[0].Close()
	w.servers[1].Close()
	w.transfer(1)
	w.integrate(in)
	asked := 0
	for range 150 {
		before := cosigning.pause
		if n, err := cosigning.Step(t.Context()); n != 0 || err != nil {
			t.Fatalf("%d of one witness, %v", n, err)
		}
		if cosigning.pause != before {
			asked++
		}
		cosigning.left = 0
	}
	if asked < 2 || cosigning.pause != longestPause {
		t.Errorf("asked %d times, each after a longer pause; the last of %d steps", asked, cosigning.pause)
	}
	checkpoint, err := w.store.Read("checkpoint")
	if err != nil || strings.Count(string(checkpoint), "\n— ") != 2 {
		t.Errorf("%v, %s", err, checkpoint)
	}
	w.transfer(1)
	w.integrate(in)
	if at, _ := w.everything(); at.N != w.count(`SELECT sum(entries) FROM log_entries`) {
		t.Errorf("the log stays at %d entries", at.N)
	}
}

// Between two tries for the same checkpoint, steps pass; a new one is asked about at once.
func TestWitnessesAreNotAskedAtEveryStep(t *testing.T) {
	t.Parallel()
	w := newWitnessed(t)
	in := w.integrator()
	asked := 0
	cosigning := NewCosigning(w.log, func(_ context.Context, signed []byte, _ Prove) ([]byte, bool) {
		asked++
		return signed, false
	})
	for checkpoint, want := range []int{5, 10} { // At steps 1, 3, 7, 15 and 31.
		w.transfer(1)
		w.integrate(in)
		for range 40 {
			if _, err := cosigning.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if asked != want {
			t.Errorf("asked %d times for %d checkpoints, want %d", asked, checkpoint+1, want)
		}
	}
}

// A published checkpoint that cannot be read is published again: what was signed is kept elsewhere.
func TestACheckpointThatCannotBeReadIsPublishedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.transfer(3)
	w.integrate(w.integrator())
	if err := w.store.Publish("checkpoint", []byte("torn")); err != nil {
		t.Fatal(err)
	}
	w.integrate(w.integrator())
	if at, _ := w.everything(); at.N != w.count(`SELECT sum(entries) FROM log_entries`) {
		t.Errorf("%d entries", at.N)
	}
}

// Whoever signs another history with the log's key finds no honest witness for it, and each keeps the evidence.
func TestAForkIsRefusedByEveryWitness(t *testing.T) {
	t.Parallel()
	w := newWitnessed(t)
	w.transfer(20)
	w.integrate(w.integrator())
	collector := witness.NewCollector(w.policy, witness.NewClient(5*time.Second), time.Second)
	head, err := w.store.Head()
	if err != nil {
		t.Fatal(err)
	}
	none := func(context.Context, uint64, uint64) ([]tlog.Hash, error) { return nil, nil }
	if c := collector.Collect(t.Context(), head, none); !c.Satisfied || strings.Count(string(c.Signed), "\n— ") != 4 {
		t.Fatalf("%+v", c)
	}
	other := newWorld(t)
	other.key = w.key
	other.transfer(20)
	other.integrate(other.integrator())
	forked, err := other.store.Head()
	if err != nil {
		t.Fatal(err)
	}
	c := collector.Collect(t.Context(), forked, none)
	if c.Satisfied || string(c.Signed) != string(forked) {
		t.Errorf("the fork was cosigned: %s", c.Signed)
	}
	for i, one := range w.witnesses {
		kept, err := os.ReadDir(one.EvidenceDir())
		if err != nil || len(kept) != 1 {
			t.Errorf("witness %d kept %d pieces of evidence (%v)", i, len(kept), err)
		}
	}
}
