// Command ballast-verify checks Ballast's transparency log, and the receipts, promises and proofs of liabilities that its users get, without a database and
// without trusting who runs it. It can also be a witness. This package is the wiring; internal/verify does the work.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// commands is the command line.
type commands struct {
	Fetch     fetchCommand     `cmd:"" help:"Copy a published log into a directory, or bring the copy up to date."`
	Check     checkCommand     `cmd:"" help:"Verify a log, at a URL or in a directory: signatures, every hash, every entry, the books."`
	Receipt   receiptCommand   `cmd:"" help:"Verify the receipt of a transaction, offline."`
	Liability liabilityCommand `cmd:"" help:"Verify that a balance is counted in a published proof of liabilities, offline."`
	Promise   promiseCommand   `cmd:"" help:"Verify the value of a header Ballast-Promise, and whether it was kept."`
	Witness   witnessCommands  `cmd:"" help:"Be a witness: cosign checkpoints of logs that never go back on what they said."`
}

// program is what a command gets to work with.
type program struct {
	stdout, stderr io.Writer
	now            func() time.Time
}

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // The second signal ends the process at once.
	os.Exit(run(ctx, os.Args[1:], &program{os.Stdout, os.Stderr, time.Now}))
}

// run is main with everything that a test may want to see. It returns the exit code: 0 verified, 1 tampered, 2 incomplete (a wrong command line too), 3 stale.
func run(ctx context.Context, args []string, p *program) int {
	err := runCommand(ctx, args, p)
	if err == nil || errors.Is(err, errHelped) {
		return int(fault.Verified)
	}
	if verdict, ok := errors.AsType[verdictError](err); ok {
		return int(verdict.verdict)
	}
	report := verify.Unable(name(args), err)
	if !wantsJSON(args) {
		_, _ = fmt.Fprintln(p.stderr, "ballast-verify: "+report.OneLine())
	} else if err := writeJSON(p.stdout, report); err != nil {
		_, _ = fmt.Fprintln(p.stderr, "ballast-verify: "+err.Error())
	}
	return int(report.Verdict)
}

// name is that of the command, if there is one.
func name(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// wantsJSON tells whether an error is to be told as a report. The arguments are looked at as they are, since what is wrong may be one of them.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json")
}

func writeJSON(w io.Writer, r *verify.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r.JSON())
}

// verdictError says that the report has told what there is to tell.
type verdictError struct{ verdict fault.Verdict }

func (e verdictError) Error() string { return e.verdict.String() }

// errHelped means that help was asked for and given.
var errHelped = errors.New("help was printed")

type helpedExit struct{ code int }

func runCommand(ctx context.Context, args []string, p *program) (err error) {
	defer func() { // Kong ends the process after printing help; run must return instead.
		switch helped := recover().(type) {
		case nil:
		case helpedExit:
			err = errHelped
		default:
			panic(helped)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parser, err := kong.New(&commands{}, kong.Name("ballast-verify"), kong.Writers(p.stdout, p.stderr),
		kong.Description("Check Ballast's transparency log without trusting who runs it. Exit status: 0 verified, 1 tampered, 2 incomplete, 3 stale."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Exit(func(code int) { panic(helpedExit{code}) }))
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return fault.New(fault.Incomplete, "usage", "%v (--help tells how)", err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(p)
}
