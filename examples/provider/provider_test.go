package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newSecret() string {
	secret := make([]byte, 24)
	_, _ = rand.Read(secret)
	return "whsec_" + base64.StdEncoding.EncodeToString(secret)
}

func openGrants(t *testing.T, path string) *Grants {
	t.Helper()
	g, err := OpenGrants(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// A line that a crash cut short is dropped, and what follows is a whole line again; all others are there, and so is what is owed.
func TestGrantsSurviveATornLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "grants.jsonl")
	first := openGrants(t, path)
	for _, id := range []string{"a", "b"} {
		if _, err := first.Once(id, func() Grant { return Grant{Status: "issued", ID: "g-" + id, Later: true} }); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Told("a"); err != nil {
		t.Fatal(err)
	}
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.WriteString(`{"grant":{"redemption_id":"c","sta`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		again := openGrants(t, path)
		if _, ok := again.Of("c"); ok {
			t.Error("half a grant is one")
		}
		if owed := again.Owed(); len(owed) != 1 || owed[0].ID != "g-b" {
			t.Errorf("owed %v", owed)
		}
		given, err := again.Once("a", func() Grant { t.Error("granted again"); return Grant{} })
		if err != nil || given.ID != "g-a" {
			t.Errorf("%v, %v", given, err)
		}
		if _, err := again.Once("d", func() Grant { return Grant{Status: "issued", ID: "g-d"} }); err != nil {
			t.Fatal(err)
		}
	}
}

// desk is a provider under test, with a stand-in for Ballast's callbacks.
type desk struct {
	*endpoint
	t       *testing.T
	server  *httptest.Server
	mu      sync.Mutex
	told    []told
	refused atomic.Int64
}

type told struct{ Type, Redemption, Hours string }

func newDesk(t *testing.T, list string, percent uint, later bool) *desk {
	t.Helper()
	signer, err := newSigner([]string{newSecret(), newSecret()})
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFaults(list, percent, "seed")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t}
	grants := openGrants(t, filepath.Join(t.TempDir(), "grants.jsonl"))
	hears := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if signer.verify(r.Header, body) != nil {
			d.refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var heard struct {
			Type string
			Data callbackData
		}
		if err := json.Unmarshal(body, &heard); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.told = append(d.told, told{heard.Type, heard.Data.RedemptionID, heard.Data.Hours})
	}))
	t.Cleanup(hears.Close)
	log := slog.New(slog.DiscardHandler)
	back := &callbacks{client: hears.Client(), url: hears.URL, signer: signer, grants: grants, log: log, queue: make(chan callback, 16)}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go back.run(ctx)
	d.endpoint = &endpoint{signer: signer, grants: grants, faults: f, later: later, callbacks: back, log: log}
	d.server = httptest.NewServer(d.routes())
	t.Cleanup(d.server.Close)
	return d
}

func (d *desk) ask(method, path string, body []byte, sign signing) (int, reply, error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Second)
	d.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, d.server.URL+path, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := sign(r.Header, "msg", time.Now(), body); err != nil {
		d.t.Fatal(err)
	}
	w, err := d.server.Client().Do(r)
	if err != nil {
		return 0, reply{}, err
	}
	defer w.Body.Close() //nolint:errcheck // A test's.
	text, err := io.ReadAll(w.Body)
	if err != nil {
		return w.StatusCode, reply{}, err
	}
	var is reply
	if err := json.Unmarshal(text, &is); err != nil {
		is.Reason = string(text)
	}
	return w.StatusCode, is, nil
}

func (d *desk) redeem(id string) (int, reply, error) {
	d.t.Helper()
	return d.ask(http.MethodPost, "/redemptions", []byte(`{"type":"redemption.requested","data":{"redemption_id":"`+id+`","gpu_class":"H100","hours":"3.000001","amount":"3.1"}}`), d.signer.sign)
}

func (d *desk) query(id string) reply {
	d.t.Helper()
	for range 50 {
		if status, is, err := d.ask(http.MethodGet, "/redemptions/"+id, nil, d.signer.sign); err == nil && status == http.StatusOK && is.Status != "" {
			return is
		}
	}
	d.t.Fatal("it never says")
	return reply{}
}

func TestOnlyBallastIsAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "", 0, false)
	body := []byte(`{"type":"redemption.requested","data":{"redemption_id":"r","gpu_class":"H100","hours":"1","amount":"1"}}`)
	stale := func(h http.Header, id string, at time.Time, body []byte) error {
		return d.signer.sign(h, id, at.Add(-6*time.Minute), body)
	}
	other := func(h http.Header, id string, at time.Time, _ []byte) error {
		return d.signer.sign(h, id, at, []byte("{}"))
	}
	for name, sign := range map[string]signing{"forged": forge, "stale": stale, "of another body": other} {
		if status, _, err := d.ask(http.MethodPost, "/redemptions", body, sign); err != nil || status != http.StatusUnauthorized {
			t.Errorf("%s: %d, %v", name, status, err)
		}
		if status, _, err := d.ask(http.MethodGet, "/redemptions/r", body, sign); err == nil && status == http.StatusOK {
			t.Errorf("%s: the status was told", name)
		}
	}
	if _, ok := d.grants.Of("r"); ok {
		t.Error("granted")
	}
}

// However often a redemption is asked for, and however many ask at once, there is one grant of it.
func TestARedemptionIsGrantedOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "", 0, false)
	var ids sync.Map
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			_, is, err := d.redeem("r")
			if err != nil || is.Status != "issued" || is.Hours != "3.000001" {
				t.Errorf("%+v, %v", is, err)
			}
			ids.Store(is.GrantID, true)
		})
	}
	all.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d grants", n)
	}
	if is := d.query("another"); is.Status != "not_found" {
		t.Errorf("of one that was never asked for: %+v", is)
	}
}

// Each fault fails as it says, and the truth can be had by asking.
func TestFaultsFailAsTheySay(t *testing.T) {
	t.Parallel()
	for _, kind := range everyFault {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, string(kind), 100, false)
			status, is, err := d.redeem("r")
			switch kind {
			case faultHang, faultDrop, faultTrickle:
				if err == nil {
					t.Errorf("it answered %+v", is)
				}
			case faultError:
				if err != nil || status != http.StatusInternalServerError {
					t.Errorf("%d, %v", status, err)
				}
			case faultGarbage:
				if err != nil || status != http.StatusOK || is.Status != "" {
					t.Errorf("%+v, %v", is, err)
				}
			case faultAmount:
				if err != nil || is.Hours != "6.000002" {
					t.Errorf("%+v, %v", is, err)
				}
			case faultReject:
				if err != nil || is.Status != "rejected" || is.Reason == "" {
					t.Errorf("%+v, %v", is, err)
				}
			case faultPartial:
				if err != nil || !is.Partial || is.Hours != "1.500000" {
					t.Errorf("%+v, %v", is, err)
				}
			default:
				if err != nil || status != http.StatusAccepted {
					t.Errorf("%+v, %v", is, err)
				}
				d.hears(kind)
			}
			if kind == faultError || kind == faultHang || kind == faultDrop || kind == faultTrickle || kind == faultGarbage {
				return // Queries fail alike at a hundred percent.
			}
			if is := d.query("r"); is.Status == "not_found" {
				t.Error("what it granted, it does not know")
			}
		})
	}
}

// hears waits until Ballast was told as the fault has it.
func (d *desk) hears(kind fault) {
	d.t.Helper()
	wantRefused, wantTold := int64(0), []told{{"redemption.issued", "r", "3.000001"}}
	switch kind {
	case faultForge, faultStale:
		wantRefused = 1
	case faultDuplicate:
		wantTold = slices.Repeat(wantTold, 3)
	case faultReorder:
		wantTold = append(wantTold, told{Type: "redemption.accepted", Redemption: "r"})
	default:
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		d.mu.Lock()
		got := slices.Clone(d.told)
		d.mu.Unlock()
		if len(got) >= len(wantTold) && d.refused.Load() >= wantRefused && len(d.grants.Owed()) == 0 {
			if !slices.Equal(got[:len(wantTold)], wantTold) {
				d.t.Errorf("told %v, not %v", got, wantTold)
			}
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("told %v, refused %d, owed %v", got, d.refused.Load(), d.grants.Owed())
		}
	}
}

// The draw follows from its seed, and hits about as many as it was told to.
func TestFaultsCanBeHadAgain(t *testing.T) {
	t.Parallel()
	a, err := newFaults("all", 30, "x")
	if err != nil {
		t.Fatal(err)
	}
	b, err := newFaults("all", 30, "x")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[fault]int{}
	for range 1000 {
		id := newSecret()
		whatA, _ := a.draw(id, true)
		whatB, _ := b.draw(id, true)
		if whatA != whatB {
			t.Fatal("two draws of one seed differ")
		}
		seen[whatA]++
	}
	if seen[faultNone] < 600 || seen[faultNone] > 800 || len(seen) != 1+len(everyFault) {
		t.Errorf("drew %v", seen)
	}
	once, err := newFaults("drop", 100, "x")
	if err != nil {
		t.Fatal(err)
	}
	once.times = 1
	if first, _ := once.draw("r", true); first != faultDrop {
		t.Errorf("at first it drew %q", first)
	}
	if second, _ := once.draw("r", true); second != faultNone {
		t.Errorf("then it drew %q", second)
	}
	if _, err := newFaults("eror", 1, ""); err == nil {
		t.Error("a fault that is none")
	}
}

func TestACodeIsHonouredOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "grants.jsonl")
	s := &stock{grants: openGrants(t, path)}
	var csv []byte
	loads := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { csv, _ = io.ReadAll(r.Body) }))
	defer loads.Close()
	if err := s.load(t.Context(), newBallast(loads.URL, "key"), 1, "H100", "2"); err != nil {
		t.Fatal(err)
	}
	code, _, _ := bytes.Cut(bytes.Split(csv, []byte("\n"))[1], []byte(","))
	claim := func(code, account string) int {
		w := httptest.NewRecorder()
		body, _ := json.Marshal(map[string]string{"code": code, "account": account})
		s.claim(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/claim", bytes.NewReader(body)))
		return w.Code
	}
	for _, tt := range []struct {
		code, account string
		want          int
	}{{"guess", "ann", 404}, {string(code), "ann", 200}, {string(code), "ann", 200}, {string(code), "bob", 409}} {
		if got := claim(tt.code, tt.account); got != tt.want {
			t.Errorf("claim by %s: %d, not %d", tt.account, got, tt.want)
		}
	}
	if text, err := os.ReadFile(path); err != nil || bytes.Contains(text, code) {
		t.Errorf("the code is in the file (%v)", err)
	}
}
