//go:build unix

package embedded

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const ownerVariable = "BALLAST_EMBEDDED_TEST_OWNER"

// TestMain lets this binary play the owner of a server, to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		s, err := Start(context.Background(), Options{DataDir: dir, FsyncOff: true})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("pids", s.PID(), s.current.watch.cmd.Process.Pid)
		select {}
	}
	code := m.Run()
	_ = os.RemoveAll(blankDir) // Nothing, where no test needed it.
	os.Exit(code)
}

// startOwner returns a process that owns a server on dir, with the ids of the postmaster and its watch.
func startOwner(t *testing.T, dir string) (owner *exec.Cmd, postmaster, watch int) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner = exec.CommandContext(context.WithoutCancel(t.Context()), binary)
	owner.Env = append(os.Environ(), ownerVariable+"="+dir)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Process.Kill(); _ = owner.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "pids %d %d", &postmaster, &watch); scanErr != nil {
		t.Fatalf("owner said %q, %v", line, err)
	}
	return owner, postmaster, watch
}

// openAfterKill opens the cluster that a killed owner left, and stops it in order.
func openAfterKill(t *testing.T, dir string) {
	t.Helper()
	s := start(t, Options{DataDir: dir, FsyncOff: true})
	if query(t, s, "SELECT 'up'") != "up" {
		t.Error("not up")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServerEndsWithItsKilledOwner(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	owner, postmaster, _ := startOwner(t, dir)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	probe := &Server{dir: layout{root: dir}}
	eventually(t, "the end of the server", func() bool { return !probe.isPostmaster(t.Context(), postmaster) })
	openAfterKill(t, dir)
}

func TestOrphanIsStoppedByTheNextStart(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	owner, postmaster, watch := startOwner(t, dir)
	if err := syscall.Kill(watch, syscall.SIGKILL); err != nil { // So that nobody sees the owner die.
		t.Fatal(err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	probe := &Server{dir: layout{root: dir}}
	if !probe.isPostmaster(t.Context(), postmaster) {
		t.Fatal("there is no orphan, so this proves nothing")
	}
	openAfterKill(t, dir)
	if probe.isPostmaster(t.Context(), postmaster) {
		t.Error("the orphan still runs")
	}
}

func TestOwnerAndServerKilledTogether(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	owner, postmaster, _ := startOwner(t, dir)
	for _, pid := range []int{postmaster, owner.Process.Pid} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	_ = owner.Wait()
	openAfterKill(t, dir)
}

func TestRootIsToldWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root changes its user")
	}
	closed := tempDir(t)
	if err := os.Chmod(closed, 0o700); err != nil { //nolint:gosec // A directory.
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{DataDir: closed + "/deeper/data"})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+closed+":") {
		t.Errorf("got %v, want an error that names %s", err, closed)
	}
	start(t, Options{DataDir: closed, FsyncOff: true}) // The directory itself is opened just enough.
}
