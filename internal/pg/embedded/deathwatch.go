//go:build unix

package embedded

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
)

// deathWatch stops the postmaster when this process dies in a way that leaves it no time to (kill -9, a crash). It is a
// shell that waits for the end of a pipe of which only this process holds the other end. Unlike Linux's
// parent-death signal, which follows threads, this works on every Unix.
type deathWatch struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// deathWatchScript makes sure that the process is still the postmaster of this cluster before it signals it.
const deathWatchScript = `read -r _
[ "$(sed -n 1p "$2/postmaster.pid" 2>/dev/null)" = "$1" ] && kill -"$3" "$1"`

func (s *Server) watchOver(ctx context.Context, pid int) (*deathWatch, error) {
	signal := "INT" // Fast shutdown.
	if s.opts.FsyncOff {
		signal = "QUIT" // Nobody will open the cluster again.
	}
	cmd := s.command(ctx, "/bin/sh", "-c", deathWatchScript, "ballast-postgres-watch", strconv.Itoa(pid), s.dir.cluster(), signal)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watch over postgres: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("watch over postgres: %w", err)
	}
	return &deathWatch{cmd: cmd, pipe: pipe}, nil
}

// end dismisses the watch. It is killed before its pipe closes, so that it does not take that for a death.
func (w *deathWatch) end() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait() // Also closes the pipe; the error is the kill.
	_ = w.pipe.Close()
}
