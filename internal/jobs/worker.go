package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// attempts are more than fit between a failure and the next period, which makes all earlier attempts give way.
const attempts = 10

// args is what the queue keeps of a period of a job.
type args struct {
	Job string `json:"job"`
}

// Kind implements river.JobArgs.
func (args) Kind() string { return "sweep" }

// forPeriod is what the queue is asked to keep of the period that begins now. It keeps it once, and knows of it until well after
// the period.
func (j Job) forPeriod() (river.JobArgs, *river.InsertOpts) {
	return args{Job: j.Name}, &river.InsertOpts{
		Queue: j.Name, MaxAttempts: attempts, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: j.Every},
	}
}

// worker runs the jobs of a table as the queue gives them out.
type worker struct {
	river.WorkerDefaults[args]

	jobs     map[string]Job
	log      *slog.Logger
	observer Observer
	backoff  func(every time.Duration, failed int) time.Duration
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, entry *river.Job[args]) error {
	job, ok := w.jobs[entry.Args.Job]
	if !ok {
		return river.JobCancel(fmt.Errorf("this program has no job %q", entry.Args.Job))
	}
	superseded, err := isSuperseded(ctx, entry)
	if err != nil {
		return err
	}
	if superseded {
		return river.JobCancel(errors.New("a later period has begun, whose entry does what is due"))
	}
	_, err = job.run(ctx, func(o Outcome) { w.observe(ctx, o) })
	return err
}

// isSuperseded tells whether the queue has an entry of a later period. That one does all that this one would, so that neither
// retries nor what waited behind a long run pile up. The queue's order decides, and nobody's clock.
func isSuperseded(ctx context.Context, entry *river.Job[args]) (bool, error) {
	latest, err := river.ClientFromContext[pgx.Tx](ctx).JobList(ctx,
		river.NewJobListParams().Queues(entry.Queue).OrderBy(river.JobListOrderByID, river.SortOrderDesc).First(1))
	if err != nil {
		return false, fmt.Errorf("look for a later entry: %w", err)
	}
	return len(latest.Jobs) > 0 && latest.Jobs[0].ID > entry.ID, nil
}

// observe logs a failure once, with the stack of a panic.
func (w *worker) observe(ctx context.Context, o Outcome) {
	w.observer.Swept(o)
	if o.Err == nil {
		return
	}
	attrs := []any{slog.String("sweep", o.Sweep), slog.Int("done", o.Done), slog.Duration("took", o.Took), slog.Any("error", o.Err)}
	if panicked, ok := errors.AsType[*PanicError](o.Err); ok {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	if o.Interrupted() {
		w.log.InfoContext(ctx, "a sweep was interrupted; what it left is still due", attrs...)
		return
	}
	w.log.ErrorContext(ctx, "a sweep failed, and is tried again", attrs...)
}

// NextRetry implements river.Worker.
func (w *worker) NextRetry(entry *river.Job[args]) time.Time {
	return time.Now().Add(w.backoff(w.jobs[entry.Args.Job].Every, entry.Attempt))
}

// firstRetry is how long after a first failure a job of a long period is tried again.
const firstRetry = 15 * time.Second

// backoff waits a quarter of the period or firstRetry, whichever is less, and then twice as long each time.
func backoff(every time.Duration, failed int) time.Duration {
	return min(every/4, firstRetry) << max(failed-1, 0)
}
