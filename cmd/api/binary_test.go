package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is this package, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ballast-api-*")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "api")
		if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

const patience = 30 * time.Second

// process is a run of the binary that goes on until a test ends it.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan struct{}
	url            string
}

// output is what a process has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// environment is this test's own but for what could lead it elsewhere, and what env says.
func environment(env []string) []string {
	var clean []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "BALLAST_") && !strings.HasPrefix(entry, "DATABASE_URL=") && !strings.HasPrefix(entry, "OTEL_") {
			clean = append(clean, entry)
		}
	}
	return append(clean, env...)
}

func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startProgram(t, binary, env, args...)
}

func startProgram(t *testing.T, path string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), stdout: &output{}, stderr: &output{}, done: make(chan struct{})} //nolint:noctx // Ended below.
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environment(env), p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // The exit code is in ProcessState.
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%v wrote:\n%s", args, p.stderr)
		}
	})
	return p
}

var addressLine = regexp.MustCompile(`(?m)^# Ballast is ready at (\S+)$`)

// startDev returns when dev has printed all that it prints and is ready.
func startDev(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	env = append([]string{"BALLAST_ADDR=127.0.0.1:0", "BALLAST_DATA_DIR=" + dir}, env...)
	p := start(t, env, append([]string{"dev"}, args...)...)
	p.eventually("the address", func() bool { return addressLine.MatchString(p.stdout.String()) })
	p.url = addressLine.FindStringSubmatch(p.stdout.String())[1]
	p.eventually("readiness", func() bool { return p.status("/readyz") == http.StatusOK })
	return p
}

// startServe serves the database of url.
func startServe(t *testing.T, databaseURL string, env ...string) *process {
	t.Helper()
	p := start(t, append([]string{"BALLAST_ADDR=127.0.0.1:0", "DATABASE_URL=" + databaseURL}, env...), "serve")
	address := regexp.MustCompile(`"msg":"serving","address":"([^"]+)"`)
	p.eventually("the address", func() bool { return address.MatchString(p.stderr.String()) })
	p.url = "http://" + address.FindStringSubmatch(p.stderr.String())[1]
	return p
}

// eventually waits for a condition, and fails the test if the process ends first.
func (p *process) eventually(what string, condition func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		select {
		case <-p.done:
			p.t.Fatalf("waiting for %s: the process ended: %v", what, p.cmd.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// signal sends one and returns the exit code.
func (p *process) signal(s syscall.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("it goes on %v after %v", patience, s)
	}
	return p.cmd.ProcessState.ExitCode()
}

// get returns the answer, or status 0 if there is none.
func (p *process) get(path string) (status int, body string) {
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

func (p *process) status(path string) int {
	status, _ := p.get(path)
	return status
}

// result is what became of a run of the binary that ends by itself.
type result struct {
	code           int
	stdout, stderr string
}

func runBinary(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return runCommand(t, environment(env), binary, args...)
}

func runCommand(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want fails the test unless the run ended with the code and wrote all of the words, on either stream.
func (r result) want(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.stdout+r.stderr, word) {
			t.Errorf("%q is not in:\n%s%s", word, r.stdout, r.stderr)
		}
	}
}

// postmaster returns the process id of the server on dev's data directory.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pgdata", "postmaster.pid"))
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

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// gone waits for a process that is not ours to wait for.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}
