//go:build unix

// Package embedded runs a Postgres of one's own: a real server, as a child of this process, on a data directory that
// outlives it. It finds the binaries (or fetches them), makes the cluster the first time, keeps the server on
// loopback with a random password, restarts it when it dies, and stops it together with this process, even if this
// process is killed.
//
// It is for development and tests. In production Postgres has an owner of its own.
package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	superuser = "postgres"
	loopback  = "127.0.0.1"
)

// Options says where and how the server runs. The zero value is a durable server in DefaultDataDir.
type Options struct {
	// DataDir keeps the cluster, its password, its lock and its log. It is made if missing. Empty: DefaultDataDir().
	// As root, Postgres's own user must be able to enter it, which rules out places like /root.
	DataDir string

	// Log receives progress and the fate of the server. Nil: nothing is logged. Postgres's own log is the file
	// postgres.log in DataDir.
	Log *slog.Logger

	// Params are server parameters (shared_buffers, …) that go before the ones tuned for development.
	Params map[string]string

	// FsyncOff gives up surviving a crash of the machine, for speed. Commits still survive kill -9 of the server. Only for
	// clusters that are thrown away.
	FsyncOff bool

	// NoRestart leaves the server dead when it dies; Done tells. Otherwise it is started again.
	NoRestart bool

	// Port to listen on. 0: the port of the last run if it is still free, or else any free one.
	Port int
}

// Server is a running Postgres. Its methods may be called from several goroutines.
type Server struct {
	opts     Options
	dir      layout
	account  account
	binaries binaries
	password string
	port     int
	lock     *dirLock
	log      *slog.Logger

	cancel context.CancelFunc // Asks the supervisor for a fast shutdown.
	hurry  chan struct{}      // Closed to ask for an immediate one.
	rush   sync.Once
	done   chan struct{} // Closed once the server is gone for good.
	err    error         // Why; written before done is closed.

	mu      sync.Mutex
	current *postmaster
}

// Start returns once the server accepts connections. The first time, it finds or fetches binaries and makes the
// cluster; after a crash of the last owner, it stops the server that this one left behind; after a crash of the server,
// Postgres recovers. A cluster of another major version is refused, never touched. ctx bounds only the start.
// The caller must Stop the server.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts, log: opts.Log, hurry: make(chan struct{}), done: make(chan struct{})}
	if s.log == nil {
		s.log = discardLog()
	}
	if err := s.start(ctx); err != nil {
		s.lock.release()
		return nil, fmt.Errorf("embedded Postgres: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	if err := s.prepareDir(); err != nil {
		return err
	}
	if err := s.prepareCluster(ctx); err != nil {
		return err
	}
	first, err := s.firstPostmaster(ctx)
	if err != nil {
		return err
	}
	s.setCurrent(first)
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.supervise(ctx, first)
	return nil
}

// prepareDir makes the directory, finds the user to run as, and takes the lock.
func (s *Server) prepareDir() error {
	root := s.opts.DataDir
	if root == "" {
		root = DefaultDataDir()
	}
	var err error
	if s.dir, err = openLayout(root); err != nil {
		return err
	}
	if s.account, err = chooseAccount(s.dir.cluster()); err != nil {
		return err
	}
	if err := s.account.admitTo(s.dir.root); err != nil {
		return err
	}
	s.lock, err = lockDir(s.dir)
	return err
}

// URL returns the connection string of a database for a login that exists on the server.
func (s *Server) URL(database, user, password string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort(loopback, strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SuperuserURL returns the connection string of a database for the superuser that owns the cluster.
func (s *Server) SuperuserURL(database string) string {
	return s.URL(database, superuser, s.password)
}

// Port returns the loopback port that the server listens on. It stays the same when the server is restarted.
func (s *Server) Port() int { return s.port }

// DataDir returns the absolute path of the directory that Options.DataDir named.
func (s *Server) DataDir() string { return s.dir.root }

// LogFile returns the path of Postgres's own log.
func (s *Server) LogFile() string { return s.dir.log() }

// Version returns what the server's binaries call themselves, for example "postgres (PostgreSQL) 15.9".
func (s *Server) Version() string { return s.binaries.version }

// PID returns the process id of the postmaster, which changes when it is restarted.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.pid
}

// Done is closed when the server is gone for good: after Stop, when it died under NoRestart, or when it could not be
// brought back within five minutes.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns nil until Done is closed and after an orderly Stop, and else why the server is gone.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop shuts the server down: fast (transactions in progress are rolled back, a checkpoint is written) until ctx ends or
// 30 seconds have passed, then at once (the next start recovers). It returns when the server is gone, and may
// be called again.
func (s *Server) Stop(ctx context.Context) error {
	s.cancel()
	timer := time.NewTimer(fastShutdownTimeout)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
	case <-timer.C:
	}
	s.rush.Do(func() { close(s.hurry) })
	<-s.done
	return s.err
}

// StopNow shuts the server down without a checkpoint, as for a cluster that nobody will open again.
func (s *Server) StopNow() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.Stop(ctx)
}

func (s *Server) setCurrent(pm *postmaster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = pm
}
