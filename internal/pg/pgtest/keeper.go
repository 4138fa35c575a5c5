//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/ballast-compute/ballast/internal/pg/embedded"
)

const (
	keeperVariable = "BALLAST_PGTEST_KEEPER"
	keeperPoll     = 200 * time.Millisecond

	// longestIdle bounds how long the server waits, unused, for a go test that is still compiling.
	longestIdle = 2 * time.Minute
)

// init turns a test binary that was started as a keeper into one, before any test of it runs.
func init() {
	dir := os.Getenv(keeperVariable)
	if dir == "" {
		return
	}
	if err := errors.Join(os.Unsetenv(keeperVariable), keepServer(room{dir: dir})); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// keepServer owns the shared server: it starts it, waits until nobody needs it, and removes every trace. If the
// keeper itself is killed, package embedded sees that the server ends with it.
func keepServer(r room) (err error) {
	logFile, err := os.OpenFile(r.keeperLog(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(io.Writer(logFile), nil))
	defer func() {
		if err != nil {
			log.Error("the test server's keeper gives up", "error", err)
		}
	}()
	ctx := context.Background()
	if err := r.removeOldServers(ctx); err != nil {
		return err
	}
	server, err := embedded.Start(ctx, embedded.Options{
		DataDir:  r.newServer(),
		Log:      log,
		FsyncOff: true,
		Params:   map[string]string{"max_connections": "400", "shared_buffers": "128MB", "max_wal_size": "1GB"},
	})
	if err != nil {
		return err
	}
	if err := r.publish(server.SuperuserURL("postgres")); err != nil {
		return errors.Join(err, server.StopNow())
	}
	return r.waitAndStop(ctx, server)
}

func (r room) removeOldServers(ctx context.Context) error {
	dirs, err := filepath.Glob(r.servers())
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := embedded.Remove(ctx, dir); err != nil && !errors.Is(err, embedded.ErrInUse) {
			return fmt.Errorf("remove the server of a killed keeper: %w", err)
		}
	}
	return nil
}

// publish makes the connection string appear whole.
func (r room) publish(url string) error {
	if err := os.WriteFile(r.urlFile()+".new", []byte(url), 0o600); err != nil {
		return err
	}
	return os.Rename(r.urlFile()+".new", r.urlFile())
}

// waitAndStop stops the server once nobody needs it. From there on it holds the door, so that whoever comes finds either
// this server or none.
func (r room) waitAndStop(ctx context.Context, server *embedded.Server) error {
	lastUsed := time.Now()
	for {
		select {
		case <-server.Done():
			return server.Err()
		case <-time.After(keeperPoll):
		}
		closed, free := r.closeIfUnused(ctx, &lastUsed)
		if !closed {
			continue
		}
		defer free()
		return errors.Join(os.Remove(r.urlFile()), server.StopNow(), embedded.Remove(ctx, server.DataDir())) //nolint:contextcheck // StopNow waits for nothing.
	}
}

// closeIfUnused takes the door and the users' lock if nobody has either and no go test is likely to send more users.
func (r room) closeIfUnused(ctx context.Context, lastUsed *time.Time) (closed bool, free func()) {
	door, err := lockFile(r.door(), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		*lastUsed = time.Now()
		return false, nil
	}
	users, err := lockFile(r.users(), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		*lastUsed = time.Now()
		_ = door.Close()
		return false, nil
	}
	free = func() { _, _ = users.Close(), door.Close() }
	if r.anyParent(ctx) && time.Since(*lastUsed) < longestIdle {
		free()
		return false, nil
	}
	return true, free
}

// anyParent reports whether a go test that sent users still runs, and forgets those that do not.
func (r room) anyParent(ctx context.Context) bool {
	entries, err := os.ReadDir(r.parents())
	if err != nil {
		return false
	}
	found := false
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && isGoCommand(ctx, pid) {
			found = true
			continue
		}
		_ = os.Remove(filepath.Join(r.parents(), entry.Name()))
	}
	return found
}
