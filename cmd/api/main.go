// Command api is Ballast: the server, and what goes with running it. `api dev` starts everything on one machine, and
// `api serve` is for production. Everything else in this package is the other commands and the wiring.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes. Scripts rely on them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// commands is the command line.
type commands struct {
	Dev         devCommand         `cmd:"" help:"Start everything on this machine: a Postgres of its own, demo data, the API."`
	Serve       serveCommand       `cmd:"" help:"Serve the API on the database that DATABASE_URL names (production)."`
	Migrate     migrateCommands    `cmd:"" help:"Change the schema, as its owner."`
	Check       checkCommand       `cmd:"" help:"Recompute every invariant of the books. Exit status 1 if one does not hold."`
	Jobs        jobsCommands       `cmd:"" help:"List what is done as time passes, and do it by hand."`
	Anchor      anchorCommands     `cmd:"" help:"Epochs of the anchor: what an hour of each GPU class is worth."`
	Import      importCommands     `cmd:"" help:"Take data from files."`
	Keys        keysCommands       `cmd:"" help:"Make, list and revoke API keys, from the machine that runs the database."`
	Secrets     secretsCommands    `cmd:"" help:"Keys for the secrets in the database: make one, and change over to it."`
	Log         logCommands        `cmd:"" help:"The transparency log: make its key."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask the server on BALLAST_ADDR whether it is ready, for containers without curl."`
	Version     versionCommand     `cmd:"" help:"Print the version of this program and of the schema that it needs."`
}

// program is what a command gets to work with.
type program struct {
	settings       settings
	stdout, stderr io.Writer
}

// usageError is a command line or a setting that makes no sense.
type usageError struct{ error }

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // The second signal ends the process at once.
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything that a test may want to see. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := runCommand(ctx, args, stdout, stderr)
	if err == nil || errors.Is(err, errHelped) {
		return exitOK
	}
	_, _ = fmt.Fprintln(stderr, "api: "+oneLine(err))
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// errHelped means that help was asked for and given.
var errHelped = errors.New("help was printed")

func runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	defer func() { // Kong ends the process after printing help; run must return instead.
		if helped, ok := recover().(helpedExit); ok {
			err = errHelped
			if helped.code != 0 {
				err = usageError{fmt.Errorf("%w (exit %d)", errHelped, helped.code)}
			}
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parser, err := kong.New(&commands{}, kong.Name("api"), kong.Writers(stdout, stderr), kong.Help(printHelp),
		kong.Description("Ballast, the issuer's ledger for a token that is worth compute."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Exit(func(code int) { panic(helpedExit{code}) }))
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return usageError{fmt.Errorf("%w (api --help lists the commands)", err)}
	}
	s, err := readSettings(os.Environ())
	if err != nil {
		return usageError{err}
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(&program{settings: s, stdout: stdout, stderr: stderr})
}

type helpedExit struct{ code int }

// printHelp adds the environment to the help of the program itself.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	return printEnvironment(ctx.Stdout)
}

// oneLine keeps an error of several lines, such as errors.Join makes, readable in a log of lines.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
}
