package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/ballast-compute/ballast/db"
)

const (
	// sweepTimeout is how long a run of a job may take: long enough for what piled up over years, since one that is cut off
	// may have to begin anew.
	sweepTimeout = 10 * time.Minute

	// rescueAfter is when a run whose process was killed is given to another. Until then, the next period's does its work.
	rescueAfter = sweepTimeout + time.Minute

	// retention is how long the queue keeps what is over: longer than any period, so that no period is enqueued again.
	retention = 2 * MaxPeriod

	// stopPatience is how long stopping may take by default.
	stopPatience = 10 * time.Second

	// startRetry is how long to wait for a database that was not there.
	startRetry = 2 * time.Second

	// slowestPoll bounds how late a job of a long period may begin. One of a short period begins within a fifth of it.
	slowestPoll = 5 * time.Second

	// Conns is how many connections a Runner makes use of at once.
	Conns = 3
)

// ErrStillRunning means that a sweep went on although it had been told to stop. The process may end: what is cut off is rolled
// back by the database and done by others.
var ErrStillRunning = errors.New("a sweep goes on although it was told to stop")

// Observer is told what the sweeps do. Its methods are called from several goroutines and must return at once.
type Observer interface {
	// Swept reports a run of a sweep.
	Swept(o Outcome)
}

// Options are how a Runner works. The zero value suits.
type Options struct {
	// Logger is told of sweeps that fail, and of trouble of the queue. Default: slog.Default.
	Logger *slog.Logger

	// Observer is told of every sweep. Default: nobody.
	Observer Observer

	// StopPatience is how long Run may take to end. For three quarters of it the sweeps under way go on, then they are told to
	// stop. Default: 10 s.
	StopPatience time.Duration

	tempo tempo
}

// tempo has what tests cannot wait for.
type tempo struct {
	poll, timeout, rescueAfter time.Duration // 0: as the constants say.
	backoff                    func(every time.Duration, failed int) time.Duration
	prompt                     bool // No random pause before the leader's services start.
}

// Runner works on the queue as one of any number of processes. One of them, the leader, puts each period of each job into the
// queue, where it is unique; all of them take entries out, and each entry is taken by one. When the leader is gone, another takes
// over within seconds, or within some 20 if it was killed.
type Runner struct {
	client   *river.Client[pgx.Tx]
	log      *slog.Logger
	patience time.Duration
	stopping *atomic.Bool // Set before the queue is told to stop.
}

// New returns a Runner of table's jobs on the queue in pool's database, where it uses up to Conns connections. It needs no session
// of the database's, and so works through a pooler in transaction mode. An error means that the table is wrong.
func New(pool *pgxpool.Pool, table Table, o Options) (*Runner, error) {
	if err := table.check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	w := &worker{jobs: map[string]Job{}, log: o.Logger, observer: o.Observer, backoff: o.tempo.backoff}
	stopping := &atomic.Bool{}
	config := o.config(stopping)
	for _, job := range table {
		w.jobs[job.Name] = job
		config.Queues[job.Name] = river.QueueConfig{MaxWorkers: 1, FetchPollInterval: o.tempo.pollInterval(job.Every)}
		config.PeriodicJobs = append(config.PeriodicJobs, river.NewPeriodicJob(schedule{job.Every, time.Now}, job.forPeriod,
			&river.PeriodicJobOpts{ID: job.Name, RunOnStart: true}))
	}
	river.AddWorker(config.Workers, w)
	client, err := river.NewClient(riverpgxv5.New(pool), config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTable, err)
	}
	return &Runner{client: client, log: o.Logger, patience: o.StopPatience, stopping: stopping}, nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.StopPatience <= 0 {
		o.StopPatience = stopPatience
	}
	if o.tempo.timeout == 0 {
		o.tempo.timeout, o.tempo.rescueAfter = sweepTimeout, rescueAfter
	}
	if o.tempo.backoff == nil {
		o.tempo.backoff = backoff
	}
	return o
}

// config is what all jobs share. Reindexing is left to the database's owner, since it takes an owner's rights.
func (o Options) config(stopping *atomic.Bool) *river.Config {
	return &river.Config{
		Schema: db.JobsSchema, PollOnly: true,
		Queues: map[string]river.QueueConfig{}, Workers: river.NewWorkers(),
		JobTimeout: o.tempo.timeout, RescueStuckJobsAfter: o.tempo.rescueAfter, SoftStopTimeout: o.StopPatience / 4 * 3,
		CompletedJobRetentionPeriod: retention, CancelledJobRetentionPeriod: retention, DiscardedJobRetentionPeriod: retention,
		ReindexerSchedule: river.NeverSchedule(),
		Logger:            slog.New(newQuietHandler(o.Logger.Handler(), time.Now, stopping.Load)),
		TestOnly:          o.tempo.prompt,
	}
}

func (t tempo) pollInterval(every time.Duration) time.Duration {
	if t.poll > 0 {
		return t.poll
	}
	return min(every/5, slowestPoll)
}

type nobody struct{}

func (nobody) Swept(Outcome) {}

// Run works until ctx ends. Then it takes no more, lets the sweeps under way go on for most of the patience of the options, tells
// them to stop, and returns when they have: ErrStillRunning if they do not. Where there is no database yet, it waits. Call it once.
func (r *Runner) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() { r.stopping.Store(true); stop() })
	if !r.start(ctx, working) {
		return nil
	}
	<-ctx.Done()
	patience := time.NewTimer(r.patience)
	defer patience.Stop()
	select {
	case <-r.client.Stopped():
		return nil
	case <-patience.C:
		return ErrStillRunning
	}
}

// start goes on until the queue's database is there, and then lets the queue work until working ends, which does soon after ctx.
// It returns false if ctx ends before.
func (r *Runner) start(ctx, working context.Context) bool {
	for failed := false; ; failed = true {
		err := r.client.Start(working)
		if ctx.Err() != nil {
			return err == nil
		}
		if err == nil {
			return true
		}
		if !failed {
			r.log.WarnContext(ctx, "no job can run yet", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(startRetry):
		}
	}
}
