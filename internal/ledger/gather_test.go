package ledger

import "testing"

// A group is bounded by how long it takes to write it, and not only by how many it has.
func TestCommandsWithAStepCountMore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		step         Step
		waiting      int
		most, expect int
	}{
		{"transfers", nil, 100, 80, 80},
		{"as many transfers as there are places for", nil, 100, 30, 30},
		{"all that wait", nil, 50, 80, 50},
		{"commands with a step", noStep{}, 100, 80, 10},
		{"as many as there are places for", noStep{}, 100, 4, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &writer{opts: Options{MaxBatch: 80}, queue: make(chan *item, tt.waiting)}
			for range tt.waiting {
				w.queue <- &item{unit: unit{{Step: tt.step}}, done: make(chan struct{})}
			}
			if g := w.gather(w.another(), tt.most); g.commands != tt.expect || len(g.units) != tt.expect {
				t.Errorf("a group of %d, want %d", g.commands, tt.expect)
			}
		})
	}
}

// noStep is a step that is never taken.
type noStep struct{ Step }
