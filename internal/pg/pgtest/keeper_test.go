//go:build unix

package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const userVariable = "BALLAST_PGTEST_TEST_USER"

// TestMain lets this binary play a test binary that uses the shared server and never ends by itself.
func TestMain(m *testing.M) {
	if dir := os.Getenv(userVariable); dir != "" {
		url, err := room{dir: dir}.join(context.Background())
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(url)
		select {}
	}
	os.Exit(m.Run())
}

// newRoom makes a room beside the one that this process is in.
func newRoom(t *testing.T) room {
	t.Helper()
	r := room{dir: DataDir(t)}
	if err := os.Mkdir(r.parents(), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

// startUser returns a process that uses the server, and the server's connection string.
func startUser(t *testing.T, r room) (*exec.Cmd, string) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary)
	cmd.Env = append(os.Environ(), userVariable+"="+r.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill9(cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "postgres://") {
		t.Fatalf("user said %q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

func kill9(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// gone waits until the postmasters and the directories of the room's servers are no more.
func gone(t *testing.T, r room, postmaster int) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		dirs, err := filepath.Glob(r.servers())
		if err != nil {
			t.Fatal(err)
		}
		if len(dirs) == 0 && !runs(t, postmaster) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there after 15 s: %v, process %d", dirs, postmaster)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// runs is false for a zombie, which is all that a container without an init leaves of an orphan.
func runs(t *testing.T, pid int) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(string(out), "Z")
}

// postmasterOf reads the process id of the room's server.
func postmasterOf(t *testing.T, r room) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.servers(), "pgdata", "postmaster.pid"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d pid files, %v", len(files), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestServerIsSharedAndEndsWithTheLastUserEvenIfKilled(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	first, url := startUser(t, r)
	second, sameURL := startUser(t, r)
	if url != sameURL {
		t.Fatalf("two servers: %s and %s", url, sameURL)
	}
	postmaster := postmasterOf(t, r)
	kill9(first)
	time.Sleep(3 * keeperPoll) // Time enough for the keeper to make a mistake.
	if _, ok := r.answering(t.Context()); !ok {
		t.Fatal("the server ended while a user was left")
	}
	kill9(second)
	gone(t, r, postmaster)
}

func TestKilledKeeperTakesItsServerAlongAndIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	user, _ := startUser(t, r)
	postmaster := postmasterOf(t, r)
	keeper := keeperOf(t, r)
	if err := syscall.Kill(keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); !dead(keeper); time.Sleep(time.Millisecond) { // Until then it has its lock.
		if time.Now().After(deadline) {
			t.Fatal("the killed keeper goes on")
		}
	}
	next, _ := startUser(t, r)
	second := postmasterOf(t, r) // There is only one directory: the old one was removed.
	if second == postmaster {
		t.Fatal("the server of the killed keeper is in use")
	}
	kill9(user)
	kill9(next)
	gone(t, r, postmaster)
	gone(t, r, second)
}

// dead tells whether a process has ended, whether or not its parent has asked what became of it.
func dead(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "Z")
}

// keeperOf goes by the name of the server's directory.
func keeperOf(t *testing.T, r room) int {
	t.Helper()
	dirs, err := filepath.Glob(r.servers())
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%v, %v", dirs, err)
	}
	pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dirs[0]), "server-"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
