package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// place is a directory with a log, and files that are not what they should be.
type place struct {
	t   *testing.T
	dir string
	m   *logtest.Made
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	p.m = logtest.Make(p.dir, 51, 10, 600)
	return p
}

func (p *place) file(name string) string { return filepath.Join(p.dir, name) }

func (p *place) put(name, text string) string {
	p.t.Helper()
	if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return p.file(name)
}

// TestFilesThatAreGiven has options whose files are missing, too large, or something else.
func TestFilesThatAreGiven(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	key, log := p.file("key"), p.m.Dir
	server := httptest.NewServer(http.FileServer(http.Dir(log)))
	defer server.Close()
	nothing, junk, long := p.file("nothing"), p.put("junk", "junk\n"), p.put("long", strings.Repeat("x", 9<<20))
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"check", log, "--key-file", nothing}, 2, "no such file"},
		{[]string{"check", log, "--key-file", junk}, 2, "not the verifier key"},
		{[]string{"check", log, "--key-file", long}, 2, "has more than 4096 bytes"},
		{[]string{"check", log, "--key", p.m.Keys.VKey, "--key-file", key}, 2, "--key"},
		{[]string{"check", log, "--key-file", key, "--witnesses", nothing}, 2, "no such file"},
		{[]string{"check", log, "--key-file", key, "--witnesses", junk}, 2, junk},
		{[]string{"check", log, "--key-file", key, "--view", nothing}, 2, "no such file"},
		{[]string{"check", log, "--key-file", key, "--view", junk}, 2, "line 1 of the view"},
		{[]string{"fetch", "ftp://x.test", p.file("copy"), "--key-file", key}, 2, "not a plain URL"},
		{[]string{"fetch", server.URL, p.file("copy"), "--key-file", junk}, 2, "not the verifier key"},
		{[]string{"fetch", server.URL + "/tile", p.file("copy")}, 2, "vkey"},
		{[]string{"receipt", junk, "--key-file", nothing}, 2, "no such file"},
		{[]string{"receipt", junk}, 2, "verifier key is needed"},
		{[]string{"receipt", long, "--key-file", key}, 2, "has more than 524288 bytes"},
		{[]string{"receipt", junk, "--key-file", key, "--evidence", p.dir}, 1, "its first line"},
		{[]string{"liability", junk}, 2, "verifier key is needed"},
		{[]string{"liability", nothing, "--key-file", key}, 2, "no such file"},
		{[]string{"liability", junk, "--key-file", key, "--evidence", p.dir}, 1, "it is not a proof of liabilities"},
		{[]string{"promise", "x"}, 2, "verifier key is needed"},
		{[]string{"promise", "x", "--key-file", nothing}, 2, "no such file"},
		{[]string{"promise", "x", "--key-file", key, "--leaves", nothing}, 2, "no such file"},
		{[]string{"promise", "x", "--key-file", key, "--in", nothing}, 2, "no such file"},
		{[]string{"witness", p.dir, "--log-file", nothing}, 2, "no such file"},
		{[]string{"witness", p.dir, "--log-file", key}, 2, "witness init"},
	} {
		runIn(t, tt.args...).want(t, tt.code, tt.want)
	}
}

// TestAWitnessThatCannotRun has one whose log or address is none.
func TestAWitnessThatCannotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runIn(t, "witness", "init", dir, "w.example/1").want(t, 0, "w.example/1+")
	runIn(t, "witness", dir, "--log", "junk").want(t, 2, "junk")
	runIn(t, "witness", dir, "--log", logtest.NewKeys(1, 0).VKey, "--listen", "nowhere:port:0").want(t, 2, "nowhere")
}

// TestWhatIsRemembered where, or not at all.
func TestWhatIsRemembered(t *testing.T) {
	p := newPlace(t)
	t.Setenv("XDG_CACHE_HOME", p.file("cache"))
	key := p.file("key")
	server := httptest.NewServer(http.FileServer(http.Dir(p.m.Dir)))
	defer server.Close()
	count := func(want int, pattern string) {
		t.Helper()
		if files, err := filepath.Glob(p.file(pattern)); err != nil || len(files) != want {
			t.Errorf("%s: %v, %v", pattern, files, err)
		}
	}
	runIn(t, "check", p.m.Dir, "--key-file", key, "--no-state").want(t, 0, "VERIFIED")
	runIn(t, "check", server.URL, "--key-file", key, "--no-state").want(t, 0, "VERIFIED")
	count(0, "log/"+verify.StateFile)
	count(0, "cache/ballast-verify/*.json")
	runIn(t, "check", p.m.Dir, "--key-file", key, "--state", p.file("mine")).want(t, 0, "VERIFIED")
	count(1, "mine")
	count(0, "log/"+verify.StateFile)
	runIn(t, "check", server.URL, "--key-file", key).want(t, 0, "VERIFIED")
	count(1, "cache/ballast-verify/*.json")
	runIn(t, "check", p.m.Dir, "--key-file", key).want(t, 0, "VERIFIED")
	count(1, "log/"+verify.StateFile)
	runIn(t, "check", p.m.Dir).want(t, 0, "kept in the directory: it was given")
	if err := os.WriteFile(p.file("log/"+verify.StateFile), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	runIn(t, "check", p.m.Dir).want(t, 2, "is not what this program has written")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	runIn(t, "check", server.URL, "--key-file", key).want(t, 2, "HOME")
}

// TestHowItIsTold has the three ways of telling a verdict, where evidence is left, and what is said on the way.
func TestHowItIsTold(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	now, ticks := time.Now().Add(2*time.Hour), 0
	tell := func(args ...string) ran {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append(args, "--key-file", p.file("key"), "--max-age", "1h", "--no-state"), &program{&stdout, &stderr, func() time.Time {
			ticks++
			return now.Add(time.Duration(ticks) * time.Second)
		}})
		return ran{code, stdout.String(), stderr.String()}
	}
	text := tell("check", p.m.Dir, "--evidence", p.dir)
	text.want(t, 3, "STALE: check")
	if !strings.Contains(text.stderr, "evidence: "+p.dir) || !strings.Contains(text.stderr, "entries: 256 of 600 (42 %)") {
		t.Error(text.stderr)
	}
	quiet := tell("check", p.m.Dir, "--evidence", p.dir, "--quiet")
	if quiet.stderr != "" || !strings.HasPrefix(quiet.stdout, "stale: ") || strings.Count(quiet.stdout, "\n") != 1 {
		t.Errorf("%+v", quiet)
	}
	told := tell("check", p.m.Dir, "--evidence", p.dir, "--json")
	var said verify.ReportJSON
	if err := json.Unmarshal([]byte(told.stdout), &said); err != nil || said.Verdict != "stale" || !strings.HasPrefix(told.stderr, "evidence: ") || strings.Contains(told.stderr, "entries:") {
		t.Errorf("%v: %+v", err, told)
	}
	if files, err := filepath.Glob(p.file("ballast-evidence-check-*.json")); err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}
	none := tell("check", p.m.Dir, "--evidence", p.file("key")+"/x")
	none.want(t, 3, "no evidence was written")
}

// TestPromisesOnTheCommandLine are looked for in a log, alone and as a batch.
func TestPromisesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	key := p.file("key")
	const by = "2026-11-22T20:18:36.670101Z"
	leaf := tlog.RecordHash(p.m.Publisher.Entry(7))
	root := base64.StdEncoding.EncodeToString(leaf[:]) // Of a tree of one leaf.
	sig := base64.RawURLEncoding.EncodeToString(p.m.Keys.Sign("ballast-promise/v1\n" + logtest.Origin + "\n" + by + "\n" + root + "\n"))
	batch := "v=1; by=" + by + "; size=1; sig=" + sig
	leaves := p.put("leaves", root+"\n")
	runIn(t, "promise", batch, "--key-file", key).want(t, 2, "leaf hashes of its results")
	runIn(t, "promise", batch, "--key-file", key, "--leaves", leaves).want(t, 0, "the log promised with its key")
	r := runIn(t, "promise", batch, "--key-file", key, "--leaves", leaves, "--in", p.m.Dir)
	r.want(t, 0, "the log kept its word: they are in it (from entry 7)")
	one := "v=1; leaf=" + base64.RawURLEncoding.EncodeToString(leaf[:]) + "; by=" + by + "; index=0; size=1; proof=; sig=" + sig
	runIn(t, "promise", one, "--key-file", key, "--in", p.m.Dir).want(t, 0, "the log kept its word")
}
