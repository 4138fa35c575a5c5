package jobs

import (
	"context"
	"log/slog"
	"time"
)

// longestPause bounds how long a Loop that fails waits before it tries again.
const longestPause = 15 * time.Second

// Loop is a sweep that every process runs again and again while it serves, with no queue in between: for what cannot wait for a
// period to begin, or concerns the process itself. Loops of several processes share what there is to do by taking it from the
// database row by row. What must happen once per period however many processes there are is a Job.
type Loop struct {
	Sweep
	// Every is how long to rest once there was nothing to do. A run that did something is followed by the next at once.
	Every time.Duration
	// Wake ends a rest early, where it is not nil.
	Wake <-chan struct{}
	// Observer is told of every run that did something, failed or was interrupted. Nil for nobody.
	Observer Observer
}

// Keep runs the sweep until ctx ends and the run under way with it. While runs fail, it waits twice as long each time, up to 15 seconds. It logs
// when they begin to fail and when they work again, and not each time in between.
func (l Loop) Keep(ctx context.Context, log *slog.Logger) {
	for failed := 0; ctx.Err() == nil; {
		o := l.run(ctx)
		if l.Observer != nil && (o.Done > 0 || o.Err != nil) {
			l.Observer.Swept(o)
		}
		switch {
		case o.Interrupted():
			return
		case o.Err != nil && failed == 0:
			log.WarnContext(ctx, "background work fails, and is tried again", slog.String("work", l.Name), slog.Any("error", o.Err))
		case o.Err == nil && failed > 0:
			log.InfoContext(ctx, "background work is done again", slog.String("work", l.Name))
		}
		switch {
		case o.Err != nil:
			failed++
			l.rest(ctx, l.pause(failed), nil)
		case o.Done > 0:
			failed = 0
		default:
			failed = 0
			l.rest(ctx, l.Every, l.Wake)
		}
	}
}

// pause is how long to wait after so many failures in a row: never less than a rest.
func (l Loop) pause(failed int) time.Duration {
	pause := l.Every
	for range min(failed-1, 20) {
		pause = min(2*pause, max(longestPause, l.Every))
	}
	return pause
}

func (Loop) rest(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}
