package jobs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTheJobLibrarySaysLittle(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	log := slog.New(newQuietHandler(slog.NewTextHandler(&out, nil), func() time.Time { return now }))
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
