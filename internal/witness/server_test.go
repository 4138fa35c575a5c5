package witness_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/witness"
)

// answer is what came over HTTP.
type answer struct {
	status      int
	media, body string
}

func call(t testing.TB, method, url string, body []byte) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header.Get("Content-Type"), string(data)}
}

// TestStatuses goes through the table of tlog-witness. Each case starts with a witness that has cosigned size 5.
func TestStatuses(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 12, "a")
	forked := l.fork(3)
	forked.grow(t, 9, "b")
	stranger, namesake := newLog(t, "another.example/log"), newLog(t, origin+"/x")
	stranger.hashes, namesake.hashes = l.hashes, l.hashes
	other, _, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := note.NewSigner(other)
	if err != nil {
		t.Fatal(err)
	}
	text := func(size int64) string { return fmt.Sprintf("%s\n%d\n%s\n", origin, size, l.root(t, size)) }
	spoil := func(r witness.Request, what func(r *witness.Request)) []byte { what(&r); return r.Marshal() }
	broken := bytes.Replace(l.at(t, 9), []byte("\n9\n"), []byte("\n8\n"), 1)
	proof63, proof64 := make([]tlog.Hash, 63), make([]tlog.Hash, 64)
	for name, tt := range map[string]struct {
		body   []byte
		status int
		want   string // Of the body, if it is fixed.
	}{
		"the next checkpoint":             {l.request(t, 5, 9).Marshal(), 200, ""},
		"the same again":                  {l.request(t, 5, 5).Marshal(), 200, ""},
		"with an unknown signature":       {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, text(9), namesake.signer, otherKey, l.signer) }), 200, ""},
		"with lines of extensions":        {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, text(9)+"more\nand more\n", l.signer) }), 200, ""},
		"nothing":                         {nil, 400, ""},
		"no old size":                     {bytes.TrimPrefix(l.request(t, 5, 9).Marshal(), []byte("old 5\n")), 400, ""},
		"a leading zero":                  {bytes.Replace(l.request(t, 5, 9).Marshal(), []byte("old 5"), []byte("old 05"), 1), 400, ""},
		"a negative size":                 {bytes.Replace(l.request(t, 5, 9).Marshal(), []byte("old 5"), []byte("old -5"), 1), 400, ""},
		"an old size beyond 2^63":         {bytes.Replace(l.request(t, 5, 9).Marshal(), []byte("old 5"), []byte("old 9223372036854775808"), 1), 400, ""},
		"64 lines of proof":               {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Proof = proof64 }), 400, ""},
		"a hash that is none":             {bytes.Replace(l.request(t, 5, 9).Marshal(), []byte("=\n"), []byte("\n"), 1), 400, ""},
		"no checkpoint":                   {[]byte("old 5\n\n"), 400, ""},
		"a checkpoint without signatures": {[]byte("old 5\n\n" + text(9)), 400, ""},
		"a checkpoint of two lines":       {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, origin+"\n9\n", l.signer) }), 400, ""},
		"a checkpoint with an empty line": {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, text(9)+"\nx\n", l.signer) }), 400, ""},
		"a size with a leading zero": {spoil(l.request(t, 5, 9), func(r *witness.Request) {
			r.Checkpoint = sign(t, strings.Replace(text(9), "\n9\n", "\n09\n", 1), l.signer)
		}), 400, ""},
		"a root that is too short":           {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, origin+"\n9\nAAAA\n", l.signer) }), 400, ""},
		"a root with bits to spare":          {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, loosen(text(9)), l.signer) }), 400, ""},
		"a proof with bits to spare":         {[]byte(strings.Replace(string(l.request(t, 5, 9).Marshal()), l.proof(t, 5, 9)[0].String(), loosen(l.proof(t, 5, 9)[0].String() + "\n")[:44], 1)), 400, ""},
		"a broken line of signature":         {append(l.request(t, 5, 9).Marshal(), "— x\n"...), 400, ""},
		"an old size above the checkpoint's": {l.request(t, 5, 4).Marshal(), 400, ""},
		"an unknown key only":                {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, text(9), otherKey) }), 403, ""},
		"the key of another log":             {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = sign(t, text(9), stranger.signer) }), 403, ""},
		"a signature of something else":      {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Checkpoint = broken }), 403, ""},
		"another log":                        {stranger.request(t, 5, 9).Marshal(), 404, ""},
		"another log's origin, a known key": {spoil(l.request(t, 5, 9), func(r *witness.Request) {
			r.Checkpoint = sign(t, strings.Replace(text(9), origin, "another.example/log", 1), l.signer)
		}), 404, ""},
		"from nothing":                        {l.request(t, 0, 9).Marshal(), 409, "5\n"},
		"from less":                           {l.request(t, 4, 9).Marshal(), 409, "5\n"},
		"from more":                           {l.request(t, 6, 9).Marshal(), 409, "5\n"},
		"back":                                {l.request(t, 3, 4).Marshal(), 409, "5\n"},
		"back to nothing":                     {l.request(t, 0, 0).Marshal(), 409, "5\n"},
		"another root of its size, from less": {forked.request(t, 4, 5).Marshal(), 409, "5\n"},
		"another root of its size":            {forked.request(t, 5, 5).Marshal(), 422, ""},
		"a fork with its own proof":           {forked.request(t, 5, 9).Marshal(), 422, ""},
		"a fork with the true proof":          {spoil(forked.request(t, 5, 9), func(r *witness.Request) { r.Proof = l.proof(t, 5, 9) }), 422, ""},
		"no proof":                            {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Proof = nil }), 422, ""},
		"a proof from another size":           {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Proof = l.proof(t, 6, 9) }), 422, ""},
		"a proof that goes on":                {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Proof = append(r.Proof, tlog.Hash{}) }), 422, ""},
		"63 lines of proof":                   {spoil(l.request(t, 5, 9), func(r *witness.Request) { r.Proof = proof63 }), 422, ""},
		"a proof for the same size":           {spoil(l.request(t, 5, 5), func(r *witness.Request) { r.Proof = proof63[:1] }), 422, ""},
		"too large":                           {append(l.request(t, 5, 9).Marshal(), bytes.Repeat([]byte("x"), witness.MaxRequestBytes)...), 413, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWitness(t, l.key, namesake.key)
			url := serve(t, w, "w1").URL + "/add-checkpoint"
			if got := call(t, http.MethodPost, url, l.request(t, 0, 5).Marshal()); got.status != 200 {
				t.Fatalf("size 5: %+v", got)
			}
			got := call(t, http.MethodPost, url, tt.body)
			if got.status != tt.status || tt.want != "" && got.body != tt.want || (got.status == 409) != (got.media == "text/x.tlog.size") {
				t.Errorf("%+v, want %d %q", got, tt.status, tt.want)
			}
			if strings.Contains(got.body, "— ") != (tt.status == 200) {
				t.Errorf("a cosignature where there should be none, or none where there should be one: %+v", got)
			}
		})
	}
}

// loosen adds bits to the base64 at the end of a text that a careless reader would not see.
func loosen(text string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := len(text) - len("x=\n")
	return text[:last] + string(digits[strings.IndexByte(digits, text[last])+1]) + "=\n"
}

// TestFromNothing goes through what is special about trees without entries.
func TestFromNothing(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 4, "a")
	strange := sign(t, fmt.Sprintf("%s\n0\n%s\n", origin, l.root(t, 1)), l.signer)
	for name, tt := range map[string]struct {
		body   []byte
		status int
	}{
		"the first checkpoint":              {l.request(t, 0, 3).Marshal(), 200},
		"an empty log":                      {l.request(t, 0, 0).Marshal(), 200},
		"an empty log with another root":    {witness.Request{Checkpoint: strange}.Marshal(), 422},
		"a proof although there is none":    {witness.Request{Proof: l.proof(t, 2, 3), Checkpoint: l.at(t, 3)}.Marshal(), 422},
		"an empty log with a proof":         {witness.Request{Proof: l.proof(t, 2, 3), Checkpoint: l.at(t, 0)}.Marshal(), 422},
		"from a size that nobody has given": {l.request(t, 2, 3).Marshal(), 409},
	} {
		w, _ := newWitness(t, l.key)
		url := serve(t, w, "w1").URL + "/add-checkpoint"
		if got := call(t, http.MethodPost, url, tt.body); got.status != tt.status || tt.status == 409 && got.body != "0\n" {
			t.Errorf("%s: %+v, want %d", name, got, tt.status)
		}
		if tt.status != 200 {
			continue
		}
		if got := call(t, http.MethodPost, url, l.request(t, 0, 0).Marshal()); name == "an empty log" && got.status != 200 {
			t.Errorf("%s, again: %+v", name, got)
		}
	}
}

func TestWhatElseIsAsked(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 4, "a")
	w, dir := newWitness(t, l.key)
	member := serve(t, w, "w1")
	id := sha256.Sum256([]byte(origin))
	monitor := member.URL + "/" + hex.EncodeToString(id[:]) + "/checkpoint"
	for name, tt := range map[string]struct {
		method, url string
		status      int
	}{
		"nothing cosigned yet": {http.MethodGet, monitor, 404}, "unknown origin": {http.MethodGet, member.URL + "/00/checkpoint", 404},
		"GET": {http.MethodGet, member.URL + "/add-checkpoint", 405}, "elsewhere": {http.MethodPost, member.URL + "/sign-subtree", 404},
	} {
		if got := call(t, tt.method, tt.url, nil); got.status != tt.status {
			t.Errorf("%s: %+v", name, got)
		}
	}
	cosigned := call(t, http.MethodPost, member.URL+"/add-checkpoint", l.request(t, 0, 4).Marshal())
	shown := call(t, http.MethodGet, monitor, nil)
	if want := string(l.at(t, 4)) + cosigned.body; shown.status != 200 || shown.body != want {
		t.Errorf("monitors see %+v, want %q", shown, want)
	}
	standing, err := parsePolicy(t, "log "+l.key, "witness w1 "+w.VerifierKey(), "quorum w1").Check([]byte(shown.body))
	if err != nil || !standing.Satisfied {
		t.Errorf("%+v: %v", standing, err)
	}
	free := w.SetBusy()
	if got := call(t, http.MethodPost, member.URL+"/add-checkpoint", l.request(t, 4, 4).Marshal()); got.status != 503 {
		t.Errorf("busy: %+v", got)
	}
	free()
	for name, spoil := range map[string]func(data []byte) []byte{
		"damaged": func(data []byte) []byte { return bytes.Replace(data, []byte("\n4\n"), []byte("\n3\n"), 1) },
		"not one": func([]byte) []byte {
			return fmt.Appendf(nil, "ballast witness state v1\n%x\nno checkpoint", sha256.Sum256([]byte("no checkpoint")))
		},
		"empty": func([]byte) []byte { return nil },
	} {
		path, good := stateOf(t, dir)
		if err := os.WriteFile(path, spoil(good), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := call(t, http.MethodPost, member.URL+"/add-checkpoint", l.request(t, 4, 4).Marshal()); got.status != 500 || strings.Contains(got.body, dir) {
			t.Errorf("state that is %s: %+v", name, got)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// stateOf returns the file that has the last checkpoint of a witness's only log.
func stateOf(t testing.TB, dir string) (path string, data []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "state", "*.latest"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if data, err = os.ReadFile(paths[0]); err != nil {
		t.Fatal(err)
	}
	return paths[0], data
}

func TestServeEndsWhenItIsTold(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 2, "a")
	w, _ := newWitness(t, l.key)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, listener) }()
	if got := call(t, http.MethodPost, "http://"+listener.Addr().String()+"/add-checkpoint", l.request(t, 0, 2).Marshal()); got.status != 200 {
		t.Errorf("%+v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRequestsThatAreCutOff ends a body in the middle: nothing is judged.
func TestRequestsThatAreCutOff(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 2, "a")
	w, _ := newWitness(t, l.key)
	body := l.request(t, 0, 2).Marshal()
	for cut := range body {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/add-checkpoint", bytes.NewReader(body[:cut]))
		recorder := httptest.NewRecorder()
		w.Handler().ServeHTTP(recorder, request)
		if recorder.Code == http.StatusOK {
			t.Fatalf("%d bytes of %d were enough", cut, len(body))
		}
	}
}
