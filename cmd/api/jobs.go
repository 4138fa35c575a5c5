package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// sweeps is all that happens because time passes.
func (v *service) sweeps() jobs.Table {
	var liabilities func(context.Context) (int, error)
	if v.translog != nil {
		liabilities = v.translog.Liabilities.PublishDue
	}
	return jobs.Domain{
		PublishLiabilities: liabilities,
		Ledger:             v.books, Providers: providers.NewStore(v.reads, v.books), Coverage: coverage.NewStore(v.reads), Pool: v.reads,
		Redemptions: v.redemptions, Vouchers: voucher.NewStore(v.reads, v.vault),
	}.Table()
}

// newRunner has the sweeps done once per period, whichever process does them. When the process is to stop, they have as long as
// the requests under way have.
func (v *service) newRunner() (*jobs.Runner, error) {
	table := v.sweeps()
	return jobs.New(v.queue, table, jobs.Options{
		Logger: v.log, Observer: newJobsMetrics(v.metrics.Registry, table), StopPatience: v.settings.ShutdownGrace / 5 * 4,
	})
}

// loops is what every process does for itself, or takes its share of, beside the requests.
func (v *service) loops() []jobs.Loop {
	figures, backlog, lag := newBooksMetrics(v.metrics.Registry), newBacklogMetrics(v.metrics.Registry), newEventLag(v.metrics.Registry)
	return append(append(v.webhookLoops(), v.logLoops()...), []jobs.Loop{
		{Every: refreshBooksEvery, Sweep: jobs.Sweep{Name: "refresh_figures", Run: func(ctx context.Context) (int, error) {
			return 0, errors.Join(figures.refresh(ctx, v.reads), backlog.refresh(ctx, v.reads), lag.refresh(ctx, v.reads, v.horizon))
		}}},
		{Every: dispatchEvery, Sweep: jobs.Sweep{Name: dispatchLoop, Run: v.dispatcher.Start}},
	}...)
}

// startBackground starts what goes on beside the requests, until ctx ends. The caller waits for the group.
func (v *service) startBackground(ctx context.Context) *sync.WaitGroup {
	var group sync.WaitGroup
	for _, loop := range v.loops() {
		group.Go(func() {
			loop.Keep(ctx, v.log)
			if loop.Name == dispatchLoop { // Calls of providers that have begun are brought to their end.
				v.dispatcher.Wait()
			}
		})
	}
	group.Go(func() {
		if err := v.runner.Run(ctx); err != nil {
			v.log.WarnContext(ctx, "the jobs did not end in order", slog.Any("error", err))
		}
	})
	return &group
}

type jobsCommands struct {
	List jobsList `cmd:"" help:"List the jobs, how often each runs, and its sweeps in their order."`
	Run  jobsRun  `cmd:"" help:"Run sweeps once, now, whether or not a server does as well. Exit status 1 if one fails."`
}

type jobsList struct{}

// Run needs no database.
func (jobsList) Run(p *program) error {
	out := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "JOB\tEVERY\tSWEEP") // The table keeps errors for Flush.
	for _, job := range (jobs.Domain{}).Table() {
		for _, sweep := range job.Sweeps {
			_, _ = fmt.Fprintf(out, "%s\t%v\t%s\n", job.Name, job.Every, sweep.Name)
		}
	}
	return out.Flush()
}

type jobsRun struct {
	Name string `arg:"" optional:"" help:"The sweep to run; api jobs list has the names."`
	All  bool   `help:"Run all of them, in their order. One that fails does not stop the others."`
}

// Run does what is due at the database's time, as one more process beside the servers.
func (c jobsRun) Run(ctx context.Context, p *program) error {
	if (c.Name == "") != c.All {
		return usageError{errors.New("name one sweep, or say --all")}
	}
	url, err := p.appURL()
	if err != nil {
		return err
	}
	v, err := openService(ctx, p.settings, p.settings.logger(p.stderr, "text", slog.LevelWarn), login{url: url})
	if err != nil {
		return err
	}
	err = c.run(ctx, p, v)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.settings.ShutdownGrace)
	defer cancel()
	return errors.Join(err, v.close(closing))
}

func (c jobsRun) run(ctx context.Context, p *program, v *service) error {
	if err := v.awaitSchema(ctx); err != nil {
		return err
	}
	var outcomes []jobs.Outcome
	var err error
	if c.All {
		outcomes, err = v.sweeps().RunAll(ctx)
	} else {
		var one jobs.Outcome
		if one, err = v.sweeps().Run(ctx, c.Name); errors.Is(err, jobs.ErrUnknownSweep) {
			return usageError{fmt.Errorf("%w (api jobs list has the names)", err)}
		}
		outcomes = []jobs.Outcome{one}
	}
	for _, o := range outcomes {
		verdict := "ok"
		if o.Err != nil {
			verdict = "FAILED"
		}
		if _, err := fmt.Fprintf(p.stdout, "%-6s  %s: %d done in %v\n", verdict, o.Sweep, o.Done, o.Took.Round(time.Millisecond)); err != nil {
			return err
		}
	}
	return err
}
