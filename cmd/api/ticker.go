package main

import (
	"context"
	"log/slog"
	"time"
)

// ticker is work that every process does for itself, again and again while it serves. What must happen once however many
// processes there are is a sweep of package jobs.
type ticker struct {
	name  string
	every time.Duration
	run   func(ctx context.Context) error
}

// keepRunning runs it at once and then at its interval, until ctx ends. It logs when that begins to fail and when it works again,
// and not each time in between.
func (k ticker) keepRunning(ctx context.Context, log *slog.Logger) {
	ticks := time.NewTicker(k.every)
	defer ticks.Stop()
	failing := false
	for {
		err := k.run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			log.WarnContext(ctx, "background work fails, and is tried again", slog.String("work", k.name), slog.Any("error", err))
		case err == nil && failing:
			log.InfoContext(ctx, "background work is done again", slog.String("work", k.name))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}
