package translog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// The environment of a child of the test: an integrator that kills itself.
const (
	childURL  = "BALLAST_TEST_INTEGRATE"
	childDir  = "BALLAST_TEST_INTEGRATE_IN"
	childKey  = "BALLAST_TEST_INTEGRATE_WITH"
	childLife = "BALLAST_TEST_INTEGRATE_FOR"
)

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		fmt.Println(integrateUntilKilled(context.Background()))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// integrateUntilKilled takes what there is into the log, again and again, and ends by a SIGKILL of its own after so many parts of steps.
func integrateUntilKilled(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, os.Getenv(childURL))
	if err != nil {
		return err
	}
	store, err := OpenStore(os.Getenv(childDir))
	if err != nil {
		return err
	}
	key, err := ParseKey(os.Getenv(childKey))
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(os.Getenv(childLife))
	if err != nil {
		return err
	}
	in := NewIntegrator(pool, ledger.NewHorizon(pool), store, key)
	in.fault = func(string) {
		if left--; left < 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // There is nobody left to see its error.
		}
	}
	syncs := left%2 == 0
	for step := 0; ; step++ {
		if _, err := in.Step(ctx); err != nil {
			return err
		}
		if syncs && step%3 == 2 {
			if err := in.Sync(ctx); err != nil {
				return err
			}
		}
	}
}

// Integrators are killed at random parts of their steps while the journal grows, every third time the machine goes down with them, and a few times the database is set
// back to an older copy of itself.
// Every checkpoint that was ever signed extends the one before, and in the end everything is in the log, once.
func TestNoKillAndNoRestoreMakesAFork(t *testing.T) {
	t.Parallel()
	kills, restores := 12, 1
	if os.Getenv("BALLAST_LONG") != "" {
		kills, restores = 200, 5
	}
	w := newWorld(t)
	skey, err := NewKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = ParseKey(skey); err != nil {
		t.Fatal(err)
	}
	last, checkpoints := emptyTree(), 0
	judge := func() {
		t.Helper()
		head, err := w.store.Head()
		if err != nil || head == nil {
			return
		}
		at, err := openCheckpoint(head, w.key.Verifier)
		if err != nil {
			t.Fatal(err)
		}
		if at == last {
			return
		}
		checkpoints++
		if at.N < last.N || w.store.proveGrowth(last, at) != nil {
			t.Fatalf("signed %v after %v", at, last)
		}
		last = at
	}
	refused, lost := 0, 0
	for i := range kills {
		w.transfer(1 + rand.IntN(400))
		if i%(kills/restores) == kills/restores/2 {
			old := w.copy()
			w.transfer(50)
			w.integrate(w.integrator())
			judge()
			w.mustRefuse(old, skey)
			refused++
			judge()
		}
		w.child(w.db.AppURL, skey, rand.IntN(60))
		judge()
		if i%3 == 0 {
			lost += w.losePower()
		}
	}
	w.integrate(w.integrator())
	judge()
	at, _ := w.everything()
	if want := w.count(`SELECT sum(entries) FROM log_entries`); at.N != want {
		t.Errorf("%d entries, want %d", at.N, want)
	}
	for _, name := range list(t, w.store.Public()) {
		if strings.HasPrefix(name, unfinished) {
			t.Errorf("%s was left", name)
		}
	}
	t.Logf("%d kills, %d files lost, %d restores refused, %d checkpoints seen, %d entries", kills, lost, refused, checkpoints, at.N)
}

// child runs an integrator in a process of its own until it has killed itself.
func (w *world) child(database, skey string, life int) {
	w.t.Helper()
	out, err := w.run(database, skey, life)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL { //nolint:forcetypeassert // on every Unix
		w.t.Fatalf("it was not killed: %v, %s", err, out)
	}
}

func (w *world) run(database, skey string, life int) (string, error) {
	cmd := exec.CommandContext(w.t.Context(), os.Args[0], "-test.run=^$") //nolint:gosec // this program
	cmd.Env = append(os.Environ(), childURL+"="+database, childDir+"="+w.store.dir, childKey+"="+skey, childLife+"="+strconv.Itoa(life))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// copy makes a backup of the database, and returns its address.
func (w *world) copy() string {
	w.t.Helper()
	address, err := url.Parse(w.db.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	name := strings.TrimPrefix(address.Path, "/")
	backup := "backup_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	address.Path = "/postgres"
	conn, err := pgx.Connect(w.t.Context(), address.String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if _, err := conn.Exec(context.WithoutCancel(w.t.Context()), `DROP DATABASE IF EXISTS `+pgx.Identifier{backup}.Sanitize()+` WITH (FORCE)`); err != nil {
			w.t.Error(err)
		}
		conn.Close(context.WithoutCancel(w.t.Context())) //nolint:errcheck,gosec // the end
	})
	w.db.Pool.Reset()
	w.db.App.Reset()
	for range 100 { // Connections end a little after they are closed.
		if _, err = conn.Exec(w.t.Context(), `CREATE DATABASE `+pgx.Identifier{backup}.Sanitize()+` TEMPLATE `+pgx.Identifier{name}.Sanitize()); err == nil {
			break
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	app, err := url.Parse(w.db.AppURL)
	if err != nil {
		w.t.Fatal(err)
	}
	app.Path = "/" + backup
	return app.String()
}

// mustRefuse has an integrator work on an old copy of the database: it must not sign anything there.
func (w *world) mustRefuse(old, skey string) {
	w.t.Helper()
	head, err := w.store.Head()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.run(old, skey, 1000)
	if err == nil || !strings.Contains(out, ErrDatabaseBehind.Error()) {
		w.t.Fatalf("%v, %s", err, out)
	}
	if now, err := w.store.Head(); err != nil || string(now) != string(head) {
		w.t.Fatalf("signed on an old copy: %s (%v)", now, err)
	}
}
