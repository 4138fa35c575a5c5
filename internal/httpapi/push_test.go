package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/push"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// said is one request that the provider got.
type said struct {
	method, path, id string
	body             object
}

// partner is a provider that is called, and answers as it is told.
type partner struct {
	*server
	clock *pgtest.Clock
	web   *httptest.Server

	mu    sync.Mutex
	heard []said
	reply func(w http.ResponseWriter, r *http.Request, redemption string)
}

// newPartner has Northwind called at a server of this machine.
func newPartner(t *testing.T) *partner {
	t.Helper()
	p := &partner{server: newServer(t)}
	p.clock = pgtest.NewClock(t, p.db, time.Now().Add(time.Minute))
	p.web = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.web.Close)
	p.names["secret.provider"] = p.post("provider", "/v1/provider/delivery/secrets", object{"overlap_seconds": 0}).want(201).string("secret")
	p.deliver(p.web.URL + "/redemptions?tenant=1")
	return p
}

func (p *partner) deliver(endpoint string) {
	p.t.Helper()
	p.as("provider", http.MethodPut, "/v1/provider/delivery", object{"transport": "push", "endpoint": endpoint}).want(200).
		expect("transport", "push", "status", "active", "secret", nil)
}

// serve insists on a signature, and on the one form of each request.
func (p *partner) serve(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	signer, err := webhook.NewSigner(p.names["secret.provider"])
	if err == nil {
		err = signer.Verify(r.Header, text)
	}
	if err != nil || r.URL.RawQuery != "tenant=1" {
		p.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	one := said{method: r.Method, path: r.URL.Path, id: r.Header.Get("webhook-id")}
	redemption := strings.TrimPrefix(r.URL.Path, "/redemptions/")
	if r.Method == http.MethodPost {
		if err := json.Unmarshal(text, &one.body); err != nil {
			p.t.Error(err)
		}
		redemption = one.body["data"].(object)["redemption_id"].(string)
	}
	p.heard = append(p.heard, one)
	reply := p.reply
	p.mu.Unlock()
	reply(w, r, redemption)
}

// says has every request answered alike. {id} is the redemption.
func (p *partner) says(status int, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = func(w http.ResponseWriter, _ *http.Request, redemption string) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "{id}", redemption)) //nolint:gosec // It answers a test.
	}
}

// breaks has every request cut off.
func (p *partner) breaks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }
}

// methods returns the methods of the requests since the last time.
func (p *partner) methods() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.heard {
		all = append(all, one.method)
	}
	p.heard = nil
	return all
}

// redeem asks for 10 SCH, which are 10 hours, of Northwind.
func (p *partner) redeem() string {
	p.t.Helper()
	return p.post("alice", "/v1/redemptions", object{
		"account_id": "{alice_account}", "amount": "10", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB",
		"recipient": object{"provider_account": "alice@northwind"},
	}).want(201).expect("status", "reserved", "transport", "push").string("id")
}

func (p *partner) dispatch() {
	p.t.Helper()
	if _, err := p.api.Dispatcher.DispatchDue(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	if logs := p.logs.String(); strings.Contains(logs, "not brought to its end") {
		p.t.Errorf("an attempt failed: %s", logs)
	}
}

func (p *partner) status(redemption, want string) *reply {
	p.t.Helper()
	return p.get("alice", "/v1/redemptions/"+redemption).want(200).expect("status", want)
}

// outcomes returns the attempts, newest first, as phase:outcome:class.
func (p *partner) outcomes(redemption string) (all []string) {
	p.t.Helper()
	for _, one := range p.get("provider", "/v1/redemptions/"+redemption+"/attempts").want(200).at("data").([]any) {
		a := one.(object)
		all = append(all, fmt.Sprintf("%v:%v:%v", a["phase"], a["outcome"], a["error_class"]))
	}
	return all
}

const issuedAnswer = `{"redemption_id":"{id}","status":"issued","provider_grant_id":"g-{id}","hours":"10.000000"}`

func TestPushedRedemptionIsIssuedAtOnce(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(200, issuedAnswer)
	redemption := p.redeem()
	p.dispatch()
	p.status(redemption, "issued").expect("provider_grant_id", "g-"+redemption, "timeline.2.status", "dispatched", "timeline.2.detail", "It is sent to the provider.")
	if len(p.heard) != 1 || p.heard[0].id != redemption || p.heard[0].path != "/redemptions" {
		t.Fatalf("%+v", p.heard)
	}
	delete(p.heard[0].body, "timestamp")
	want := object{"type": "redemption.requested", "data": object{
		"redemption_id": redemption, "provider_id": p.names["provider"], "gpu_class": "H100-SXM-80GB", "hours": "10.000000", "amount": "10.000000",
		"recipient": object{"provider_account": "alice@northwind"},
	}}
	if diff := cmp.Diff(want, p.heard[0].body); diff != "" {
		t.Error(diff)
	}
	p.get("provider", "/v1/redemptions/"+redemption+"/attempts").want(200).expect("data.0.outcome", "issued", "data.0.http_status", "200", "next_cursor", nil)
	p.dispatch()
	if got := p.methods(); len(got) != 1 {
		t.Errorf("it was asked %v", got)
	}
	p.get("southwind", "/v1/redemptions/"+redemption+"/attempts").want(404, "not_found")
	p.get("alice", "/v1/redemptions/"+redemption+"/attempts").want(403, "forbidden")
	p.post("provider", "/v1/redemptions/"+redemption+"/replay", nil).want(409, "conflict")
	p.post("southwind", "/v1/redemptions/"+redemption+"/replay", nil).want(404, "not_found")
}

// Only what is exactly an answer of the protocol counts. Everything else leaves open what the provider did.
func TestAnswersToAnOrder(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		want    string // The redemption's status.
		attempt string
	}{
		{"issued", 200, issuedAnswer, "issued", "send:issued:<nil>"},
		{"without its id", 200, `{"status":"issued","provider_grant_id":"a{id}","hours":"10"}`, "issued", "send:issued:<nil>"},
		{"with a reason, and more", 200, `{"status":"issued","provider_grant_id":"b{id}","hours":"10","reason":"ok\n","region":{"x":1}}`, "issued", "send:issued:<nil>"},
		{"in part", 200, `{"status":"issued","provider_grant_id":"c{id}","hours":"4","partial":true,"reason":"no more"}`, "issued", "send:issued:<nil>"},
		{"refused", 200, `{"status":"rejected","reason":"no such\taccount"}`, "refunded", "send:rejected:<nil>"},
		{"refused by 409", 409, `{"status":"rejected"}`, "refunded", "send:rejected:<nil>"},
		{"refused by 422", 422, `{"redemption_id":"{id}","status":"rejected","reason":"x"}`, "refunded", "send:rejected:<nil>"},
		{"accepted", 202, `{"status":"accepted"}`, "dispatched", "send:accepted:<nil>"},
		{"too much to do", 429, `{"status":"not_accepted"}`, "dispatched", "send:not_accepted:<nil>"},
		{"away", 503, `{"status":"not_accepted"}`, "dispatched", "send:not_accepted:<nil>"},

		{"429 that says nothing", 429, ``, "unknown", "send:unclear:status"},
		{"503 that says nothing", 503, `{}`, "unknown", "send:unclear:status"},
		{"500", 500, `{"status":"rejected"}`, "unknown", "send:unclear:status"},
		{"404", 404, `{"status":"not_found"}`, "unknown", "send:unclear:status"},
		{"401", 401, ``, "unknown", "send:unclear:status"},
		{"a redirect", 307, issuedAnswer, "unknown", "send:unclear:status"},
		{"201", 201, issuedAnswer, "unknown", "send:unclear:status"},
		{"200 accepted", 200, `{"status":"accepted"}`, "unknown", "send:unclear:status"},
		{"202 issued", 202, issuedAnswer, "unknown", "send:unclear:status"},
		{"422 issued", 422, issuedAnswer, "unknown", "send:unclear:status"},
		{"nothing", 200, ``, "unknown", "send:unclear:malformed"},
		{"a page", 200, `<html>`, "unknown", "send:unclear:malformed"},
		{"half", 200, `{"status":"issued","provider_grant_id":"g`, "unknown", "send:unclear:malformed"},
		{"two meanings", 200, `{"status":"rejected","status":"issued","provider_grant_id":"d{id}","hours":"10"}`, "unknown", "send:unclear:malformed"},
		{"too long", 200, `{"status":"rejected","reason":"` + strings.Repeat("x", 70_000) + `"}`, "unknown", "send:unclear:too_large"},
		{"another redemption", 200, `{"redemption_id":"rdmp_00000000000000000000000001","status":"rejected"}`, "unknown", "send:unclear:wrong_redemption"},
		{"more hours", 200, `{"status":"issued","provider_grant_id":"e{id}","hours":"10.000001"}`, "unknown", "send:unclear:wrong_hours"},
		{"more hours, in part", 200, `{"status":"issued","provider_grant_id":"e{id}","hours":"20","partial":true}`, "unknown", "send:unclear:wrong_hours"},
		{"all hours, in part", 200, `{"status":"issued","provider_grant_id":"f{id}","hours":"10","partial":true}`, "unknown", "send:unclear:wrong_hours"},
		{"fewer hours", 200, `{"status":"issued","provider_grant_id":"f{id}","hours":"9"}`, "unknown", "send:unclear:wrong_hours"},
		{"no hours", 200, `{"status":"issued","provider_grant_id":"f{id}"}`, "unknown", "send:unclear:wrong_hours"},
		{"negative hours", 200, `{"status":"issued","provider_grant_id":"f{id}","hours":"-1","partial":true}`, "unknown", "send:unclear:wrong_hours"},
		{"zero hours", 200, `{"status":"issued","provider_grant_id":"f{id}","hours":"0","partial":true}`, "unknown", "send:unclear:wrong_hours"},
		{"no grant", 200, `{"status":"issued","hours":"10"}`, "unknown", "send:unclear:no_grant"},
		{"another's grant", 200, `{"status":"issued","provider_grant_id":"used","hours":"10"}`, "unknown", "send:unclear:contradiction"},
	} {
		if tt.name == "another's grant" {
			p.post("provider", "/v1/provider/redemptions/{redemption}/issue", object{"provider_grant_id": "used"}).want(200)
		}
		p.says(tt.status, tt.body)
		redemption := p.mintAndRedeem()
		if _, err := p.api.Dispatcher.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.api.Dispatcher.Wait()
		got := p.get("operator", "/v1/redemptions/"+redemption).want(200)
		if got.at("status") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got.at("status"), tt.want)
		}
		if attempts := p.outcomes(redemption); len(attempts) != 1 || attempts[0] != tt.attempt {
			t.Errorf("%s: the attempts are %v, want %s", tt.name, attempts, tt.attempt)
		}
	}
}

// mintAndRedeem is redeem for a table of more redemptions than the story has tokens.
func (p *partner) mintAndRedeem() string {
	p.t.Helper()
	p.post("provider", "/v1/mints", object{"pledge_id": "{pledge}", "account_id": "{alice_account}", "amount": "10"}).want(201)
	return p.redeem()
}

// What is unknown is asked about, and what the provider does not know is sent again under the same id.
func TestUnknownIsResolvedByAsking(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	for _, tt := range []struct {
		name, body, want string
		status           int
		attempt          string
		then             []string // What the provider is asked when the next attempts are due.
	}{
		{"issued", issuedAnswer, "issued", 200, "query:issued:<nil>", nil},
		{"in part", `{"redemption_id":"{id}","status":"issued","provider_grant_id":"p{id}","hours":"1","partial":true}`, "issued", 200, "query:issued:<nil>", nil},
		{"rejected", `{"redemption_id":"{id}","status":"rejected"}`, "refunded", 200, "query:rejected:<nil>", nil},
		{"not found", `{"redemption_id":"{id}","status":"not_found"}`, "dispatched", 200, "query:not_found:<nil>", []string{"POST"}},
		{"accepted", `{"redemption_id":"{id}","status":"accepted"}`, "unknown", 200, "query:accepted:<nil>", []string{"GET"}},
		{"without its id", `{"status":"not_found"}`, "unknown", 200, "query:unclear:wrong_redemption", []string{"GET"}},
		{"another's id", `{"redemption_id":"rdmp_00000000000000000000000001","status":"rejected"}`, "unknown", 200, "query:unclear:wrong_redemption", []string{"GET"}},
		{"404", `{"redemption_id":"{id}","status":"not_found"}`, "unknown", 404, "query:unclear:status", []string{"GET"}},
		{"500", ``, "unknown", 500, "query:unclear:status", []string{"GET"}},
		{"410", ``, "unknown", 410, "query:unclear:status", []string{"GET"}},
		{"another word", `{"redemption_id":"{id}","status":"perhaps"}`, "unknown", 200, "query:unclear:unknown_status", []string{"GET"}},
	} {
		redemption := p.mintAndRedeem()
		p.breaks()
		p.dispatch()
		p.status(redemption, "unknown").expect("timeline.3.detail", "The provider's answer leaves open what it did. It is asked.")
		p.post("alice", "/v1/redemptions/"+redemption+"/cancel", nil).want(409, "conflict")
		p.says(tt.status, tt.body)
		p.dispatch()
		if got := p.methods(); !cmp.Equal(got, []string{"POST"}) {
			t.Errorf("%s: asked too soon: %v", tt.name, got)
		}
		p.clock.Advance(2 * time.Second)
		p.dispatch()
		p.status(redemption, tt.want)
		if got := p.outcomes(redemption); len(got) != 2 || got[0] != tt.attempt || got[1] != "send:unclear:reset" {
			t.Errorf("%s: the attempts are %v", tt.name, got)
		}
		if got := p.methods(); !cmp.Equal(got, []string{"GET"}) {
			t.Errorf("%s: asked by %v", tt.name, got)
		}
		p.says(200, issuedAnswer)
		p.clock.Advance(10 * time.Second)
		p.dispatch()
		if got := p.methods(); !cmp.Equal(got, tt.then) {
			t.Errorf("%s: then asked by %v, want %v", tt.name, got, tt.then)
		}
	}
}

// The pauses grow, and after the last attempt it waits for somebody to say that it be tried again.
func TestAttemptsAreSpacedAndEnd(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(503, `{"status":"not_accepted"}`)
	redemption := p.redeem()
	p.dispatch()
	pauses := dispatch.DefaultSends
	for i, pause := range pauses {
		pause = max(pause, 7*time.Second) // As Retry-After says.
		p.methods()
		p.clock.Advance(pause - time.Millisecond)
		p.dispatch()
		if got := p.methods(); got != nil {
			t.Fatalf("after attempt %d, it came too soon: %v", i+1, got)
		}
		p.clock.Advance(time.Millisecond)
		p.dispatch()
		if got := p.methods(); !cmp.Equal(got, []string{"POST"}) {
			t.Fatalf("after attempt %d: %v", i+1, got)
		}
	}
	p.clock.Advance(30 * 24 * time.Hour)
	p.dispatch()
	if got := p.methods(); got != nil {
		t.Errorf("after the last: %v", got)
	}
	p.status(redemption, "dispatched")
	if b, err := dispatch.ReadBacklog(t.Context(), p.db.App); err != nil || b != (dispatch.Backlog{Exhausted: 1}) {
		t.Errorf("%+v, %v", b, err)
	}
	p.says(200, issuedAnswer)
	p.post("operator", "/v1/redemptions/"+redemption+"/replay", nil).want(200).expect("phase", "send")
	p.dispatch()
	p.status(redemption, "issued")
}

// Nothing is lost where nobody listens, and an endpoint that is gone disables the delivery until there is another.
func TestEndpointThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	redemption := p.redeem()
	p.web.Close()
	p.dispatch()
	p.status(redemption, "dispatched")
	if got := p.outcomes(redemption); !cmp.Equal(got, []string{"send:not_sent:dial"}) {
		t.Errorf("%v", got)
	}
	p.web = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.web.Close)
	p.deliver(p.web.URL + "/redemptions?tenant=1")
	p.says(410, ``)
	p.clock.Advance(5 * time.Second)
	p.dispatch()
	p.get("provider", "/v1/provider/delivery").want(200).expect("status", "disabled", "disabled_reason", "The endpoint answered 410: it is gone.")
	p.status(redemption, "dispatched")
	p.clock.Advance(time.Hour)
	p.dispatch()
	if got := p.methods(); !cmp.Equal(got, []string{"POST"}) {
		t.Errorf("while it is disabled: %v", got)
	}
	p.post("alice", "/v1/redemptions", object{"account_id": "{alice_account}", "amount": "1", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB"}).want(422, "no_capacity")
	p.says(200, issuedAnswer)
	p.as("provider", http.MethodPut, "/v1/provider/delivery", object{"transport": "pull"}).want(200) // It goes on as it began.
	p.dispatch()
	p.status(redemption, "issued")
}

// What an endpoint of before answers says nothing of the delivery of now, and is tried no more often than others that did not take it.
func TestOldEndpointThatIsGone(t *testing.T) {
	t.Parallel()
	for _, now := range []object{{"transport": "voucher"}, {"transport": "pull"}} {
		p := newPartner(t)
		redemption := p.redeem()
		p.says(410, ``)
		p.as("provider", http.MethodPut, "/v1/provider/delivery", now).want(200)
		for range 2 * len(dispatch.DefaultSends) {
			p.dispatch()
			p.get("provider", "/v1/provider/delivery").want(200).expect("transport", now["transport"], "status", "active", "disabled_reason", nil)
			p.clock.Advance(25 * time.Hour)
		}
		if got, want := len(p.outcomes(redemption)), len(dispatch.DefaultSends)+1; got != want {
			t.Errorf("%v: it was tried %d times, want %d", now, got, want)
		}
		p.post("alice", "/v1/redemptions/"+redemption+"/cancel", nil).want(200)
	}
}

func TestEndpointThatMovesWhileItIsCalled(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	redemption := p.redeem()
	fresh := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(fresh.Close)
	called, answer := make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	p.reply = func(w http.ResponseWriter, _ *http.Request, _ string) {
		close(called)
		<-answer
		w.WriteHeader(http.StatusGone)
	}
	p.mu.Unlock()
	if _, err := p.api.Dispatcher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-called
	p.deliver(fresh.URL + "/redemptions?tenant=1")
	close(answer)
	p.api.Dispatcher.Wait()
	p.get("provider", "/v1/provider/delivery").want(200).expect("endpoint", fresh.URL+"/redemptions?tenant=1", "status", "active")
	p.says(200, issuedAnswer)
	p.clock.Advance(10 * time.Second)
	p.dispatch()
	p.status(redemption, "issued")
}

// A process that goes away in the middle leaves a lease. What it may have sent is asked about; what it had not yet marked is sent.
func TestLeaseThatLapses(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(200, issuedAnswer)
	for _, tt := range []struct {
		marked bool
		want   []string
	}{{true, []string{"GET"}}, {false, []string{"POST"}}} {
		redemption := p.mintAndRedeem()
		id := uuidOf(t, "rdmp", redemption)
		if tt.marked {
			if err := p.api.Redemptions.MarkDispatched(t.Context(), id, "It is sent."); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.db.Pool.Exec(t.Context(), `UPDATE redemption_dispatches
			SET lease_id = gen_random_uuid(), leased_until = ballast_now() + interval '1 minute' WHERE redemption_id = $1`, id); err != nil {
			t.Fatal(err)
		}
		p.dispatch()
		p.post("provider", "/v1/redemptions/"+redemption+"/replay", nil).want(409, "conflict")
		if got := p.methods(); got != nil {
			t.Errorf("while another has the lease: %v", got)
		}
		p.clock.Advance(time.Minute)
		p.dispatch()
		if tt.marked {
			p.status(redemption, "unknown")
			p.clock.Advance(2 * time.Second)
			p.dispatch()
		}
		if got := p.methods(); !cmp.Equal(got, tt.want) {
			t.Errorf("marked %v: it was reached by %v, want %v", tt.marked, got, tt.want)
		}
		p.status(redemption, "issued")
	}
}

// Many dispatchers take what is due at the same time, and no two the same.
func TestManyDispatchersSendOnce(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(200, issuedAnswer)
	const redemptions = 40
	for range redemptions {
		p.post("alice", "/v1/redemptions", object{"account_id": "{alice_account}", "amount": "1", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB"}).want(201)
	}
	p.says(200, strings.Replace(issuedAnswer, "10.000000", "1", 1))
	var group sync.WaitGroup
	for range 4 {
		d := dispatch.New(p.db.App, p.api.Redemptions, push.NewCaller(p.api.Outbound, p.api.Secrets), dispatch.Options{Slots: 3, PerProvider: 100})
		group.Go(func() {
			if _, err := d.DispatchDue(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	seen := map[string]int{}
	for _, one := range p.heard {
		seen[one.method+one.id]++
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%s was sent %d times", what, n)
		}
	}
	if len(seen) != redemptions {
		t.Errorf("%d of %d were sent", len(seen), redemptions)
	}
}

// One provider has no more attempts under way than its share, however many slots are free and whoever takes them.
func TestAProviderHasNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(202, `{"status":"accepted"}`)
	for range 9 {
		p.post("alice", "/v1/redemptions", object{"account_id": "{alice_account}", "amount": "1", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB"}).want(201)
	}
	d := dispatch.New(p.db.App, p.api.Redemptions, push.NewCaller(p.api.Outbound, p.api.Secrets), dispatch.Options{Slots: 50, PerProvider: 4})
	execute := func(sql string) {
		if _, err := p.db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// Three are under way in another process.
	execute(`UPDATE redemption_dispatches SET lease_id = gen_random_uuid(), leased_until = ballast_now() + interval '1 hour'
		WHERE redemption_id IN (SELECT redemption_id FROM redemption_dispatches ORDER BY redemption_id LIMIT 3)`)
	for _, want := range []int{1, 1} {
		n, err := d.Start(t.Context())
		if err != nil || n != want {
			t.Errorf("%d attempts were begun beside three (%v), want %d", n, err, want)
		}
		d.Wait()
	}
	execute(`UPDATE redemption_dispatches SET lease_id = NULL, leased_until = NULL, next_at = ballast_now() + interval '1 hour' WHERE leased_until > ballast_now()`)
	if n, err := d.Start(t.Context()); err != nil || n != 4 {
		t.Errorf("%d attempts were begun by themselves (%v), want 4", n, err)
	}
	d.Wait()
}

// A provider that keeps its callers waiting, and has waited longest for more of them, gets no slot while another has none.
func TestWhoHasFewerUnderWayComesFirst(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(202, `{"status":"accepted"}`)
	execute := func(sql string, args ...any) {
		t.Helper()
		if _, err := p.db.Pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	var asked []string
	for range 5 {
		asked = append(asked, p.post("alice", "/v1/redemptions", object{"account_id": "{alice_account}", "amount": "1", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB"}).want(201).string("id"))
	}
	// The last is another's, and has waited for less long; of the others, one is under way.
	execute(`INSERT INTO provider_deliveries (provider_id, transport, endpoint, updated_by) VALUES ($1, 'push', $2, $1)`,
		uuidOf(t, "prov", p.names["southwind"]), p.web.URL+"/southwind")
	last := uuidOf(t, "rdmp", asked[4])
	execute(`UPDATE redemption_dispatches SET provider_id = $2 WHERE redemption_id = $1`, last, uuidOf(t, "prov", p.names["southwind"]))
	execute(`UPDATE redemption_dispatches SET next_at = ballast_now() - interval '1 hour' WHERE redemption_id <> $1`, last)
	execute(`UPDATE redemption_dispatches SET lease_id = gen_random_uuid(), leased_until = ballast_now() + interval '1 hour' WHERE redemption_id = $1`, uuidOf(t, "rdmp", asked[0]))
	d := dispatch.New(p.db.App, p.api.Redemptions, push.NewCaller(p.api.Outbound, p.api.Secrets), dispatch.Options{Slots: 1, PerProvider: 4})
	if n, err := d.Start(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	d.Wait()
	var first bool
	if err := p.db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM redemption_attempts WHERE redemption_id = $1)`, last).Scan(&first); err != nil || !first {
		t.Errorf("another came first, %v", err)
	}
}

// callback makes a call of the provider; {id} is the redemption.
func (p *partner) callback(redemption, kind, data string) *call {
	p.t.Helper()
	body := `{"type":"redemption.` + kind + `","timestamp":"2026-08-03T11:05:00Z","data":{"redemption_id":"{id}"` + data + `}}`
	return p.as("", http.MethodPost, "/v1/provider-callbacks/{provider}", strings.ReplaceAll(body, "{id}", redemption))
}

const granted = `,"provider_grant_id":"g-{id}","hours":"10"`

// Whatever comes twice, late or in the wrong order changes nothing, and what contradicts is refused.
func TestCallbacksInAnyOrder(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(202, `{"status":"accepted"}`)
	redemption := p.redeem()
	p.dispatch()
	p.callback(redemption, "accepted", "").want(200).expect("redemption_id", redemption, "status", "accepted")
	p.status(redemption, "dispatched")
	for range 2 {
		p.callback(redemption, "issued", granted).want(200).expect("redemption_id", redemption, "status", "issued")
		p.callback(redemption, "issued", `,"provider_grant_id":"g-{id}"`).want(200).expect("status", "issued")
		p.callback(redemption, "accepted", "").want(200).expect("status", "accepted")
		p.status(redemption, "issued").expect("provider_grant_id", "g-"+redemption)
	}
	p.callback(redemption, "issued", `,"provider_grant_id":"other","hours":"10"`).want(409, "conflict")
	p.callback(redemption, "issued", `,"provider_grant_id":"g-{id}","hours":"4","partial":true`).want(409, "conflict")
	p.callback(redemption, "rejected", `,"reason":"no"`).want(409, "conflict")
	p.post("alice", "/v1/redemptions/"+redemption+"/acknowledge", nil).want(200)
	p.callback(redemption, "issued", granted).want(200).expect("status", "issued")
	p.status(redemption, "acknowledged")

	// From unknown, and by what the provider says of itself before it is asked.
	second := p.redeem()
	p.breaks()
	p.dispatch()
	for range 2 {
		p.callback(second, "rejected", `,"reason":"no such account"`).want(200).expect("status", "rejected")
	}
	p.callback(second, "rejected", "").want(200).expect("status", "rejected")
	p.status(second, "refunded").expect("reason", "no such account")
	p.callback(second, "issued", granted).want(409, "conflict")
	p.methods()
	p.clock.Advance(time.Hour)
	p.dispatch()
	if got := p.methods(); got != nil {
		t.Errorf("what is settled was asked about: %v", got)
	}
	third := p.redeem()
	p.callback(third, "issued", granted).want(409, "conflict") // Nothing was sent yet.
	p.status(third, "reserved")
}

// The callback may overtake the answer to the call.
func TestCallbackBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	redemption := p.redeem()
	p.mu.Lock()
	p.reply = func(w http.ResponseWriter, _ *http.Request, _ string) {
		p.callback(redemption, "issued", granted).want(200)
		w.WriteHeader(202)
		_, _ = io.WriteString(w, `{"status":"accepted"}`)
	}
	p.mu.Unlock()
	p.dispatch()
	p.status(redemption, "issued")
	p.clock.Advance(time.Hour)
	p.dispatch()
	if got := p.methods(); !cmp.Equal(got, []string{"POST"}) {
		t.Errorf("%v", got)
	}
}

// A provider that accepted and does not call is asked.
func TestAcceptedAndForgotten(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(202, `{"status":"accepted"}`)
	redemption := p.redeem()
	p.dispatch()
	p.says(200, `{"redemption_id":"{id}","status":"not_found"}`)
	p.clock.Advance(5 * time.Minute)
	p.dispatch()
	p.status(redemption, "dispatched")
	p.says(200, issuedAnswer)
	p.clock.Advance(5 * time.Second)
	p.dispatch()
	p.status(redemption, "issued")
	if got := p.methods(); !cmp.Equal(got, []string{"POST", "GET", "POST"}) {
		t.Errorf("%v", got)
	}
}

// A provider that accepted, and then is silent for good, leaves an unknown redemption when it was asked for the last time.
func TestAcceptedAndSilentForGood(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(202, `{"status":"accepted"}`)
	redemption := p.redeem()
	p.dispatch()
	p.breaks()
	for range dispatch.DefaultQueries {
		p.status(redemption, "dispatched")
		p.clock.Advance(25 * time.Hour)
		p.dispatch()
	}
	p.status(redemption, "unknown")
	if got := p.outcomes(redemption); len(got) != len(dispatch.DefaultQueries)+1 {
		t.Errorf("%v", got)
	}
	p.methods()
	p.clock.Advance(30 * 24 * time.Hour)
	p.dispatch()
	if got := p.methods(); got != nil {
		t.Errorf("after the last: %v", got)
	}
	p.post("operator", "/v1/redemptions/"+redemption+"/resolve", object{"outcome": "refunded", "evidence": "x"}).want(201)
	p.callback(redemption, "issued", `,"provider_grant_id":"late"`).want(200)
	p.status(redemption, "issued")
}

// A provider that answered that it does not know it, and is gone when it is sent again, is late with it, and operators end that.
func TestNotFoundAndThenGone(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.breaks()
	redemption := p.redeem()
	p.dispatch()
	p.says(200, `{"redemption_id":"{id}","status":"not_found"}`)
	p.clock.Advance(3 * time.Second)
	p.dispatch()
	p.says(410, ``)
	p.clock.Advance(25 * time.Hour)
	p.dispatch()
	p.status(redemption, "dispatched")
	propose := func() *call {
		return p.post("operator", "/v1/redemptions/"+redemption+"/resolve", object{"outcome": "refunded", "evidence": "It has left."})
	}
	propose().want(409, "conflict")
	if n, err := p.api.Redemptions.FollowUpLate(t.Context()); err != nil || n == 0 {
		t.Errorf("%d were escalated, %v", n, err)
	}
	propose().want(201)
	p.status(redemption, "unknown")
}

func TestCallbacksThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(202, `{"status":"accepted"}`)
	redemption := p.redeem()
	p.dispatch()
	before := p.rows()

	unauthenticated := p.callback(redemption, "issued", granted)
	unauthenticated.unsigned = true
	detail := unauthenticated.want(401, "unauthenticated").at("detail")
	for name, sign := range map[string]func(c *call){
		"an hour ago":    func(c *call) { p.signer("provider", time.Hour, c.body)(c.header) },
		"an hour ahead":  func(c *call) { p.signer("provider", -time.Hour, c.body)(c.header) },
		"another body":   func(c *call) { p.signer("provider", 0, []byte("{}"))(c.header) },
		"an API key":     func(c *call) { c.header.Set("Authorization", "Bearer "+p.names["key.provider"]) },
		"another secret": func(c *call) { forge(t, c) },
		"another provider": func(c *call) {
			c.path = p.names.fill("/v1/provider-callbacks/{southwind}")
			p.signer("provider", 0, c.body)(c.header)
		},
		"nobody's provider": func(c *call) {
			c.path = "/v1/provider-callbacks/prov_00000000000000000000000001"
			p.signer("provider", 0, c.body)(c.header)
		},
	} {
		c := p.callback(redemption, "issued", granted)
		c.unsigned = true
		sign(c)
		if got := c.want(401, "unauthenticated"); got.at("detail") != detail {
			t.Errorf("%s: it tells a forger more: %s", name, got.text)
		}
	}
	for data, field := range map[string]string{
		`,"hours":"10"`:                                              "data.provider_grant_id:required",
		`,"provider_grant_id":"g","hours":"20"`:                      "data.hours:too_many",
		`,"provider_grant_id":"g","hours":"4"`:                       "data.hours:too_few",
		`,"provider_grant_id":"g","hours":"20","partial":true`:       "data.hours:too_many",
		`,"provider_grant_id":"g","hours":"10","partial":true`:       "data.partial:not_partial",
		`,"provider_grant_id":"g","partial":true`:                    "data.partial:not_partial",
		`,"provider_grant_id":"g","hours":"1e1"`:                     "data.hours:invalid_value",
		`,"provider_grant_id":"g","hours":"10","unheard_of":"field"`: "data.unheard_of:unknown_field",
	} {
		if got := p.callback(redemption, "issued", data).want(400, "invalid_request"); len(got.fields()) != 1 || got.fields()[0] != field {
			t.Errorf("%s: %v, want %s", data, got.fields(), field)
		}
	}
	p.callback(redemption, "lost", "").want(400, "invalid_request")
	p.callback("rdmp_00000000000000000000000001", "issued", granted).want(404, "not_found")
	sameRows(t, before, p.rows())

	// Another provider, with a secret of its own.
	p.names["secret.southwind"] = p.post("southwind", "/v1/provider/delivery/secrets", `{}`).want(201).string("secret")
	c := p.callback(redemption, "issued", granted)
	c.path, c.unsigned = p.names.fill("/v1/provider-callbacks/{southwind}"), true
	p.signer("southwind", 0, c.body)(c.header)
	c.want(404, "not_found")
	p.status(redemption, "dispatched")
}

func forge(t *testing.T, c *call) {
	t.Helper()
	signer, err := webhook.NewSigner(webhook.NewSecret())
	if err == nil {
		err = signer.Sign(c.header, "msg_1", time.Now(), c.body)
	}
	if err != nil {
		t.Fatal(err)
	}
}
