package jobs_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// victimVariable turns this test binary into a process that begins a sweep on the database of this connection string, says so, and
// goes on until it is killed.
const victimVariable = "BALLAST_JOBS_VICTIM"

func TestMain(m *testing.M) {
	if url := os.Getenv(victimVariable); url != "" {
		fmt.Println(beVictim(context.Background(), url))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func beVictim(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	runner, err := jobs.New(pool, hourly(func(ctx context.Context) (int, error) {
		fmt.Println("begun")
		<-ctx.Done()
		return 0, ctx.Err()
	}), jobs.Patient(jobs.Options{}))
	if err != nil {
		return err
	}
	return runner.Run(ctx)
}

func hourly(run func(context.Context) (int, error)) jobs.Table {
	return jobs.Table{{Name: "hourly", Every: time.Hour, Sweeps: []jobs.Sweep{sweep("hourly", run)}}}
}

func TestWhatAKilledProcessBeganIsDoneByAnother(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	victim := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // This very program.
	victim.Env = append(os.Environ(), victimVariable+"="+d.AppURL)
	said, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if killErr := victim.Process.Kill(); err != nil || killErr != nil || line != "begun\n" {
		t.Fatalf("the victim said %q (%v, %v)", line, err, killErr)
	}
	_ = victim.Wait() // It says that it was killed.

	// Its lease on leading runs out by itself after 15 seconds, and its run is old enough for rescue after 2.
	if _, err := d.Pool.Exec(t.Context(), `UPDATE ballast_jobs.river_leader SET expires_at = now()`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its run to be given up", func() bool {
		return query[bool](t, d, `SELECT state = 'running' AND attempted_at < clock_timestamp() - interval '2.1 seconds' FROM ballast_jobs.river_job`)
	})
	var runs atomic.Int64
	p := startRunner(t, d.App, hourly(counts(&runs)), jobs.Options{})
	eventually(t, "another to do it", func() bool { return runs.Load() > 0 })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, d, `SELECT string_agg(state || ' after ' || attempt, ', ') FROM ballast_jobs.river_job`); got != "completed after 2" || runs.Load() != 1 {
		t.Errorf("%d runs; the queue has: %s", runs.Load(), got)
	}
}
