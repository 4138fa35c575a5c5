//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startAttempts = 4 // The port may be taken between choosing and using it.
	crashAttempts = 8 // Processes of a killed server may hold its shared memory for a while: six seconds in all.
	firstPause    = 50 * time.Millisecond
	longestPause  = 5 * time.Second
	reviveTimeout = 5 * time.Minute
)

// firstPostmaster launches the server on the port asked for, or on one that it finds.
func (s *Server) firstPostmaster(ctx context.Context) (*postmaster, error) {
	began := time.Now()
	var err error
	for attempt := range s.attempts() {
		if s.port, err = s.choosePort(ctx, attempt); err != nil {
			return nil, err
		}
		var pm *postmaster
		if pm, err = s.launch(ctx); err == nil {
			s.log.InfoContext(ctx, "Postgres is ready", "port", s.port, "pid", pm.pid, "version", s.binaries.version,
				"took", time.Since(began).Round(time.Millisecond))
			return pm, s.notePort(pm)
		}
		if !pause(ctx, firstPause<<attempt) {
			break
		}
	}
	return nil, err
}

func (s *Server) attempts() int {
	if file, err := readPIDFile(s.dir.cluster()); err == nil && file == nil {
		return startAttempts
	}
	return crashAttempts
}

// choosePort prefers the last run's, so that connection strings that people have noted stay good.
func (s *Server) choosePort(ctx context.Context, attempt int) (int, error) {
	if s.opts.Port != 0 {
		return s.opts.Port, nil
	}
	if attempt == 0 {
		if port := s.lastPort(); port > 0 && isFree(ctx, port) {
			return port, nil
		}
	}
	return freePort(ctx, 0)
}

// notePort stops the server again if the port cannot be written down, which would mean a disk that is full or gone.
func (s *Server) notePort(pm *postmaster) error {
	err := writeDurably(s.dir.portFile(), strconv.Itoa(s.port)+"\n")
	if err != nil {
		pm.kill(syscall.SIGQUIT)
	}
	return err
}

func (s *Server) lastPort() int {
	text, err := os.ReadFile(s.dir.portFile())
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(strings.TrimSpace(string(text))) // Not a number: as if there were none.
	return port
}

func isFree(ctx context.Context, port int) bool {
	_, err := freePort(ctx, port)
	return err == nil
}

// freePort returns port if it can be listened on; 0 stands for any.
func freePort(ctx context.Context, port int) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("find a free port: got %v", listener.Addr())
	}
	return addr.Port, nil
}

// supervise keeps the server up until ctx, which is the server's and not a caller's, is cancelled by Stop.
func (s *Server) supervise(ctx context.Context, pm *postmaster) {
	defer close(s.done)
	defer s.lock.release()
	for {
		select {
		case <-ctx.Done():
			pm.shutdown(s.hurry)
			return
		case <-pm.exited:
		}
		if s.opts.NoRestart {
			s.err = fmt.Errorf("postgres died: %w", errors.Join(pm.exitErr))
			return
		}
		s.log.WarnContext(ctx, "Postgres died; restarting it", "pid", pm.pid, "cause", pm.exitErr, "log", s.dir.log())
		var err error
		if pm, err = s.revive(ctx); err != nil {
			if ctx.Err() == nil { // Else Stop came first, which is no failure.
				s.err = err
			}
			return
		}
		s.setCurrent(pm)
		s.log.InfoContext(ctx, "Postgres is back", "pid", pm.pid, "port", s.port)
	}
}

// revive launches the server on the same port until it stays up. The first attempts may fail while processes of the dead
// server still hold its shared memory.
func (s *Server) revive(ctx context.Context) (*postmaster, error) {
	ctx, cancel := context.WithTimeout(ctx, reviveTimeout)
	defer cancel()
	for length := firstPause; ; length = min(2*length, longestPause) {
		pm, err := s.launch(ctx)
		if err == nil {
			return pm, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("postgres died and could not be brought back: %w", err)
		}
		s.log.WarnContext(ctx, "Postgres did not start; trying again", "after", length, "error", err)
		pause(ctx, length)
	}
}

// pause reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
