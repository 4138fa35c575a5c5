package ledger_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg/embedded"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// A pooler in transaction mode gives each transaction another server connection, so that statements cannot stay prepared. This
// is the mode of pgx that works there; the long test has a real pgbouncer between, where it is installed.
func TestTheWritePathNeedsNoStateOfItsConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	exercise(t, db, db.AppURL+separator(db.AppURL)+"default_query_exec_mode=cache_describe")
}

func TestTheWritePathBehindPgbouncer(t *testing.T) {
	t.Parallel()
	bouncer, err := exec.LookPath("pgbouncer")
	if !long() || err != nil {
		t.Skip("it needs BALLAST_LONG=1 and pgbouncer")
	}
	db := pgtest.New(t)
	exercise(t, db, throughPgbouncer(t, bouncer, db.AppURL))
}

func separator(url string) string {
	if strings.Contains(url, "?") {
		return "&"
	}
	return "?"
}

// exercise has forty callers at once on a write path of its own.
func exercise(t *testing.T, db *pgtest.Database, url string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := openBooks(t, pool, pool, db.Pool, ledger.Options{Workers: 3})
	alice, bob := b.account(sch(1000)), b.account(0)
	h := b.hold(alice, sch(1))
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for range 10 {
				if v := b.Transfer(t.Context(), transfer(alice, bob, 1)); v.Err != nil {
					t.Error(v.Err)
				}
			}
		})
	}
	wg.Wait()
	if _, _, err := b.Capture(t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.ID, To: bob}); err != nil {
		t.Error(err)
	}
	if got := b.balance(bob); got != 400+sch(1) {
		t.Errorf("bob has %d", got)
	}
	b.mustBalance()
}

// throughPgbouncer starts one in transaction mode with two server connections, and returns the way through it.
func throughPgbouncer(t *testing.T, program, url string) string {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	c := config.ConnConfig
	dir, err := embedded.MakeTempDir("ballast-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	ini := describe(`[databases]
%[1]s = host=%[2]s port=%[3]d dbname=%[1]s user=%[4]s password=%[5]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[6]d
auth_type = trust
auth_file = %[7]s/users
pool_mode = transaction
default_pool_size = 2
unix_socket_dir =
`, c.Database, c.Host, c.Port, c.User, c.Password, c.Port+1, dir)
	for name, text := range map[string]string{"pgbouncer.ini": ini, "users": describe("%q %q\n", c.User, "")} {
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
	through := describe("postgres://%s@127.0.0.1:%d/%s?sslmode=disable&default_query_exec_mode=cache_describe", c.User, c.Port+1, c.Database)
	awaitConnection(t, through)
	return through
}

func awaitConnection(t *testing.T, url string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for deadline := time.Now().Add(10 * time.Second); pool.Ping(t.Context()) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("pgbouncer does not answer")
		}
	}
}
