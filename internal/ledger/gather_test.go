package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

// A group is bounded by how long it takes to write it, and not only by how many it has.
func TestCommandsWithAStepCountMore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		step         Step
		metadata     int
		waiting      int
		most, expect int
	}{
		{"transfers", nil, 100, 100, 80, 80},
		{"as many transfers as there are places for", nil, 0, 100, 30, 30},
		{"all that wait", nil, 0, 50, 80, 50},
		{"commands with a step", noStep{}, 0, 100, 80, 10},
		{"as many as there are places for", noStep{}, 0, 100, 4, 4},
		{"transfers with much to say", nil, 4096, 100, 80, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &writer{opts: Options{MaxBatch: 80}, queue: make(chan *item, tt.waiting)}
			for range tt.waiting {
				w.queue <- newItem(unit{{Step: tt.step, Metadata: make([]byte, tt.metadata)}}, false)
			}
			if g := w.gather(w.another(), tt.most); g.commands != tt.expect || len(g.units) != tt.expect {
				t.Errorf("a group of %d, want %d", g.commands, tt.expect)
			}
		})
	}
}

// Whoever cannot wait for all that is ahead is refused at once, by what that weighs.
func TestWhatIsAheadIsWeighed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		step  Step
		late  bool
		ahead int
	}{
		{"transfers", nil, false, 300},
		{"more transfers", nil, true, 500},
		{"commands with a step", noStep{}, true, 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &writer{opts: Options{MaxBatch: 100, MaxQueue: 1000}, queue: make(chan *item, 1000)}
			w.groupTime.Store(int64(time.Minute))
			ask := func(wait time.Duration) error {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				_, err := w.tryEnqueue(ctx, unit{{Step: tt.step, Call: Call{Digest: uuid.New()}}})
				return err
			}
			for range tt.ahead {
				if err := ask(time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			before := w.load.Load()
			if err := ask(270 * time.Second); errors.Is(err, ErrOverloaded) != tt.late {
				t.Errorf("with %d ahead: %v", tt.ahead, err)
			}
			if after := w.load.Load(); tt.late && after != before {
				t.Errorf("who was refused weighs %d", after-before)
			}
		})
	}
}

// noStep is a step that is never taken.
type noStep struct{ Step }
