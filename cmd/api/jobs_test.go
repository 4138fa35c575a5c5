package main_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

var holdSweepsLine = regexp.MustCompile(`(?m)^ballast_job_runs_total\{outcome="ok",sweep="expire_holds"\} (\d+)$`)

// holdSweeps is how many successful runs of the sweep of holds the process tells Prometheus of.
func (p *process) holdSweeps() int {
	p.t.Helper()
	_, body := p.get("/metrics")
	line := holdSweepsLine.FindStringSubmatch(body)
	if line == nil {
		return 0
	}
	n, err := strconv.Atoi(line[1])
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func TestServeRunsTheJobs(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	p := startServe(t, d.AppURL)
	p.eventually("a run", func() bool { return p.holdSweeps() > 0 })
	_, body := p.get("/metrics")
	for _, series := range []string{
		`ballast_job_last_success_timestamp_seconds{sweep="expire_holds"} 1`, `ballast_job_duration_seconds_count{sweep="expire_holds"} `,
		`ballast_job_done_total{sweep="expire_holds"} 0`, `ballast_job_runs_total{outcome="failed",sweep="expire_holds"} 0`,
		`ballast_pg_pool_max_connections{pool="jobs"} 3`, `ballast_webhook_due 0`, `ballast_webhook_lag_seconds 0`, `ballast_webhook_behind_seconds 0`,
		`ballast_events_horizon_lag_seconds 0`,
	} {
		if !strings.Contains(body, series) {
			t.Errorf("no series %s", series)
		}
	}
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, trouble := range []string{`"WARN"`, `"ERROR"`} {
		if strings.Contains(p.stderr.String(), trouble) {
			t.Errorf("it logged trouble: %s", p.stderr)
		}
	}
}

func TestServeRunsNoJobTwice(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	one, two := startServe(t, d.AppURL), startServe(t, d.AppURL)
	runs := func() int { return one.holdSweeps() + two.holdSweeps() }
	one.eventually("some runs", func() bool { return runs() >= 3 })
	var entries, periods, done int
	err := d.Pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT floor(extract(epoch FROM scheduled_at) / 5)), count(*) FILTER (WHERE state = 'completed')
		FROM ballast_jobs.river_job WHERE queue = 'holds'`).Scan(&entries, &periods, &done)
	if err != nil || entries != periods || runs() < done {
		t.Errorf("%d entries for %d periods, %d done in %d runs (%v)", entries, periods, done, runs(), err)
	}
	if status := two.status("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz is %d", status)
	}
}

func TestJobsAreListedAndRunByHand(t *testing.T) {
	t.Parallel()
	runBinary(t, nil, "jobs", "list").want(t, 0, "JOB", "holds", "5s", "expire_holds")

	d := pgtest.New(t, seeded())
	env := []string{"DATABASE_URL=" + d.AppURL}
	runBinary(t, env, "jobs", "run", "expire_holds").want(t, 0, "ok      expire_holds: 0 done in ")
	runBinary(t, env, "jobs", "run", "--all").want(t, 0, "ok      expire_holds: 0 done in ")
	runBinary(t, env, "jobs", "run").want(t, 2, "--all")
	runBinary(t, env, "jobs", "run", "--all", "expire_holds").want(t, 2, "--all")
	runBinary(t, env, "jobs", "run", "nonsense").want(t, 2, "nonsense", "api jobs list")

	execute(t, d.Pool, `ALTER TABLE holds RENAME TO lost`)
	r := runBinary(t, env, "jobs", "run", "--all")
	r.want(t, 1, "FAILED  expire_holds: 0 done", fmt.Sprintf("%q does not exist", "holds"))
}
