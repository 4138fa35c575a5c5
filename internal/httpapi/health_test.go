package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// probed serves the probes of a Health whose one check is probe.
func probed(probe func(context.Context) error) (http.Handler, *Health, *logLines) {
	var health *Health
	tr, lines := newTransport(func(t *Transport) {
		t.Health = NewHealth(t.Logger, Check{Name: "database", Probe: probe})
		health = t.Health
	})
	return tr.handler([]route{
		{method: http.MethodGet, pattern: "/healthz", probe: true, handler: tr.Health.alive},
		{method: http.MethodGet, pattern: "/readyz", probe: true, handler: tr.Health.ready},
	}, writeTestError), health, lines
}

func status(t testing.TB, h http.Handler, path string) int {
	t.Helper()
	return ask(t, h, request(http.MethodGet, path, "")).StatusCode
}

func TestReadinessFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		h, _, lines := probed(func(context.Context) error {
			if gone.Load() {
				return errors.New("dial postgres://user:password@host")
			}
			return nil
		})
		if got := status(t, h, "/readyz"); got != 200 {
			t.Errorf("with a database: %d", got)
		}
		gone.Store(true)
		time.Sleep(probeTTL)
		for range 3 {
			res := ask(t, h, request(http.MethodGet, "/readyz", ""))
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || strings.Contains(string(body), "password") || !strings.Contains(string(body), `"code":"unavailable"`) {
				t.Errorf("without a database: %d, %s", res.StatusCode, body)
			}
			time.Sleep(probeTTL)
		}
		if got := status(t, h, "/healthz"); got != 200 {
			t.Errorf("alive without a database: %d", got)
		}
		gone.Store(false)
		time.Sleep(probeTTL)
		if got := status(t, h, "/readyz"); got != 200 {
			t.Errorf("with the database back: %d", got)
		}
		if n := len(lines.with(t, "not ready")); n != 1 {
			t.Errorf("the loss was logged %d times", n)
		}
	})
}

// What starts is no fault, and is told as such; what fails before it was ever ready is one.
func TestWhatIsOnItsWayIsNoError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   error
		level string
		line  string
	}{{fmt.Errorf("%w: data is being loaded", ErrStarting), "INFO", "not ready yet"}, {errors.New("no route to host"), "ERROR", "not ready"}} {
		h, _, lines := probed(func(context.Context) error { return tt.err })
		if got := status(t, h, "/readyz"); got != 503 {
			t.Errorf("%v: %d", tt.err, got)
		}
		if found := lines.with(t, tt.line); len(found) != 1 || found[0]["level"] != tt.level {
			t.Errorf("%v: %v", tt.err, found)
		}
	}
}

func TestAskingOftenCostsTheDatabaseNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		h, _, _ := probed(func(context.Context) error {
			looks.Add(1)
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		for range 2 {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { status(t, h, "/readyz") })
			}
			wg.Wait()
			time.Sleep(probeTTL)
		}
		if n := looks.Load(); n != 2 {
			t.Errorf("100 questions took %d looks", n)
		}
	})
}

func TestADatabaseThatHangsIsNotReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _, _ := probed(func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		start := time.Now()
		if got := status(t, h, "/readyz"); got != 503 || time.Since(start) > probeTimeout {
			t.Errorf("%d after %s", got, time.Since(start))
		}
	})
}

func TestOneWhoGoesAwayDoesNotMakeTheServerUnready(t *testing.T) {
	t.Parallel()
	h, _, _ := probed(func(ctx context.Context) error { return ctx.Err() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := ask(t, h, request(http.MethodGet, "/readyz", "").WithContext(ctx)); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestADrainingServerIsUnreadyAndStillServes(t *testing.T) {
	t.Parallel()
	h, health, _ := probed(func(context.Context) error { return nil })
	if got := status(t, h, "/readyz"); got != 200 {
		t.Fatalf("before: %d", got)
	}
	health.BeginDrain()
	if got := status(t, h, "/readyz"); got != 503 {
		t.Errorf("draining: %d", got)
	}
	res := ask(t, h, request(http.MethodGet, "/healthz", ""))
	if res.StatusCode != 200 || res.Header.Get("Connection") != "close" {
		t.Errorf("draining, another request: %d, Connection %q", res.StatusCode, res.Header.Get("Connection"))
	}
}

func TestWithoutChecksTheServerIsReady(t *testing.T) {
	t.Parallel()
	if failing := NewHealth(slog.New(slog.DiscardHandler)).firstFailing(t.Context()); failing != "" {
		t.Errorf("%s fails", failing)
	}
}
