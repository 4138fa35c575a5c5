package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-compute/ballast/internal/jobs"
)

// What there is to do is done at once; only when there is nothing does a loop rest, until its time or until it is woken.
func TestLoopRestsOnlyWhenNothingIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		wake := make(chan struct{}, 1)
		var at []time.Duration
		left := []int{2, 1, 0, 1, 0, 3, 0}
		loop := jobs.Loop{Every: time.Minute, Wake: wake, Sweep: sweep("work", func(context.Context) (int, error) {
			at = append(at, time.Since(began))
			if len(at) == len(left) {
				stop()
			}
			return left[len(at)-1], nil
		})}
		go func() {
			time.Sleep(90 * time.Second)
			wake <- struct{}{}
		}()
		loop.Keep(ctx, slog.New(slog.DiscardHandler))
		want := []time.Duration{0, 0, 0, time.Minute, time.Minute, 90 * time.Second, 90 * time.Second}
		for i := range want {
			if i >= len(at) || at[i] != want[i] {
				t.Fatalf("ran at %v, not at %v", at, want)
			}
		}
	})
}

func TestLoopWaitsLongerWhileItFailsAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		var said bytes.Buffer
		seen := &outcomes{}
		loop := jobs.Loop{Every: time.Second, Observer: seen, Sweep: sweep("work", func(context.Context) (int, error) {
			at = append(at, time.Since(began).Round(time.Second))
			switch len(at) {
			case 8:
				return 0, nil
			case 9:
				stop()
				return 0, ctx.Err()
			case 2:
				panic("poisoned")
			}
			return 0, errors.New("away")
		})}
		loop.Keep(ctx, slog.New(slog.NewTextHandler(&said, nil)))
		want := []time.Duration{0, 1, 3, 7, 15, 30, 45, 60, 61}
		for i := range want {
			if i >= len(at) || at[i] != want[i]*time.Second {
				t.Fatalf("ran at %v, not at %v seconds", at, want)
			}
		}
		if fails, works := strings.Count(said.String(), "fails"), strings.Count(said.String(), "done again"); fails != 1 || works != 1 {
			t.Errorf("it said:\n%s", &said)
		}
		if len(seen.all) != 8 || !seen.all[7].Interrupted() {
			t.Errorf("observed %v", seen.all)
		}
	})
}

type outcomes struct{ all []jobs.Outcome }

func (o *outcomes) Swept(one jobs.Outcome) { o.all = append(o.all, one) }
