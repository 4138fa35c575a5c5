//go:build unix

package pgtest

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg/embedded"
)

const (
	serverStopTimeout = 20 * time.Second
	livePoll          = 5 * time.Millisecond
)

// ServerOptions changes what a private server is like. The zero value is durable, and stays dead when it is killed.
type ServerOptions struct {
	// Params are server parameters, for example {"max_connections": "20"}.
	Params map[string]string

	// FsyncOff gives up surviving a crash of the machine, which no test can see, for speed.
	FsyncOff bool

	// Supervised restarts the server by itself when it dies, as `dev` does.
	Supervised bool
}

// Server is one test's own Postgres, for tests that kill it. It is for one goroutine.
type Server struct {
	*embedded.Server

	t    testing.TB
	opts embedded.Options
}

// NewServer starts a server, which is stopped and removed with the test. Its cluster is a copy, as ClusterDir makes it, but on a disk if it is durable: a commit then waits
// as long as one does, which leaves time to be killed in.
func NewServer(t testing.TB, opts ServerOptions) *Server {
	t.Helper()
	base, err := embedded.TempBase()
	if opts.FsyncOff {
		base, err = throwAwayBase()
	}
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	dir := clusterDirIn(t, base)
	s := &Server{t: t, opts: embedded.Options{
		DataDir:   dir,
		Log:       slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Params:    opts.Params,
		FsyncOff:  opts.FsyncOff,
		NoRestart: !opts.Supervised,
	}}
	s.start()
	s.opts.Port = s.Port()
	t.Cleanup(func() { _ = s.StopNow() }) // A server that the test killed says so here.
	return s
}

// inMemory is how many bytes must be to spare for a server to be in memory: a gigabyte or two for databases, and as much for WAL.
const inMemory = 8 << 30

// throwAwayBase is where clusters are whose disk no test is about: in memory where there is plenty, since most tests begin by copying a database or a cluster and end by
// dropping it, and else, or where TMPDIR says so, in the temporary directory.
func throwAwayBase() (string, error) {
	if os.Getenv("TMPDIR") == "" {
		if base, ok := embedded.MemoryBase(inMemory); ok {
			return base, nil
		}
	}
	return embedded.TempBase()
}

// DataDir returns an empty directory that Postgres's own user can enter even if the test runs as root, which is not true of
// t.TempDir. It is removed with the test, together with a server that was left running on it. It may be in memory: no test that ends processes and not the
// machine can tell.
func DataDir(t testing.TB) string {
	t.Helper()
	base, err := throwAwayBase()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return dataDirIn(t, base)
}

func dataDirIn(t testing.TB, base string) string {
	t.Helper()
	dir, err := embedded.MakeTempDirIn(base, "ballast-pgtest-server-*")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanupTimeout)
		defer cancel()
		if err := embedded.Remove(ctx, dir); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return dir
}

func (s *Server) start() {
	s.t.Helper()
	server, err := embedded.Start(s.t.Context(), s.opts)
	if err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
	s.Server = server
}

// NewDatabase returns a fresh database on this server, which keeps working when the server is restarted.
func (s *Server) NewDatabase(opts ...Option) *Database {
	s.t.Helper()
	h, err := newHost(s.t.Context(), s.SuperuserURL("postgres"))
	if err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
	h.mayBeGone = true
	s.t.Cleanup(h.admin.Close)
	return h.newDatabase(s.t, opts)
}

// Kill ends the postmaster as kill -9 does. It returns when the process is gone; its children follow by
// themselves. A supervised server then comes back by itself, any other when Restart is called.
func (s *Server) Kill() {
	s.t.Helper()
	if err := syscall.Kill(s.livePID(), syscall.SIGKILL); err != nil {
		s.t.Fatalf("pgtest: kill server: %v", err)
	}
	if s.opts.NoRestart {
		<-s.Done()
	}
}

// livePID waits for a supervised server that has not come back yet. Its orphaned children may serve for a moment longer, so that
// a test can be ahead of it.
func (s *Server) livePID() int {
	s.t.Helper()
	pid := s.PID()
	for deadline := time.Now().Add(serverStopTimeout); !s.opts.NoRestart && syscall.Kill(pid, 0) != nil; pid = s.PID() {
		select {
		case <-s.Done():
			s.t.Fatalf("pgtest: the server has not come back: %v", s.Err())
		case <-time.After(livePoll):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("pgtest: the server has not come back after %v", serverStopTimeout)
		}
	}
	return pid
}

// Restart starts the server again, on the same port, after Kill or, if it still runs, after a fast shutdown. It returns
// when the server has recovered.
func (s *Server) Restart() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), serverStopTimeout)
	defer cancel()
	if err := s.Stop(ctx); err != nil && !s.opts.NoRestart {
		s.t.Fatalf("pgtest: stop server: %v", err)
	}
	s.start()
}
