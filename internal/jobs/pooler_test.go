package jobs_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// The mode of pgx that works behind a pooler in transaction mode.
func TestARunnerNeedsNoStateOfItsConnection(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	beatQuietly(t, d, d.AppURL+"&default_query_exec_mode=cache_describe")
}

func TestARunnerBehindPgbouncer(t *testing.T) {
	t.Parallel()
	if os.Getenv("BALLAST_LONG") == "" {
		t.Skip("it needs BALLAST_LONG=1 and pgbouncer")
	}
	d := pgtest.New(t)
	beatQuietly(t, d, pgtest.ThroughPgbouncer(t, d.AppURL))
}

// beatQuietly has a runner work on a database for some periods, and fails the test if the job library finds fault with anything, or
// listens: a listener behind a pooler hears nothing, and is not told so.
func beatQuietly(t *testing.T, d *pgtest.Database, url string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var beats atomic.Int64
	var out bytes.Buffer
	p := startRunner(t, pool, jobs.Table{heart(&beats)}, jobs.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	eventually(t, "some beats", func() bool { return beats.Load() >= 3 })
	if n := query[int](t, d, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'listen%'`); n > 0 {
		t.Errorf("%d sessions listen", n)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "level=WARN") || strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("it said:\n%s", &out)
	}
}
