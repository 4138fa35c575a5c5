package jobs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTheJobLibrarySaysLittle(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	log := slog.New(newQuietHandler(slog.NewTextHandler(&out, nil), func() time.Time { return now }, func() bool { return false }))
	say := func() {
		log.Info("Job errored; retrying")
		log.Error("Producer: Error fetching jobs", slog.String("err", "refused"))
		log.With("client_id", "x").WithGroup("g").Error("Producer: Error fetching jobs")
		log.Warn("Job appears to be stuck")
	}
	say()
	say()
	if n := strings.Count(out.String(), "\n"); n != 2 || strings.Contains(out.String(), "ERROR") || !strings.Contains(out.String(), "err=refused") {
		t.Errorf("it said:\n%s", &out)
	}
	now = now.Add(quietFor)
	say()
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("after a while, it has said:\n%s", &out)
	}
}

// What our own shutdown cuts off is no trouble; the same at another time is, and so is anything else while we stop.
func TestTheJobLibraryIsSilentAboutWhatStoppingCutsOff(t *testing.T) {
	t.Parallel()
	cut := fmt.Errorf("insert: %w", context.Canceled)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx      context.Context //nolint:containedctx // a case of the table
		stopping bool
		attr     slog.Attr
		want     int
	}{
		"an error":                     {t.Context(), true, slog.Any("err", cut), 0},
		"a text":                       {t.Context(), true, slog.String("error", "timeout: "+cut.Error()), 0},
		"its context":                  {gone, true, slog.String("err", "write: i/o timeout"), 0},
		"an error before":              {t.Context(), false, slog.Any("err", cut), 1},
		"its context before":           {gone, false, slog.String("err", "write: i/o timeout"), 1},
		"other trouble while stopping": {t.Context(), true, slog.String("err", "relation does not exist"), 1},
		"no error":                     {gone, true, slog.Int("retries", 3), 1},
	} {
		var out bytes.Buffer
		log := slog.New(newQuietHandler(slog.NewTextHandler(&out, nil), time.Now, func() bool { return c.stopping }))
		log.With("client_id", "x").ErrorContext(c.ctx, "Client: Failed to send job insert notification", slog.String("queue", "holds"), c.attr)
		if n := strings.Count(out.String(), "\n"); n != c.want {
			t.Errorf("%s: it said\n%s", name, &out)
		}
	}
}
