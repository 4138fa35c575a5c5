//go:build unix

package pgtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	urlVariable    = "TEST_DATABASE_URL"
	startTimeout   = 3 * time.Minute // The first start may have to fetch binaries.
	startPoll      = 20 * time.Millisecond
	connectTimeout = 2 * time.Second
)

// sharedHost is this process's share in the common server, held until the process ends.
var sharedHost = sync.OnceValues(func() (*host, error) {
	ctx := context.Background() // Outlives the test that happens to come first.
	if url := os.Getenv(urlVariable); url != "" {
		if !strings.Contains(url, "?") {
			url += "?sslmode=prefer" // The default, said, so that tests may add to the parameters of any address.
		}
		return newHost(ctx, url)
	}
	room, err := openRoom()
	if err != nil {
		return nil, err
	}
	url, err := room.join(ctx)
	if err != nil {
		return nil, fmt.Errorf("shared test server: %w", err)
	}
	return newHost(ctx, url)
})

// room is the directory through which processes share the server. Its locks are the kernel's, which end with the
// processes that hold them, however those end.
//
//	door     held to start, join or stop the server: one at a time
//	users    held shared by every process that uses the server
//	url      connection string of the server, while it is up
//	parents  one file for each `go test` that users were started by
type room struct{ dir string }

func (r room) door() string          { return filepath.Join(r.dir, "door") }
func (r room) users() string         { return filepath.Join(r.dir, "users") }
func (r room) urlFile() string       { return filepath.Join(r.dir, "url") }
func (r room) parents() string       { return filepath.Join(r.dir, "parents") }
func (r room) keeperLog() string     { return filepath.Join(r.dir, "keeper.log") }
func (r room) servers() string       { return filepath.Join(r.dir, "server-*") }
func (r room) newServer() string     { return filepath.Join(r.dir, "server-"+strconv.Itoa(os.Getpid())) }
func (r room) parent(pid int) string { return filepath.Join(r.parents(), strconv.Itoa(pid)) }

// openRoom makes the room that this user's processes share. Others may not own it, since its place is known to all.
func openRoom() (room, error) {
	base, err := throwAwayBase()
	if err != nil {
		return room{}, err
	}
	flavour := sha256.Sum256([]byte(templateFormat + os.Getenv("BALLAST_PG_BIN")))
	r := room{dir: filepath.Join(base, fmt.Sprintf("ballast-pgtest-%d-%s", os.Geteuid(), hex.EncodeToString(flavour[:4])))}
	if err := os.Mkdir(r.dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // Postgres's user passes through.
		return room{}, err
	}
	info, err := os.Lstat(r.dir)
	if err != nil {
		return room{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return room{}, fmt.Errorf("%s is not a directory of this user alone: remove it", r.dir)
	}
	return r, os.MkdirAll(r.parents(), 0o700)
}

// join returns the server's connection string, and starts it if it is not up. The server stays until this process ends.
func (r room) join(ctx context.Context) (string, error) {
	door, err := lockFile(r.door(), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer func() { _ = door.Close() }()
	users, err := lockFile(r.users(), syscall.LOCK_SH)
	if err != nil {
		return "", err
	}
	held = users
	if err := r.registerParent(ctx); err != nil {
		return "", err
	}
	if url, ok := r.answering(ctx); ok {
		return url, nil
	}
	return r.start(ctx)
}

// held keeps the share in the server from the garbage collector, which would close it.
var held *os.File //nolint:unused // Nobody reads it.

func lockFile(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return file, nil
}

// answering believes only a connection.
func (r room) answering(ctx context.Context) (string, bool) {
	url, err := os.ReadFile(r.urlFile())
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, string(url))
	if err != nil {
		return "", false
	}
	_ = conn.Close(ctx)
	return string(url), true
}

// start runs this test binary once more, as the server's keeper, in a session of its own: it must survive this process as
// long as others use the server. It gets none of this process's files, or go test would wait for them.
func (r room) start(ctx context.Context) (string, error) {
	if err := os.Remove(r.urlFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	binary, err := os.Executable()
	if err != nil {
		return "", err
	}
	keeper := exec.CommandContext(context.WithoutCancel(ctx), binary)
	keeper.Dir = "/"
	keeper.Env = append(os.Environ(), keeperVariable+"="+r.dir)
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keeper.Start(); err != nil {
		return "", fmt.Errorf("start keeper: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- keeper.Wait() }()
	return r.awaitServer(ctx, exited)
}

func (r room) awaitServer(ctx context.Context, exited <-chan error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for {
		if url, ok := r.answering(ctx); ok {
			return url, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("not up after %v: %s", startTimeout, r.keeperSaid())
		case err := <-exited:
			return "", fmt.Errorf("keeper ended (%w): %s", err, r.keeperSaid())
		case <-ticker.C:
		}
	}
}

func (r room) keeperSaid() string {
	text, err := os.ReadFile(r.keeperLog())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text))
}

// registerParent lets the server outlast this process while the go test that started it may start others like it.
func (r room) registerParent(ctx context.Context) error {
	if pid := os.Getppid(); isGoCommand(ctx, pid) {
		return os.WriteFile(r.parent(pid), nil, 0o600)
	}
	return nil
}

// isGoCommand reports whether a living process is the go command.
func isGoCommand(ctx context.Context, pid int) bool {
	name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil {
		name, err = exec.CommandContext(ctx, "ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	}
	return err == nil && filepath.Base(strings.TrimSpace(string(name))) == "go"
}
