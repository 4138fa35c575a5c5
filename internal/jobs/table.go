// Package jobs does what happens because time passes. A sweep does all that is due at ballast_now(), and may be called at any
// time, by anybody, and again; a table names the sweeps and says how often to look. A Runner has a kept queue in Postgres call
// them, once per period however many processes there are; tests and `api jobs run` call them by hand, through the same table.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Sweep does all of one kind that is due, and returns how many things it did, which may be none. It must be idempotent: what is
// due is decided by the database's clock and state alone, so that two at once, or one after one that was cut off, do no
// harm. It returns soon after ctx ends.
type Sweep struct {
	// Name is what operators and metrics call it: lower case, with underscores.
	Name string
	Run  func(ctx context.Context) (done int, err error)
}

// Job is a chain of sweeps that a Runner does one after another, in this order, once per period. One that fails does not keep
// the next from its turn.
type Job struct {
	Name string
	// Every is the period, from MinPeriod to MaxPeriod. Periods begin at whole multiples of it since the year 1, UTC.
	Every  time.Duration
	Sweeps []Sweep
}

// Table is all jobs.
type Table []Job

// The bounds of a period. The job library keeps time to a tenth of a second; and a sweep that only looks what is due may as well
// look every hour, so that no moment is missed for long when nobody was there to see it.
const (
	MinPeriod = time.Second
	MaxPeriod = time.Hour
)

var (
	// ErrUnknownSweep is returned when no sweep of the table has the name.
	ErrUnknownSweep = errors.New("there is no such sweep")

	// errTable means that a table cannot be worked by.
	errTable = errors.New("jobs table")
)

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// check returns an error unless every name is a name and there once, every period within its bounds, and no job empty.
func (t Table) check() error {
	seen := map[string]bool{}
	jobs := map[string]bool{}
	for _, job := range t {
		if !nameForm.MatchString(job.Name) || jobs[job.Name] || len(job.Sweeps) == 0 {
			return fmt.Errorf("%w: job %q: its name is no name or not its own, or it has nothing to do", errTable, job.Name)
		}
		if job.Every < MinPeriod || job.Every > MaxPeriod {
			return fmt.Errorf("%w: job %q: its period %v is not from %v to %v", errTable, job.Name, job.Every, MinPeriod, MaxPeriod)
		}
		jobs[job.Name] = true
		for _, sweep := range job.Sweeps {
			if !nameForm.MatchString(sweep.Name) || seen[sweep.Name] || sweep.Run == nil {
				return fmt.Errorf("%w: sweep %q: its name is no name or not its own, or it has nothing to do", errTable, sweep.Name)
			}
			seen[sweep.Name] = true
		}
	}
	return nil
}

// RunAll runs every sweep once, in the table's order, and returns what came of each. One that fails does not keep the others
// from their turn; the error joins all failures. When ctx ends, the rest is left out.
func (t Table) RunAll(ctx context.Context) ([]Outcome, error) {
	var all []Outcome
	var errs []error
	for _, job := range t {
		outcomes, err := job.run(ctx, func(Outcome) {})
		all, errs = append(all, outcomes...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Run runs the sweep of this name once. The error is that of the outcome, or ErrUnknownSweep.
func (t Table) Run(ctx context.Context, name string) (Outcome, error) {
	for _, job := range t {
		for _, sweep := range job.Sweeps {
			if sweep.Name == name {
				outcome := sweep.run(ctx)
				return outcome, outcome.Err
			}
		}
	}
	return Outcome{}, fmt.Errorf("%w: %q", ErrUnknownSweep, name)
}

// run tells observe of each sweep as it ends.
func (j Job) run(ctx context.Context, observe func(Outcome)) (outcomes []Outcome, err error) {
	var errs []error
	for _, sweep := range j.Sweeps {
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		outcome := sweep.run(ctx)
		observe(outcome)
		outcomes, errs = append(outcomes, outcome), append(errs, outcome.Err)
	}
	return outcomes, errors.Join(errs...)
}
