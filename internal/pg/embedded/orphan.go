//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFile is what matters of postmaster.pid: its first line, and its fourth once the server listens.
type pidFile struct {
	path string
	pid  int
	port int // 0 if not written yet.
	rest string
}

// readPIDFile returns nil if there is none, which means that the last server ended in order.
func readPIDFile(cluster string) (*pidFile, error) {
	path := filepath.Join(cluster, "postmaster.pid")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // No file is an answer, not an error.
	}
	if err != nil {
		return nil, err
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	file := &pidFile{path: path, rest: rest}
	if file.pid, err = strconv.Atoi(strings.TrimSpace(first)); err != nil {
		return nil, fmt.Errorf("%s: first line is %q", path, first)
	}
	if lines := strings.Split(rest, "\n"); len(lines) > 2 {
		file.port, _ = strconv.Atoi(strings.TrimSpace(lines[2])) // Not a number: not written yet.
	}
	return file, nil
}

// settleOrphan stops a server that a killed owner left on the cluster: this process could neither see an adopted one
// die nor give it other parameters. We hold the lock, so the server has no living owner.
func (s *Server) settleOrphan(ctx context.Context) error {
	file, err := readPIDFile(s.dir.cluster())
	if err != nil || file == nil || !s.isOrphan(ctx, file) {
		return err
	}
	s.log.InfoContext(ctx, "stopping the Postgres that an earlier run left behind", "pid", file.pid, "dir", s.dir.cluster())
	for _, step := range []struct {
		signal  syscall.Signal
		timeout time.Duration
	}{
		{syscall.SIGINT, fastShutdownTimeout},
		{syscall.SIGQUIT, immediateShutdownTimeout},
		{syscall.SIGKILL, immediateShutdownTimeout},
	} {
		_ = syscall.Kill(file.pid, step.signal) // Gone already is what we want.
		if s.waitGone(ctx, file.pid, step.timeout) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("the Postgres that an earlier run left behind on %s (process %d) does not stop", s.dir.cluster(), file.pid)
}

// isOrphan believes a connection, or the process's own command line while it does not answer (it is starting or
// shutting down). The number in the file alone proves nothing: after a kill -9 or a reboot it may be anybody's.
func (s *Server) isOrphan(ctx context.Context, file *pidFile) bool {
	if !alive(file.pid) {
		return false
	}
	return s.isPostmaster(ctx, file.pid) || (file.port > 0 && s.answers(ctx, file.port))
}

// isPostmaster reports whether the process was started as the server of this cluster. A zombie has no command line left.
func (s *Server) isPostmaster(ctx context.Context, pid int) bool {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if errors.Is(err, os.ErrNotExist) {
		line, err = exec.CommandContext(ctx, "ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	}
	if err != nil {
		return false
	}
	args := strings.ReplaceAll(string(line), "\x00", " ")
	return strings.Contains(args, "postgres") && strings.Contains(args, " -D "+s.dir.cluster()+" ")
}

func (s *Server) waitGone(ctx context.Context, pid int, timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if !alive(pid) || !s.isPostmaster(ctx, pid) {
			return true
		}
		select {
		case <-time.After(readyPoll):
		case <-ctx.Done():
		}
	}
	return false
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// disownStalePID lets Postgres start although the number in its pid file has since been given to another process,
// which is common in containers: Postgres takes a file that names its own parent for stale, and goes on to check, by the
// rest of the file, that no process of the old server still uses its shared memory. Removing the file
// would take that check away.
func (s *Server) disownStalePID(ctx context.Context) error {
	file, err := readPIDFile(s.dir.cluster())
	if err != nil || file == nil || !alive(file.pid) {
		return err
	}
	if s.isPostmaster(ctx, file.pid) {
		return fmt.Errorf("somebody else has started Postgres on %s (process %d): stop it", s.dir.cluster(), file.pid)
	}
	return os.WriteFile(file.path, []byte(strconv.Itoa(os.Getpid())+"\n"+file.rest), 0o600)
}

// Remove stops whatever server was left on a data directory that has no owner, and deletes the directory. It
// returns ErrInUse if a living process owns it.
func Remove(ctx context.Context, dataDir string) error {
	if _, err := os.Stat(dataDir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	dir, err := openLayout(dataDir)
	if err != nil {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.release()
	s := &Server{dir: dir, log: discardLog()}
	s.password, _ = readPassword(dir) // Without it, the command line tells.
	if err := s.settleOrphan(ctx); err != nil {
		return err
	}
	return os.RemoveAll(dir.root)
}
