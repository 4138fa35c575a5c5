package ledger

import (
	"context"
	"slices"
	"sync"
)

// Made collects the verdicts of success of what is submitted under one context, whoever submits it: so that the answer to a request can say
// what it has entered in the log. It may be used from several goroutines.
type Made struct {
	mu       sync.Mutex
	verdicts []*Verdict
}

type madeKey struct{}

// Collect returns a context under which Submit and SubmitAtomic add to made.
func Collect(ctx context.Context, made *Made) context.Context {
	return context.WithValue(ctx, madeKey{}, made)
}

// Verdicts returns what was collected so far, in the order in which it was decided: the same verdicts that whoever submitted it has.
func (m *Made) Verdicts() []*Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.verdicts
}

func collect(ctx context.Context, verdicts []Verdict) []Verdict {
	made, ok := ctx.Value(madeKey{}).(*Made)
	if !ok {
		return verdicts
	}
	made.mu.Lock()
	defer made.mu.Unlock()
	made.verdicts = slices.Grow(made.verdicts, len(verdicts))
	for i := range verdicts {
		if v := &verdicts[i]; v.Err == nil {
			made.verdicts = append(made.verdicts, v)
		}
	}
	return verdicts
}
