//go:build unix

package pgtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/pg/embedded"
)

// ThroughPgbouncer starts a pgbouncer in transaction mode with two server connections, and returns the connection string of the way
// through it to the database of url. It ends with the test, which is skipped where no pgbouncer is installed.
func ThroughPgbouncer(t testing.TB, url string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("it needs pgbouncer")
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	c := config.ConnConfig
	port := freePort(t)
	dir, err := embedded.MakeTempDir("ballast-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	ini := fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=%[3]d dbname=%[1]s user=%[4]s password=%[5]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[6]d
auth_type = trust
auth_file = %[7]s/users
pool_mode = transaction
default_pool_size = 2
unix_socket_dir =
`, c.Database, c.Host, c.Port, c.User, c.Password, port, dir)
	for name, text := range map[string]string{"pgbouncer.ini": ini, "users": fmt.Sprintf("%q %q\n", c.User, "")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // pgbouncer's user reads it
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, filepath.Join(dir, "pgbouncer.ini")) //nolint:noctx // ended below
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	through := fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable&default_query_exec_mode=cache_describe", c.User, port, c.Database)
	awaitConnection(t, through)
	return through
}

func awaitConnection(t testing.TB, url string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for deadline := time.Now().Add(serverStopTimeout); pool.Ping(t.Context()) != nil; <-time.After(livePoll) {
		if time.Now().After(deadline) {
			t.Fatal("pgtest: pgbouncer does not answer")
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port // That is what a TCP listener has.
}
