package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Outcome is what came of one run of a sweep.
type Outcome struct {
	Sweep string
	Done  int // Things that it did, also when it failed after them.
	Took  time.Duration
	Err   error // Names the sweep. A *PanicError is within it if the sweep panicked.
}

// Interrupted says that the sweep was told to stop before it was through, which is no failure: what it left is still due.
func (o Outcome) Interrupted() bool { return errors.Is(o.Err, errInterrupted) }

// errInterrupted is within the error of a sweep that was told to stop.
var errInterrupted = errors.New("told to stop")

// PanicError is a panic of a sweep, as an error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// run never panics.
func (s Sweep) run(ctx context.Context) (o Outcome) {
	began := time.Now()
	defer func() {
		if value := recover(); value != nil {
			o.Err = fmt.Errorf("%s: %w", s.Name, &PanicError{Value: value, Stack: debug.Stack()})
		}
		o.Took = time.Since(began)
	}()
	o.Sweep = s.Name
	done, err := s.Run(ctx)
	o.Done = done
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.Canceled): // Whatever it says, this is why. A deadline that passed is a failure.
		o.Err = fmt.Errorf("%s: %w: %w", s.Name, errInterrupted, ctx.Err())
	default:
		o.Err = fmt.Errorf("%s: %w", s.Name, err)
	}
	return o
}
