package witness_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ballast-compute/ballast/internal/witness"
)

// A process that is a witness until it kills itself: its directory, at which step, and the seed of its choices.
const (
	victimDir  = "BALLAST_TEST_WITNESS_DIR"
	victimStep = "BALLAST_TEST_WITNESS_STEP"
	victimSeed = "BALLAST_TEST_WITNESS_SEED"
)

// victimSize is how many entries the victims' log has.
const victimSize = 400

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := beVictim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // A victim does not get here.
	}
	os.Exit(m.Run())
}

// faces returns a log with two histories.
func faces() [2]*testLog {
	t := new(testing.T) // Only for what cannot fail here.
	l := newLog(t, origin)
	l.grow(t, victimSize, "a")
	forked := l.fork(1)
	forked.grow(t, victimSize-1, "b")
	return [2]*testLog{l, forked}
}

// beVictim asks its own witness for both faces of the log in turn, from two goroutines, until it kills itself. What it has signed, it writes to a file while
// the log is locked, so that the file has the order of signatures.
func beVictim(dir string) error {
	t := new(testing.T)
	last, err := strconv.Atoi(os.Getenv(victimStep))
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(os.Getenv(victimSeed), 10, 64)
	if err != nil {
		return err
	}
	signed, err := os.OpenFile(filepath.Join(dir, "signed"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	both := faces()
	w := open(t, dir, both[0].key)
	var mu sync.Mutex
	steps := 0
	w.SetStep(func(name string) {
		if strings.HasPrefix(name, "signed") {
			_, _ = signed.WriteString(base64.StdEncoding.EncodeToString([]byte(name)) + "\n")
		}
		mu.Lock()
		defer mu.Unlock()
		if steps++; steps == last {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	failed := make(chan error)
	for i := range uint64(2) {
		go func() { failed <- askForBoth(t, w, both, rand.New(rand.NewPCG(seed, i))) }()
	}
	return <-failed
}

func askForBoth(t *testing.T, w *witness.Witness, both [2]*testLog, random *rand.Rand) error {
	t.Helper()
	known := int64(0)
	for {
		size := min(victimSize, max(1, known+random.Int64N(4)))
		_, err := w.AddCheckpoint(context.Background(), both[random.IntN(2)].request(t, min(known, size), size))
		var conflict *witness.ConflictError
		switch {
		case errors.As(err, &conflict):
			known = int64(conflict.Size) //nolint:gosec // Test sizes.
		case err == nil:
			known = size
		case !errors.Is(err, witness.ErrInconsistent):
			return err
		}
	}
}

// TestKilledAtAnyStep runs two witnesses of one directory at once, and both are killed at random steps, again and again. Whatever they had
// signed is of one history, never goes back, and is known to those who come after.
func TestKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	rounds := 5
	if os.Getenv("BALLAST_LONG") == "1" {
		rounds = 100
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	dirs, kills, signatures := 0, 0, 0
	var dir, key string
	for round := range rounds {
		if round%5 == 0 {
			dirs++
			dir = t.TempDir()
			var err error
			if key, err = witness.CreateKey(dir, "witness.example/w1"); err != nil {
				t.Fatal(err)
			}
		}
		kills += killTwo(t, dir, random)
		signatures += checkSigned(t, dir, key)
	}
	t.Logf("seed %d: %d kills in %d directories", seed, kills, dirs)
	if kills != 2*rounds || signatures == 0 {
		t.Errorf("%d kills, %d signatures", kills, signatures)
	}
}

// killTwo starts two victims and waits for their ends.
func killTwo(t *testing.T, dir string, random *rand.Rand) (kills int) {
	t.Helper()
	ended := make(chan error, 2)
	for range 2 {
		cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // It is this test.
		cmd.Env = append(os.Environ(), victimDir+"="+dir, victimStep+"="+strconv.Itoa(1+random.IntN(120)), victimSeed+"="+strconv.FormatUint(random.Uint64(), 10))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			err := cmd.Wait()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
				err = nil
			} else {
				err = fmt.Errorf("a victim ended by itself: %w: %s", err, stderr.String())
			}
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		kills++
	}
	return kills
}

// checkSigned goes through all that was signed in a directory so far, and returns how much that is.
func checkSigned(t *testing.T, dir, key string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "signed"))
	if err != nil {
		t.Fatal(err)
	}
	both, j := faces(), newJournal()
	policy := parsePolicy(t, "witness w1 "+key, "quorum w1", "log "+both[0].key)
	for line := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
		step, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		j.step(string(step))
	}
	for _, problem := range j.problems {
		t.Error(problem)
	}
	w := open(t, dir, both[0].key)
	var conflict *witness.ConflictError
	_, err = w.AddCheckpoint(t.Context(), both[0].request(t, victimSize, victimSize))
	if j.last < victimSize && (!errors.As(err, &conflict) || conflict.Size < j.last) {
		t.Errorf("after %d was cosigned: %v", j.last, err)
	}
	// What is shown was cosigned, and is a checkpoint of the log.
	if shown, err := w.Checkpoint(origin); err == nil {
		if standing, err := policy.Check(shown); err != nil || !standing.Satisfied || j.roots[standing.Checkpoint.Size] != standing.Checkpoint.Root.String() {
			t.Errorf("%s: %v", shown, err)
		}
	} else if !errors.Is(err, witness.ErrUnknownLog) {
		t.Error(err)
	}
	return j.signed
}
