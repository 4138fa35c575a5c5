package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const parentPoll = 250 * time.Millisecond

// byGoRun reports whether this program was started by go run, which builds it in a directory of its own.
func byGoRun() bool {
	path, err := os.Executable()
	return err == nil && strings.Contains(filepath.ToSlash(path), "/go-build")
}

// endWithGoRun returns a context that also ends when the go run that started this program does. go run passes on no signal
// but ctrl-C's, which comes from the terminal: without this, stopping it in another way would leave the server running.
func endWithGoRun(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if !byGoRun() {
		return ctx, cancel
	}
	parent := os.Getppid()
	go func() {
		ticker := time.NewTicker(parentPoll)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if os.Getppid() != parent {
					cancel(errors.New("go run has ended"))
					return
				}
			}
		}
	}()
	return ctx, cancel
}

// commandLine is how somebody would call this program again from where they called it.
func commandLine() string {
	if byGoRun() {
		return "go run ./cmd/api"
	}
	return os.Args[0]
}

// keysCommandLine prints an operator key on the database that dev works with. It is one line, since the README takes over what dev exports by its lines.
func keysCommandLine(p *program) string {
	line := commandLine() + " keys create --role operator -q"
	if p.settings.DataDir != "" && p.settings.DatabaseURL == "" { // DATABASE_URL has a password, and is not spelled out.
		return "BALLAST_DATA_DIR=" + shellQuote(p.settings.DataDir) + " " + line
	}
	return line
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
