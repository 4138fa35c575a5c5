//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	fastShutdownTimeout      = 30 * time.Second
	immediateShutdownTimeout = 5 * time.Second
	readyPoll                = 10 * time.Millisecond
	slowStart                = 3 * time.Second
	connectTimeout           = 2 * time.Second
	maxLogBytes              = 16 << 20
)

// postmaster is one run of the server's main process.
type postmaster struct {
	pid     int
	cmd     *exec.Cmd
	watch   *deathWatch
	exited  chan struct{}
	exitErr error // Written before exited is closed.
}

// launch starts the server and returns once it accepts connections. If ctx ends first, or the server does, nothing
// is left running.
func (s *Server) launch(ctx context.Context) (*postmaster, error) {
	if err := s.disownStalePID(ctx); err != nil {
		return nil, err
	}
	logStart, pm, err := s.spawn(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.waitReady(ctx, pm); err != nil {
		pm.kill(syscall.SIGQUIT)
		return nil, fmt.Errorf("%w; the end of %s:\n%s", err, s.dir.log(), s.logSince(logStart))
	}
	return pm, nil
}

// spawn returns also where in the log file this run begins.
func (s *Server) spawn(ctx context.Context) (logStart int64, pm *postmaster, err error) {
	logFile, logStart, err := s.openLog()
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = logFile.Close() }() // The child has its own.
	args := s.arguments(ctx)
	ctx = context.WithoutCancel(ctx) // The server outlives its start.
	cmd := s.command(ctx, s.binaries.postgres(), args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("start postgres: %w", err)
	}
	pm = &postmaster{pid: cmd.Process.Pid, cmd: cmd, exited: make(chan struct{})}
	if pm.watch, err = s.watchOver(ctx, pm.pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, nil, err
	}
	go func() {
		pm.exitErr = cmd.Wait()
		pm.watch.end()
		close(pm.exited)
	}()
	return logStart, pm, nil
}

// openLog starts the log anew when it has grown large, and keeps the one before.
func (s *Server) openLog() (*os.File, int64, error) {
	if info, err := os.Stat(s.dir.log()); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(s.dir.log(), s.dir.log()+".old"); err != nil {
			return nil, 0, err
		}
	}
	file, err := os.OpenFile(s.dir.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	size, err := file.Seek(0, io.SeekEnd)
	return file, size, err
}

func (s *Server) logSince(start int64) string {
	file, err := os.Open(s.dir.log())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(file, start, 64<<10))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), 8)
}

// waitReady believes only a connection. It waits as long as the server lives, since recovery may take its time.
func (s *Server) waitReady(ctx context.Context, pm *postmaster) error {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	slow := time.After(slowStart)
	for {
		if s.answers(ctx, s.port) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pm.exited:
			return fmt.Errorf("postgres ended before it was ready: %w", errors.Join(pm.exitErr))
		case <-slow:
			s.log.InfoContext(ctx, "Postgres is still starting, probably recovering from a crash", "log", s.dir.log())
		case <-ticker.C:
		}
	}
}

// answers reports whether this cluster's server accepts connections on port. No other server knows the
// password, and no other cluster has the directory.
func (s *Server) answers(ctx context.Context, port int) bool {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	probe := Server{port: port, password: s.password}
	conn, err := pgx.Connect(ctx, probe.SuperuserURL("postgres"))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(ctx) }()
	var dir string
	err = conn.QueryRow(ctx, "SHOW data_directory").Scan(&dir)
	return err == nil && dir == s.dir.cluster()
}

// shutdown asks for a fast shutdown, and for an immediate one when hurry is closed.
func (pm *postmaster) shutdown(hurry <-chan struct{}) {
	_ = syscall.Kill(pm.pid, syscall.SIGINT) // Already gone is as good.
	select {
	case <-pm.exited:
	case <-hurry:
		pm.kill(syscall.SIGQUIT)
	}
}

// kill sends a signal that should end the server at once, and the one that nothing survives if it does not.
func (pm *postmaster) kill(signal syscall.Signal) {
	_ = syscall.Kill(pm.pid, signal)
	timer := time.NewTimer(immediateShutdownTimeout)
	defer timer.Stop()
	select {
	case <-pm.exited:
	case <-timer.C:
		_ = syscall.Kill(pm.pid, syscall.SIGKILL)
		<-pm.exited
	}
}

// serverEnvironment leaves out what is meant for clients (PGPORT, PGOPTIONS, …) and fixes the language of messages.
func serverEnvironment() []string {
	env := []string{"LC_ALL=C"}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "PG") && !strings.HasPrefix(entry, "LC_") && !strings.HasPrefix(entry, "LANG") {
			env = append(env, entry)
		}
	}
	return env
}
