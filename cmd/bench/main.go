// Command bench measures the write path over HTTP against a plain one-transfer SQL function on the same Postgres, in the
// same run, and prints their ratios as a table for docs/benchmarks.md.
//
//	go run ./cmd/bench                     the quick run, about two minutes
//	go run ./cmd/bench --postings 10000000 also with ten million postings in the journal, in turn with none
//	go run ./cmd/bench --events            instead, transfers with webhooks on against off
//	go run ./cmd/bench --log               instead, transfers with the transparency log on against off
//	go run ./cmd/bench --soak 600          instead, how long it takes until transfers are published and witnessed
//
// It starts a Postgres of its own (fsync on), the API as a process of its own, and pgbench, which comes with Postgres.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
)

type options struct {
	Seconds     int      `default:"8" help:"How long each measurement takes."`
	Rounds      int      `default:"3" help:"How often the measurements are repeated, in turn; the table has their medians."`
	Accounts    int      `default:"1000" help:"How many accounts take part."`
	Connections int      `default:"256" help:"How many connections send single transfers."`
	Postings    int      `default:"0" help:"Also measure with so many postings in the journal and with none, in turn; 0 leaves it out."`
	Only        []string `help:"Run only these measurements: uniform, hot, batch, mint, yardstick-uniform, yardstick-hot."`
	Events      bool     `help:"Measure single transfers with events sent to webhooks against none, and nothing else."`
	Log         bool     `help:"Measure single transfers with the transparency log against none, and nothing else."`
	Soak        int      `default:"0" help:"Measure for so many seconds, at half of the peak, how long it takes until transfers are published and witnessed, and nothing else."`
	OpenLoop    bool     `default:"true" negatable:"" help:"Also measure the latency at a third of the peak."`
}

func main() {
	var opts options
	kong.Parse(&opts, kong.Name("bench"), kong.Description("Measure the write path against plain SQL on the same Postgres."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, opts); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func run(ctx context.Context, opts options) error {
	rig, err := newRig(ctx, opts)
	if err != nil {
		return err
	}
	defer rig.close()
	fmt.Printf("%s\n\n", rig.describe())
	if opts.Events {
		return rig.compareEvents(ctx)
	}
	if opts.Log {
		return rig.compareLog(ctx)
	}
	if opts.Soak > 0 {
		return rig.soak(ctx)
	}
	empty, err := rig.measure(ctx, "a fresh ledger")
	if err != nil {
		return err
	}
	empty.print()
	if opts.Postings == 0 {
		return nil
	}
	return rig.compareGrowth(ctx)
}
