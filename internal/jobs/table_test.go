package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/jobs"
)

var errBroken = errors.New("broken")

func sweep(name string, run func(context.Context) (int, error)) jobs.Sweep {
	return jobs.Sweep{Name: name, Run: run}
}

func does(n int, err error) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return n, err }
}

func panics(context.Context) (int, error) { panic("at the disco") }

// told says of each outcome what a test compares.
func told(outcomes []jobs.Outcome) (lines []string) {
	for _, o := range outcomes {
		lines = append(lines, fmt.Sprintf("%s did %d: %v", o.Sweep, o.Done, o.Err))
	}
	return lines
}

func TestRunAllGoesOnAfterFailures(t *testing.T) {
	t.Parallel()
	table := jobs.Table{
		{Name: "first", Every: time.Minute, Sweeps: []jobs.Sweep{sweep("a", does(1, nil)), sweep("b", does(2, errBroken)), sweep("c", does(3, nil))}},
		{Name: "second", Every: time.Minute, Sweeps: []jobs.Sweep{sweep("d", panics), sweep("e", does(4, nil))}},
	}
	outcomes, err := table.RunAll(t.Context())
	want := []string{"a did 1: <nil>", "b did 2: b: broken", "c did 3: <nil>", "d did 0: d: panic: at the disco", "e did 4: <nil>"}
	if diff := cmp.Diff(want, told(outcomes)); diff != "" {
		t.Error(diff)
	}
	panicked, ok := errors.AsType[*jobs.PanicError](err)
	if !ok || !errors.Is(err, errBroken) || !strings.Contains(string(panicked.Stack), "panics") {
		t.Errorf("the error is %v", err)
	}
}

func TestRunAllEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	table := jobs.Table{{Name: "one", Every: time.Minute, Sweeps: []jobs.Sweep{
		sweep("a", func(ctx context.Context) (int, error) { cancel(); return 7, fmt.Errorf("cut off: %w", ctx.Err()) }),
		sweep("b", panics),
	}}}
	outcomes, err := table.RunAll(ctx)
	if len(outcomes) != 1 || !outcomes[0].Interrupted() || outcomes[0].Done != 7 || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", told(outcomes), err)
	}
}

// A sweep that is cut off by its deadline has failed.
func TestADeadlineIsAFailure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	table := jobs.Table{{Name: "one", Every: time.Minute, Sweeps: []jobs.Sweep{sweep("a", func(ctx context.Context) (int, error) { return 0, ctx.Err() })}}}
	if o, err := table.Run(ctx, "a"); o.Interrupted() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v", o)
	}
}

func TestRunOneByName(t *testing.T) {
	t.Parallel()
	table := jobs.Table{{Name: "one", Every: time.Minute, Sweeps: []jobs.Sweep{sweep("a", panics), sweep("b", does(5, nil))}}}
	if o, err := table.Run(t.Context(), "b"); o.Done != 5 || err != nil {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := table.Run(t.Context(), "one"); !errors.Is(err, jobs.ErrUnknownSweep) {
		t.Errorf("the name of a job: %v", err)
	}
}

func TestATableThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	good := []jobs.Sweep{sweep("a", does(0, nil))}
	for name, table := range map[string]jobs.Table{
		"no name":           {{Every: time.Minute, Sweeps: good}},
		"no sweep":          {{Name: "one", Every: time.Minute}},
		"too often":         {{Name: "one", Every: time.Millisecond, Sweeps: good}},
		"too seldom":        {{Name: "one", Every: 25 * time.Hour, Sweeps: good}},
		"two of a name":     {{Name: "one", Every: time.Minute, Sweeps: good}, {Name: "one", Every: time.Minute, Sweeps: []jobs.Sweep{sweep("b", panics)}}},
		"a sweep twice":     {{Name: "one", Every: time.Minute, Sweeps: good}, {Name: "two", Every: time.Minute, Sweeps: good}},
		"nothing to run":    {{Name: "one", Every: time.Minute, Sweeps: []jobs.Sweep{{Name: "a"}}}},
		"an odd sweep name": {{Name: "one", Every: time.Minute, Sweeps: []jobs.Sweep{sweep("A sweep", panics)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := jobs.New(nil, table, jobs.Options{}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestPeriodsAreTheSameForAll(t *testing.T) {
	t.Parallel()
	at := func(clock string) time.Time {
		parsed, err := time.Parse(time.DateTime, "2027-03-04 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, tt := range []struct{ name, after, now, want string }{
		{"within a period", "12:00:07", "12:00:07", "12:01:00"},
		{"from its beginning", "12:00:00", "12:00:00", "12:01:00"},
		{"a moment early", "12:01:00", "12:00:59", "12:02:00"},
		{"after a long sleep", "12:00:00", "17:30:10", "17:31:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := jobs.NextPeriod(time.Minute, at(tt.after), at(tt.now)); !got.Equal(at(tt.want)) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestBackoffFitsThePeriod(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for _, every := range []time.Duration{time.Second, time.Minute, time.Hour} {
		for failed := 1; failed <= 3; failed++ {
			got = append(got, jobs.Backoff(every, failed))
		}
	}
	ms, s := time.Millisecond, time.Second
	if diff := cmp.Diff([]time.Duration{250 * ms, 500 * ms, s, 15 * s, 30 * s, 60 * s, 15 * s, 30 * s, 60 * s}, got); diff != "" {
		t.Error(diff)
	}
}
