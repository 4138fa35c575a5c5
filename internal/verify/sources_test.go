package verify_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/ballast-compute/ballast/internal/sumtree"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/witness"
)

func (m *memory) Read(_ context.Context, path string, limit int64) ([]byte, error) {
	data, ok := m.files[path]
	if !ok {
		return nil, source.ErrMissing
	}
	if int64(len(data)) > limit {
		return nil, source.ErrTooLarge
	}
	return data, nil
}

func (m *memory) Ahead() int { return 2 }

func (m *memory) String() string { return "memory" }

// sumOf makes the sum tree of a world's accounts, and the proof of one.
func sumOf(t *testing.T, w *logtest.World, account string) (sumtree.Root, sumtree.Proof) {
	t.Helper()
	balances := map[string]int64{}
	var names []string
	for _, a := range w.Accounts {
		name := logtest.ID("acct", a.ID)
		balances[name] = a.Balance
		names = append(names, name)
	}
	slices.Sort(names)
	built, err := sumtree.Build([32]byte{9}, "SCH", func(yield func(string, int64) bool) {
		for _, name := range names {
			if !yield(name, balances[name]) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := built.Prove(account)
	if err != nil {
		t.Fatal(err)
	}
	return built.Root(), proof
}

func mustPolicy(t *testing.T, text []byte) *witness.Policy {
	t.Helper()
	policy, err := witness.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func readView(t *testing.T, text []byte) *replay.View {
	t.Helper()
	view, err := replay.ReadView(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return view
}
