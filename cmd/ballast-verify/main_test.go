package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// ran is what a run of the program came to.
type ran struct {
	code           int
	stdout, stderr string
}

func runIn(t *testing.T, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &program{&stdout, &stderr, time.Now})
	return ran{code, stdout.String(), stderr.String()}
}

func (r ran) want(t *testing.T, code int, text string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.stdout+r.stderr, text) {
		t.Errorf("exit %d, want %d and %q\n%s%s", r.code, code, text, r.stdout, r.stderr)
	}
}

func TestTheWholeWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := logtest.Make(dir, 1, 10, 600)
	server := httptest.NewServer(http.FileServer(http.Dir(m.Dir)))
	defer server.Close()
	copied, key, evidence := filepath.Join(dir, "copy"), filepath.Join(dir, "key"), filepath.Join(dir, "evidence")
	state := filepath.Join(dir, "state.json")

	runIn(t, "fetch", server.URL, copied).want(t, 0, "pinned on first use")
	runIn(t, "check", copied).want(t, 0, "kept in the directory, pinned on first use")
	runIn(t, "fetch", server.URL, copied).want(t, 0, "kept in the directory, pinned on first use")
	runIn(t, "fetch", server.URL, copied, "--key-file", key).want(t, 0, "VERIFIED: fetch")
	runIn(t, "check", copied).want(t, 0, "kept in the directory: it was given")
	runIn(t, "check", copied, "--key-file", key, "--witnesses", filepath.Join(dir, "policy"), "--view", m.View, "--max-age", "1h").want(t, 0, "every private balance")
	policy, strict := filepath.Join(dir, "policy"), filepath.Join(dir, "strict")
	if err := os.WriteFile(strict, logtest.NewKeys(77, 3).Policy(3), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"fetch", server.URL, filepath.Join(dir, "another"), "--key-file", key}, {"fetch", server.URL, copied}, {"check", copied}} {
		command = append(command, "--evidence", evidence)
		runIn(t, append(command, "--witnesses", policy, "--max-age", "1h")...).want(t, 0, "enough witnesses")
		runIn(t, append(command, "--witnesses", strict)...).want(t, 2, "too few witnesses")
		runIn(t, append(command, "--max-age", "1ns")...).want(t, 3, "is older than 1ns")
	}
	runIn(t, "check", server.URL, "--state", state).want(t, 2, "verifier key is needed")
	runIn(t, "check", server.URL, "--key-file", key, "--state", state).want(t, 0, "VERIFIED")
	runIn(t, "check", server.URL, "--key-file", key, "--state", state, "--quiet").want(t, 0, "verified\n")
	runIn(t, "check", copied, "--max-age", "1ns", "--quiet", "--evidence", evidence).want(t, 3, "stale: ")

	tile := filepath.Join(copied, "tile", "0", "001")
	data, err := os.ReadFile(tile)
	if err != nil {
		t.Fatal(err)
	}
	data[77] ^= 4
	if err := os.WriteFile(tile, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := runIn(t, "check", copied, "--json", "--evidence", evidence)
	r.want(t, 1, "hash 2 of the tile")
	var said verify.ReportJSON
	if err := json.Unmarshal([]byte(r.stdout), &said); err != nil || said.ExitCode != 1 || said.Faults[0].Path != "tile/0/001" {
		t.Errorf("%v: %s", err, r.stdout)
	}
	if files, err := filepath.Glob(filepath.Join(evidence, "ballast-evidence-check-*.json")); err != nil || len(files) != 3 {
		t.Errorf("evidence: %v, %v", files, err)
	}
	if err := os.Remove(tile); err != nil {
		t.Fatal(err)
	}
	runIn(t, "check", copied, "--evidence", evidence).want(t, 2, "tile/0/001: a file that the checkpoint needs is missing")
	runIn(t, "fetch", server.URL, copied, "--evidence", evidence).want(t, 0, "VERIFIED: fetch") // It is mended.
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 0, "Exit status"},
		{[]string{"check", "--help"}, 0, "--require-coverage"},
		{[]string{"check"}, 2, "expected"},
		{[]string{"guess"}, 2, "unexpected argument"},
		{[]string{"check", filepath.Join(dir, "nowhere")}, 2, "no such file"},
		{[]string{"check", "ftp://x.test/"}, 2, "not a plain URL"},
		{[]string{"check", dir}, 2, "key is needed"},
		{[]string{"check", dir, "--key", "x"}, 2, "not the verifier key"},
		{[]string{"fetch", "http://user@x.test/", dir}, 2, "not a plain URL"},
		{[]string{"receipt", filepath.Join(dir, "nothing"), "--key", logtest.NewKeys(1, 0).VKey}, 2, "no such file"},
		{[]string{"promise", "v=1", "--key", logtest.NewKeys(1, 0).VKey, "--evidence", dir}, 1, "not a promise"},
		{[]string{"witness", "run", dir}, 2, "needs a log"},
		{[]string{"witness", dir, "--log", logtest.NewKeys(1, 0).VKey}, 2, "witness init"},
		{[]string{"witness", "init", dir, "w.example/1"}, 0, "w.example/1+"},
		{[]string{"witness", "init", dir, "w.example/1"}, 2, "there is a key already"},
	} {
		runIn(t, tt.args...).want(t, tt.code, tt.want)
	}
}

// TestErrorsInJSON has --json print a report of whatever keeps a check from beginning.
func TestErrorsInJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := logtest.Make(dir, 2, 10, 60)
	key := filepath.Join(dir, "key")
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"no such directory": {[]string{"check", filepath.Join(dir, "nowhere")}, "no such file"},
		"no key":            {[]string{"check", m.Dir}, "verifier key is needed"},
		"a bad key":         {[]string{"check", m.Dir, "--key", "x"}, "not the verifier key"},
		"a bad policy":      {[]string{"check", m.Dir, "--key-file", key, "--witnesses", key}, "malformed"},
		"a bad view":        {[]string{"check", m.Dir, "--key-file", key, "--view", key}, "of the view"},
		"no such command":   {[]string{"guess"}, "unexpected argument"},
		"no such flag":      {[]string{"check", m.Dir, "--guess"}, "unknown flag"},
		"no file":           {[]string{"receipt", filepath.Join(dir, "nothing"), "--key-file", key}, "no such file"},
		"a useless policy":  {[]string{"promise", "v=1", "--key-file", key, "--witnesses", filepath.Join(dir, "policy")}, "that --in names"},
		"an age below zero": {[]string{"check", m.Dir, "--key-file", key, "--max-age=-1h"}, "no age is below zero"},
		"an empty account":  {[]string{"liability", "proof", "--key-file", key, "--account="}, "--account is empty"},
		"an empty balance":  {[]string{"liability", "proof", "--key-file", key, "--balance="}, "--balance is empty"},
		"a useless age":     {[]string{"promise", "v=1", "--key-file", key, "--max-age", "1h"}, "that --in names"},
	} {
		r := runIn(t, append(tc.args, "--json")...)
		var said verify.ReportJSON
		if err := json.Unmarshal([]byte(r.stdout), &said); err != nil || said.ExitCode != 2 || r.code != 2 || len(said.Faults) != 1 || said.Verdict != "incomplete" || said.What != tc.args[0] || r.stderr != "" {
			t.Errorf("%s: exit %d, %v: %s%s", name, r.code, err, r.stdout, r.stderr)
		}
		if r := runIn(t, tc.args...); r.stdout != "" || !strings.HasPrefix(r.stderr, "ballast-verify: incomplete: ") || !strings.Contains(r.stderr, tc.says) {
			t.Errorf("%s: %s%s", name, r.stdout, r.stderr)
		}
	}
}

func TestAWitnessRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runIn(t, "witness", "init", dir, "w.example/1").want(t, 0, "w.example/1+")
	ctx, stop := context.WithCancel(t.Context())
	told := &tell{of: "listening on", said: make(chan struct{})}
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"witness", dir, "--listen", "127.0.0.1:0", "--log", logtest.NewKeys(1, 0).VKey}, &program{&bytes.Buffer{}, told, time.Now})
	}()
	<-told.said
	stop()
	if code := <-done; code != 0 {
		t.Errorf("exit %d", code)
	}
}

// tell closes said when it was written what to wait for.
type tell struct {
	of   string
	said chan struct{}
	done bool
}

func (w *tell) Write(b []byte) (int, error) {
	if !w.done && strings.Contains(string(b), w.of) {
		w.done = true
		close(w.said)
	}
	return len(b), nil
}
