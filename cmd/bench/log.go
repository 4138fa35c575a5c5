package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/witness"
)

// logGoal is what the rate with the log must be of that without.
const logGoal = 0.95

// warmingUp is for how many seconds a program works before it is measured: after the other has written to the accounts, it must learn how they stand, which makes the first
// half of a second some 30 % slower. It also lets the other's log come to its end.
const warmingUp = 2

// witnesses is how many witnesses the log of a rig has, of which two must cosign.
const witnesses = 3

// keepLog has the API keep a log, unless it is measured without: all figures are those of a server that keeps its promises.
func (r *rig) keepLog(ctx context.Context) error {
	skey, err := translog.NewKey("bench.example/log")
	if err != nil {
		return err
	}
	key, err := translog.ParseKey(skey)
	if err != nil {
		return err
	}
	r.logDir = filepath.Join(r.dir, "log")
	r.api.Env = append(r.api.Env, "BALLAST_LOG_DIR="+r.logDir, "BALLAST_LOG_KEY="+skey)
	if r.opts.Soak == 0 {
		return nil
	}
	policy, err := r.startWitnesses(ctx, key.Text)
	if err != nil {
		return err
	}
	r.api.Env = append(r.api.Env, "BALLAST_LOG_WITNESSES="+policy)
	return nil
}

// startWitnesses runs witnesses in this process, and returns the file with the policy that names them.
func (r *rig) startWitnesses(ctx context.Context, logKey string) (string, error) {
	var policy, names strings.Builder
	fmt.Fprintf(&policy, "log %s\n", logKey)
	for i := range witnesses {
		dir, name := filepath.Join(r.dir, fmt.Sprintf("witness%d", i)), fmt.Sprintf("w%d", i)
		vkey, err := witness.CreateKey(dir, "witness.example/"+name)
		if err != nil {
			return "", err
		}
		w, err := witness.Open(dir, []string{logKey}, slog.New(slog.DiscardHandler))
		if err != nil {
			return "", err
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		serving, stop := context.WithCancel(ctx)
		r.cleanup = append(r.cleanup, stop)
		go func() { _ = w.Serve(serving, l) }() // It ends with the run.
		fmt.Fprintf(&policy, "witness %s %s http://%s/\n", name, vkey, l.Addr())
		names.WriteString(" " + name)
	}
	fmt.Fprintf(&policy, "group enough 2%s\nquorum enough\n", names.String())
	file := filepath.Join(r.dir, "policy")
	return file, os.WriteFile(file, []byte(policy.String()), 0o600)
}

// compareLog measures single transfers with the log on and off, in turn on the same books, beginning with the other each round. Off is a program that was built
// without writing entries, keeps no log and promises nothing.
func (r *rig) compareLog(ctx context.Context) error {
	with := *r
	without, err := r.apiWithoutLog(ctx)
	if err != nil {
		return err
	}
	measured := map[bool][]eventsRound{}
	for round := range r.opts.Rounds {
		for _, on := range []bool{round%2 == 1, round%2 == 0} {
			one := &with
			if !on {
				one = without
			}
			m, err := r.logRound(ctx, one, round, on)
			if err != nil {
				return err
			}
			measured[on] = append(measured[on], m)
		}
	}
	on, off := measured[true], measured[false]
	rate := func(m eventsRound) float64 { return m.rate }
	cpu := func(m eventsRound) float64 { return m.cpu }
	fmt.Printf("\n| single transfers over HTTP | a second | ratio | goal | CPU a transfer | ratio |\n|---|---:|---:|---:|---:|---:|\n")
	fmt.Printf("| without the log | %.0f | | | %.1f µs | |\n", medianOf(off, rate), medianOf(off, cpu))
	each := ratios(on, off, rate)
	of, standardError := mean(each)
	fmt.Printf("| with it | %.0f | %.3f × without; round by round: median %.3f, mean %.3f ± %.3f | ≥ %.2f | %.1f µs | %.3f × without, round by round |\n",
		medianOf(on, rate), medianOf(on, rate)/medianOf(off, rate), median(each), of, standardError, logGoal, medianOf(on, cpu), paired(on, off, cpu))
	return nil
}

// apiWithoutLog starts the API a second time, built without the log.
func (r *rig) apiWithoutLog(ctx context.Context) (*rig, error) {
	other := *r
	binary := r.binary() + "-without-log"
	build := exec.CommandContext(ctx, "go", "build", "-tags", "ballast_measure_without_log", "-o", binary, "github.com/ballast-compute/ballast/cmd/api") //nolint:gosec // our own program
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("building the API without the log: %w", err)
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	other.addr = addr
	other.api = exec.CommandContext(ctx, binary, "serve") //nolint:gosec // as above
	other.api.Env = append(os.Environ(), "DATABASE_URL="+r.server.URL("ballast", "bench_api", appPassword), "BALLAST_ADDR="+addr)
	err = other.runAPI(ctx, "api-without-log.log")
	r.cleanup = other.cleanup
	return &other, err
}

// wantEntries has the database refuse transactions without entries for the log, as it does, or take them, without looking.
func (r *rig) wantEntries(ctx context.Context, want bool) error {
	if r.guard == "" {
		if err := r.owner.QueryRow(ctx, `SELECT pg_get_functiondef('check_transactions_are_whole'::regproc)`).Scan(&r.guard); err != nil {
			return err
		}
	}
	guard := r.guard
	if !want {
		for _, part := range []string{"SELECT entries INTO logged FROM log_entries WHERE seq = lo;", "size > 0 AND logged IS DISTINCT FROM size"} {
			if !strings.Contains(guard, part) {
				return fmt.Errorf("the guard of the journal has no %q", part)
			}
		}
		guard = strings.NewReplacer("SELECT entries INTO logged FROM log_entries WHERE seq = lo;", "", "size > 0 AND logged IS DISTINCT FROM size", "false").Replace(guard)
	}
	return r.exec(ctx, "ballast", guard)
}

// logRound measures one of the two, with the guard that wants entries in force for the one that writes them.
func (r *rig) logRound(ctx context.Context, one *rig, round int, on bool) (m eventsRound, err error) {
	if err := r.wantEntries(ctx, on); err != nil {
		return m, err
	}
	load := workload{batch: 1, connections: r.opts.Connections}
	warm := *one
	warm.opts.Seconds = warmingUp
	if _, err := warm.closedLoop(ctx, load); err != nil {
		return m, err
	}
	m, each, err := one.timed(ctx, load)
	if err != nil {
		return m, err
	}
	fmt.Printf("  round %d, log %s: %.0f/s; %s\n", round+1, map[bool]string{true: "on", false: "off"}[on], m.rate, each)
	return m, nil
}
