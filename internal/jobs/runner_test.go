package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

const patience = 30 * time.Second

// process is a runner that goes on until the test stops it.
type process struct {
	stop func() error // May be called again.
}

// startRunner runs a table with no more than the application's rights.
func startRunner(t *testing.T, pool *pgxpool.Pool, table jobs.Table, o jobs.Options) process {
	t.Helper()
	return startWith(t, pool, table, jobs.Quick(o))
}

// startWith leaves the options as they are.
func startWith(t *testing.T, pool *pgxpool.Pool, table jobs.Table, o jobs.Options) process {
	t.Helper()
	runner, err := jobs.New(pool, table, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	p := process{stop: sync.OnceValue(func() error { cancel(); return <-done })}
	t.Cleanup(func() { _ = p.stop() })
	return p
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func query[T any](t *testing.T, d *pgtest.Database, sql string) (value T) {
	t.Helper()
	if err := d.Pool.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// counts returns a sweep that counts how often it was run.
func counts(n *atomic.Int64) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { n.Add(1); return 1, nil }
}

// heart is a job whose only use is to show that a runner is at work.
func heart(beats *atomic.Int64) jobs.Job {
	return jobs.Job{Name: "heart", Every: time.Second, Sweeps: []jobs.Sweep{sweep("beat", counts(beats))}}
}

func TestEachPeriodRunsOnceInHoweverManyProcesses(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	var here, there atomic.Int64
	one := startRunner(t, d.App, jobs.Table{heart(&here)}, jobs.Options{})
	two := startRunner(t, d.App, jobs.Table{heart(&there)}, jobs.Options{})
	eventually(t, "some periods", func() bool { return here.Load()+there.Load() >= 5 })
	if err := errors.Join(one.stop(), two.stop()); err != nil {
		t.Fatal(err)
	}
	// Unless a retry has moved it, an entry is scheduled for the beginning of its period; the first, for when the leader came.
	entries := query[int64](t, d, `SELECT count(*) FROM ballast_jobs.river_job`)
	periods := query[int64](t, d, `SELECT count(DISTINCT date_trunc('second', scheduled_at)) FROM ballast_jobs.river_job`)
	completed := query[int64](t, d, `SELECT count(*) FROM ballast_jobs.river_job WHERE state = 'completed' AND attempt = 1`)
	if runs := here.Load() + there.Load(); runs != completed || entries != periods {
		t.Errorf("%d runs in %d entries completed at once; %d entries for %d periods", runs, completed, entries, periods)
	}
	t.Logf("%d runs here, %d there", here.Load(), there.Load())
}

// Whoever leads after another enqueues the period that it comes into, which is there already.
func TestANewLeaderDoesNotRepeatAPeriod(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	var hourly, beats atomic.Int64
	table := jobs.Table{heart(&beats), {Name: "hourly", Every: time.Hour, Sweeps: []jobs.Sweep{sweep("hourly", counts(&hourly))}}}
	began := time.Now()
	for range 3 {
		before := beats.Load()
		p := startRunner(t, d.App, table, jobs.Options{})
		eventually(t, "a leader", func() bool { return beats.Load() >= before+2 && hourly.Load() > 0 })
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
	periods := int64(1 + time.Now().Truncate(time.Hour).Sub(began.Truncate(time.Hour))/time.Hour)
	if got := hourly.Load(); got > periods {
		t.Errorf("%d runs in %d hours", got, periods)
	}
}

// witness is an observer that remembers.
type witness struct {
	mu   sync.Mutex
	seen []jobs.Outcome
}

func (w *witness) Swept(o jobs.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, o)
}

func (w *witness) of(name string) (found []jobs.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.seen {
		if o.Sweep == name {
			found = append(found, o)
		}
	}
	return found
}

func TestFailuresAreLoggedOnceRetriedAndStopNothingElse(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	var tries, after, beats atomic.Int64
	weak := func(ctx context.Context) (int, error) {
		switch tries.Add(1) {
		case 1:
			return 2, errBroken
		case 2:
			return panics(ctx)
		}
		return 3, nil
	}
	table := jobs.Table{
		{Name: "weak", Every: time.Hour, Sweeps: []jobs.Sweep{sweep("weak", weak), sweep("after", counts(&after))}},
		heart(&beats),
	}
	var out bytes.Buffer
	w := &witness{}
	p := startRunner(t, d.App, table, jobs.Options{Observer: w, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	eventually(t, "the third try and a beat", func() bool { return len(w.of("weak")) >= 3 && beats.Load() > 0 && after.Load() >= 3 })
	const entry = `SELECT state || ' after ' || attempt FROM ballast_jobs.river_job WHERE queue = 'weak'`
	eventually(t, "the entry's end", func() bool { return query[string](t, d, entry) == "completed after 3" })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	want := []string{"weak did 2: weak: broken", "weak did 0: weak: panic: at the disco", "weak did 3: <nil>"}
	if diff := cmp.Diff(want, told(w.of("weak"))); diff != "" {
		t.Error(diff)
	}
	for _, words := range []string{"broken", "panic: at the disco", "jobs_test.panics"} {
		if n := strings.Count(out.String(), words); n != 1 {
			t.Errorf("%q is in the log %d times:\n%s", words, n, &out)
		}
	}
}

// What waits behind a long run gives way to the latest, so that nothing piles up.
func TestALongRunIsFollowedByOne(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	var runs, at atomic.Int64
	var most atomic.Int64
	release := make(chan struct{})
	slow := func(ctx context.Context) (int, error) {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		if runs.Add(1) == 1 {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return 0, nil
	}
	o := jobs.Patient(jobs.Options{})
	p := startWith(t, d.App, jobs.Table{{Name: "slow", Every: time.Second, Sweeps: []jobs.Sweep{sweep("slow", slow)}}}, o)
	eventually(t, "what piles up", func() bool {
		return query[int](t, d, `SELECT count(*) FROM ballast_jobs.river_job WHERE state = 'available'`) >= 3
	})
	close(release)
	eventually(t, "what has given way", func() bool {
		return query[int](t, d, `SELECT count(*) FROM ballast_jobs.river_job WHERE state = 'cancelled'`) >= 2 && runs.Load() >= 2
	})
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if completed := query[int64](t, d, `SELECT count(*) FROM ballast_jobs.river_job WHERE state = 'completed'`); completed != runs.Load() || most.Load() != 1 {
		t.Errorf("%d runs, %d at once, %d entries completed", runs.Load(), most.Load(), completed)
	}
}

func TestStoppingWaitsForTheSweepUnderWay(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	started, ended := make(chan struct{}), make(chan struct{})
	var disturbed atomic.Bool
	work := func(ctx context.Context) (int, error) {
		close(started)
		select {
		case <-ctx.Done():
			disturbed.Store(true)
		case <-time.After(500 * time.Millisecond):
		}
		close(ended)
		return 1, nil
	}
	p := startRunner(t, d.App, jobs.Table{{Name: "one", Every: time.Hour, Sweeps: []jobs.Sweep{sweep("work", work)}}}, jobs.Options{StopPatience: patience})
	<-started
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	default:
		t.Error("stopping did not wait for the sweep")
	}
	if state := query[string](t, d, `SELECT state FROM ballast_jobs.river_job`); state != "completed" || disturbed.Load() {
		t.Errorf("the entry is %s; disturbed: %v", state, disturbed.Load())
	}
}

func TestStoppingInterruptsASweepThatTakesTooLong(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	started := make(chan struct{})
	work := func(ctx context.Context) (int, error) {
		close(started)
		<-ctx.Done()
		return 1, fmt.Errorf("cut off: %w", ctx.Err())
	}
	table := func(run func(context.Context) (int, error)) jobs.Table {
		return jobs.Table{{Name: "one", Every: time.Hour, Sweeps: []jobs.Sweep{sweep("work", run)}}}
	}
	w := &witness{}
	var out bytes.Buffer
	p := startWith(t, d.App, table(work), jobs.Patient(jobs.Options{
		Observer: w, StopPatience: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(&out, nil)),
	}))
	<-started
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if seen := w.of("work"); len(seen) != 1 || !seen[0].Interrupted() || strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("it was seen as %v, and the log has:\n%s", told(seen), &out)
	}
	var again atomic.Int64
	startRunner(t, d.App, table(counts(&again)), jobs.Options{})
	eventually(t, "another process to do it", func() bool { return again.Load() == 1 })
}

func TestStoppingDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	deaf := func(context.Context) (int, error) { close(started); <-release; return 0, nil }
	p := startWith(t, d.App, jobs.Table{{Name: "one", Every: time.Hour, Sweeps: []jobs.Sweep{sweep("deaf", deaf)}}},
		jobs.Patient(jobs.Options{StopPatience: 100 * time.Millisecond}))
	<-started
	if err := p.stop(); !errors.Is(err, jobs.ErrStillRunning) {
		t.Errorf("got %v", err)
	}
}

// atStatement makes a call when a connection is about to send the first statement with some words in it, and then waits for its context.
type atStatement struct {
	words string
	first *sync.Once
	call  func()
}

func (a atStatement) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, a.words) {
		a.first.Do(func() { a.call(); <-ctx.Done() })
	}
	return ctx
}

func (atStatement) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// What stopping cuts off of the queue's own work is no trouble. Here the leader is about to tell that there is an entry.
func TestStoppingIsNoTrouble(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	config, err := pgxpool.ParseConfig(d.AppURL)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = atStatement{"pg_notify", &sync.Once{}, cancel}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var out bytes.Buffer
	table := jobs.Table{heart(new(atomic.Int64))}
	runner, err := jobs.New(pool, table, jobs.Quick(jobs.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}))
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("it said:\n%s", &out)
	}
}

// Where the database is not there yet, the runner waits for it.
func TestARunnerEndsWhileItWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable&connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	said := make(lines, 10)
	p := startRunner(t, pool, jobs.Table{heart(new(atomic.Int64))}, jobs.Options{Logger: slog.New(slog.NewTextHandler(said, nil))})
	if line := <-said; !strings.Contains(line, "no job can run yet") {
		t.Errorf("it said: %s", line)
	}
	if err := p.stop(); err != nil {
		t.Errorf("got %v", err)
	}
}

// lines are what a logger writes, one by one.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}
