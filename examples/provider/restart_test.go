package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What could not be kept was not granted, and until the file is opened again nothing is: what its end is, nobody knows.
func TestNothingIsGrantedAfterAGrantThatCouldNotBeKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "grants.jsonl")
	g := openGrants(t, path)
	grant := func(id string) error {
		_, err := g.Once(id, func() Grant { return Grant{Status: "issued", ID: "g-" + id} })
		return err
	}
	if err := grant("a"); err != nil {
		t.Fatal(err)
	}
	whole := g.file
	broken, err := os.Open(path) // It cannot be written to, as if the disk were full.
	if err != nil {
		t.Fatal(err)
	}
	g.file = broken
	if err := grant("b"); err == nil {
		t.Fatal("a grant that was not kept was given")
	}
	g.file = whole // There is room again, behind who knows what.
	for _, id := range []string{"b", "c"} {
		if err := grant(id); err == nil {
			t.Errorf("%s was granted", id)
		}
	}
	if _, err := g.Once("a", func() Grant { t.Error("granted again"); return Grant{} }); err != nil {
		t.Errorf("what was kept is not known: %v", err)
	}
	_ = broken.Close()
	again := openGrants(t, path)
	if _, ok := again.Of("b"); ok || len(again.given) != 1 {
		t.Errorf("the file has %v", again.given)
	}
}

// stand is a Ballast of which only the provider's own calls are there. It shows a secret once, as Ballast does.
type stand struct {
	mu      sync.Mutex
	secrets []string
	shown   bool
	put     []map[string]any
	asked   []string
	refuse  map[string]int
	queue   []string
}

func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body) // Some have none.
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	answer := map[string]any{"provider_id": "prov_1", "sla_seconds": 600, "secret": nil}
	switch id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/provider/redemptions/"), "/"); {
	case r.Method == http.MethodPut:
		s.put = append(s.put, body)
		if !s.shown && body["transport"] == "push" {
			s.shown, s.secrets = true, []string{newSecret()}
			answer["secret"] = s.secrets[0]
		}
	case r.URL.Path == "/v1/provider/delivery/secrets":
		s.secrets = []string{newSecret()}
		answer = map[string]any{"secret": s.secrets[0]}
	case id == "lease":
		var due []map[string]string
		for _, one := range s.queue {
			due = append(due, map[string]string{"id": one, "gpu_class": "H100", "hours": "1"})
		}
		answer = map[string]any{"data": due}
	case s.refuse[id] != 0:
		w.WriteHeader(s.refuse[id])
		answer = map[string]any{"code": "refused"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func newStand(t *testing.T) (*stand, *provider) {
	t.Helper()
	s := &stand{refuse: map[string]int{}}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	dir := t.TempDir()
	o := &options{dir: dir, listen: "127.0.0.1:0", class: "H100", hours: "1"}
	p := &provider{options: o, grants: openGrants(t, filepath.Join(dir, "grants.jsonl")), ballast: newBallast(web.URL, "key"), out: io.Discard, log: slog.New(slog.DiscardHandler)}
	return s, p
}

// A provider that was killed after Ballast had shown its secret and before that was kept, or that never got the answer, has another made; one that
// knows its secret keeps it.
func TestASecretThatWasLostIsReplaced(t *testing.T) {
	t.Parallel()
	s, p := newStand(t)
	for _, want := range []string{"shown, and lost", "made anew", "kept"} {
		told, err := p.ballast.deliverBy(t.Context(), "push", "http://127.0.0.1:1/redemptions")
		if err != nil {
			t.Fatal(err)
		}
		if want == "shown, and lost" {
			continue
		}
		secrets, err := p.secrets(t.Context(), told.Secret)
		if err != nil || !slices.Equal(secrets, s.secrets) {
			t.Errorf("%s: %d secrets, %v", want, len(secrets), err)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(s.asked), func(a string) bool { return a != "POST /v1/provider/delivery/secrets" })); n != 1 {
		t.Errorf("another was made %d times", n)
	}
	for _, put := range s.put {
		if put["sla_seconds"] != 600.0 {
			t.Errorf("a start sets the time it may take to %v", put["sla_seconds"])
		}
	}
}

// A provider that delivers by voucher now goes on answering for what it was asked for by push.
func TestWhatWasPushedIsAnsweredForInVoucherMode(t *testing.T) {
	t.Parallel()
	s, p := newStand(t)
	told, err := p.ballast.deliverBy(t.Context(), "push", "http://127.0.0.1:1/redemptions")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.secrets(t.Context(), told.Secret); err != nil {
		t.Fatal(err)
	}
	if _, err := p.grants.Once("r", func() Grant { return Grant{Status: "issued", ID: "g", Hours: "1", Granted: "1"} }); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	if err := p.answerFor(t.Context(), mux, told.ProviderID); err != nil {
		t.Fatal(err)
	}
	signer, err := newSigner(s.secrets)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"type":"redemption.requested","data":{"redemption_id":"r","gpu_class":"H100","hours":"1","amount":"1"}}`
	for _, ask := range []struct{ method, path, body string }{{http.MethodGet, "/redemptions/r", ""}, {http.MethodPost, "/redemptions", body}} {
		r := httptest.NewRequestWithContext(t.Context(), ask.method, ask.path, strings.NewReader(ask.body))
		if err := signer.sign(r.Header, "msg", time.Now(), []byte(ask.body)); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var is reply
		if err := json.Unmarshal(w.Body.Bytes(), &is); err != nil || w.Code != http.StatusOK || is.GrantID != "g" {
			t.Errorf("%s %s: %d %s", ask.method, ask.path, w.Code, w.Body)
		}
	}
}

// What Ballast does not take of one redemption keeps the poller from none of the others, unless it has had enough.
func TestThePollerGoesOnAfterOneThatIsNotTaken(t *testing.T) {
	t.Parallel()
	s, p := newStand(t)
	s.queue = []string{"a", "b", "c"}
	poll := &poller{ballast: p.ballast, grants: p.grants, log: p.log}
	for status, told := range map[int]int{http.StatusUnprocessableEntity: 3, http.StatusInternalServerError: 3, http.StatusTooManyRequests: 1} {
		s.refuse["a"], s.asked = status, nil
		if _, err := poll.once(t.Context()); err == nil {
			t.Errorf("%d: nothing is said of it", status)
		}
		if n := len(s.asked) - 1; n != told {
			t.Errorf("%d: Ballast is told of %d, not %d", status, n, told)
		}
	}
}
