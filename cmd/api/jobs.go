package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// job is work that is done again and again while the server runs.
type job struct {
	name  string
	every time.Duration
	run   func(ctx context.Context) error
}

// startJobs runs each job at once and then at its interval, until ctx ends. The caller waits for the group.
func startJobs(ctx context.Context, log *slog.Logger, jobs ...job) *sync.WaitGroup {
	var group sync.WaitGroup
	for _, j := range jobs {
		group.Go(func() { j.keepRunning(ctx, log) })
	}
	return &group
}

// keepRunning logs when a job begins to fail and when it works again, and not each time in between.
func (j job) keepRunning(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(j.every)
	defer ticker.Stop()
	failing := false
	for {
		err := j.run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			log.WarnContext(ctx, "a background job fails, and is tried again", slog.String("job", j.name), slog.Any("error", err))
		case err == nil && failing:
			log.InfoContext(ctx, "a background job works again", slog.String("job", j.name))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
