package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/problem"
	"github.com/ballast-compute/ballast/internal/strictjson"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	const plain, invalid = `Bearer realm="ballast"`, `Bearer realm="ballast", error="invalid_token"`
	for name, tt := range map[string]struct {
		headers   []string
		status    int
		challenge string
	}{
		"no key":           {nil, 401, plain},
		"a key":            {bearer(operatorSecret), 200, ""},
		"scheme in any":    {[]string{"Authorization", "bEARER " + operatorSecret}, 200, ""},
		"another scheme":   {[]string{"Authorization", "Basic " + operatorSecret}, 401, plain},
		"no scheme":        {[]string{"Authorization", operatorSecret}, 401, plain},
		"scheme alone":     {[]string{"Authorization", "Bearer "}, 401, invalid},
		"a wrong key":      {bearer("nonsense"), 401, invalid},
		"two keys":         {append(bearer(operatorSecret), bearer(operatorSecret)...), 401, plain},
		"database is gone": {bearer(brokenSecret), 503, ""},
	} {
		res := serve(t, request(http.MethodGet, "/v1/things?key="+operatorSecret, "", tt.headers...),
			route{method: http.MethodGet, pattern: "/v1/things", roles: everyRole, handler: ok})
		if res.StatusCode != tt.status || res.Header.Get("WWW-Authenticate") != tt.challenge {
			t.Errorf("%s: status %d, challenge %q", name, res.StatusCode, res.Header.Get("WWW-Authenticate"))
		}
		switch res.StatusCode {
		case 401:
			if got := code(t, res); got != "unauthenticated" {
				t.Errorf("%s: %s", name, got)
			}
		case 503:
			if got := code(t, res); got != "unavailable" || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s, Retry-After %q", name, got, res.Header.Get("Retry-After"))
			}
		}
	}
}

func TestHandlersLearnWhoCalls(t *testing.T) {
	t.Parallel()
	var got access.Principal
	serve(t, request(http.MethodGet, "/v1/things", "", bearer(holderSecret)...), route{
		method: http.MethodGet, pattern: "/v1/things",
		roles: everyRole, handler: func(_ http.ResponseWriter, r *http.Request) error {
			got = principalOf(r.Context())
			return nil
		},
	})
	if diff := cmp.Diff(holder, got); diff != "" {
		t.Error(diff)
	}
	if principalOf(t.Context()) != (access.Principal{}) {
		t.Error("somebody calls outside of a request")
	}
}

func TestOnlyTheRoutesRolesMayCall(t *testing.T) {
	t.Parallel()
	things := route{method: http.MethodGet, pattern: "/v1/things", roles: []access.Role{access.RoleOperator}, handler: ok}
	nobody := route{method: http.MethodGet, pattern: "/v1/nothing", roles: []access.Role{}, handler: ok}
	if res := serve(t, request(http.MethodGet, "/v1/things", "", bearer(operatorSecret)...), things); res.StatusCode != 200 {
		t.Errorf("the operator gets %d", res.StatusCode)
	}
	if res := serve(t, request(http.MethodGet, "/v1/things", "", bearer(holderSecret)...), things); res.StatusCode != 403 || code(t, res) != "forbidden" {
		t.Errorf("a holder gets %d", res.StatusCode)
	}
	if res := serve(t, request(http.MethodGet, "/v1/nothing", "", bearer(operatorSecret)...), nobody); res.StatusCode != 403 {
		t.Errorf("a route for no role answers %d", res.StatusCode)
	}
}

func TestPathsAndMethodsThatAreNotThere(t *testing.T) {
	t.Parallel()
	routes := []route{
		{method: http.MethodGet, pattern: "/v1/things/{id}", handler: ok},
		{method: http.MethodPost, pattern: "/v1/things/{id}", handler: ok},
		{method: http.MethodPost, pattern: "/v1/things", handler: ok},
	}
	for name, tt := range map[string]struct {
		method, path string
		status       int
		allow        string
	}{
		"unknown path":            {http.MethodGet, "/v1/nothing", 404, ""},
		"trailing slash":          {http.MethodPost, "/v1/things/", 404, ""},
		"unknown method":          {http.MethodDelete, "/v1/things/1", 405, "GET, HEAD, POST"},
		"GET of a POST":           {http.MethodGet, "/v1/things", 405, "POST"},
		"HEAD of a POST":          {http.MethodHead, "/v1/things", 405, "POST"},
		"HEAD of a GET":           {http.MethodHead, "/v1/things/1", 200, ""},
		"OPTIONS":                 {http.MethodOptions, "/v1/things", 405, "POST"},
		"invented method":         {"MADEUP", "/v1/things", 405, "POST"},
		"invented method nowhere": {"MADEUP", "/v1/nothing", 404, ""},
		"escaped path":            {http.MethodDelete, "/v1/things/a%2Fb", 405, "GET, HEAD, POST"},
	} {
		res := serve(t, request(tt.method, tt.path, ""), routes...)
		if res.StatusCode != tt.status || res.Header.Get("Allow") != tt.allow {
			t.Errorf("%s: status %d, Allow %q", name, res.StatusCode, res.Header.Get("Allow"))
		}
		if want := map[int]string{404: "not_found", 405: "method_not_allowed"}[tt.status]; want != "" && code(t, res) != want {
			t.Errorf("%s: not %s", name, want)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	post := route{method: http.MethodPost, pattern: "/", handler: ok}
	for _, tt := range []struct {
		body    string
		headers []string
		status  int
	}{
		{"{}", []string{"Content-Type", "application/json"}, 200},
		{"{}", []string{"Content-Type", "Application/JSON; charset=UTF-8"}, 200},
		{"{}", []string{"Content-Type", `application/json;charset="utf-8"`}, 200},
		{"{}", []string{"Content-Type", "application/json", "Content-Encoding", "identity"}, 200},
		{"", nil, 200},
		{"{}", nil, 415},
		{"{}", []string{"Content-Type", "text/plain"}, 415},
		{"{}", []string{"Content-Type", "application/json; charset=latin1"}, 415},
		{"{}", []string{"Content-Type", "application/jsonp"}, 415},
		{"{}", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"{}", []string{"Content-Type", "application/json;;;"}, 415},
		{"{}", []string{"Content-Type", "application/json", "Content-Type", "text/plain"}, 415},
		{"{}", []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 415},
	} {
		res := serve(t, request(http.MethodPost, "/", tt.body, tt.headers...), post)
		if res.StatusCode != tt.status || tt.status == 415 && code(t, res) != "unsupported_media_type" {
			t.Errorf("%q with %v: %d", tt.body, tt.headers, res.StatusCode)
		}
	}
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	var fault error
	small := route{method: http.MethodPost, pattern: "/", maxBodyBytes: 20, handler: func(w http.ResponseWriter, r *http.Request) error {
		var into struct {
			Name string `json:"name"`
		}
		fault = decode(r, &into)
		return ok(w, r)
	}}
	fits, large := `{"name":"0123456789`[:18]+`"}`, `{"name":"0123456789"}`
	if len(fits) != 20 || len(large) != 21 {
		t.Fatal("the bodies are not what the test needs")
	}
	if res := serve(t, request(http.MethodPost, "/", fits, "Content-Type", "application/json"), small); res.StatusCode != 200 || fault != nil {
		t.Errorf("at the limit: %d, %v", res.StatusCode, fault)
	}
	if res := serve(t, request(http.MethodPost, "/", large, "Content-Type", "application/json"), small); res.StatusCode != 413 || code(t, res) != "payload_too_large" {
		t.Errorf("past the limit: %d", res.StatusCode)
	}
	r := request(http.MethodPost, "/", large, "Content-Type", "application/json")
	r.ContentLength = -1 // Sent in chunks, so nobody knows the size before the end.
	serve(t, r, small)
	if e, ok := errors.AsType[*strictjson.Error](fault); !ok || e.Code != strictjson.TooLarge {
		t.Errorf("past the limit, in chunks: %v", fault)
	}
}

func TestBodiesAreCutOffForWhoeverReadsThem(t *testing.T) {
	t.Parallel()
	var read int
	r := request(http.MethodPost, "/", strings.Repeat("x", 1<<20), "Content-Type", "application/json")
	r.ContentLength = -1
	serve(t, r, route{method: http.MethodPost, pattern: "/", maxBodyBytes: 100, handler: func(_ http.ResponseWriter, r *http.Request) error {
		b, _ := io.ReadAll(r.Body)
		read = len(b)
		return nil
	}})
	if read != 100 {
		t.Errorf("%d bytes were read", read)
	}
}

func TestIdempotencyKeyIsRequired(t *testing.T) {
	t.Parallel()
	var got idempotency.Key
	var digest [16]byte
	post := route{method: http.MethodPost, pattern: "/", roles: everyRole, idempotent: true, handler: func(_ http.ResponseWriter, r *http.Request) error {
		got, digest = idempotencyOf(r.Context())
		return nil
	}}
	for name, tt := range map[string]struct {
		headers []string
		fault   string
	}{
		"missing":   {nil, "required"},
		"empty":     {[]string{"Idempotency-Key", ""}, "required"},
		"too long":  {[]string{"Idempotency-Key", strings.Repeat("k", 256)}, "invalid_value"},
		"not ASCII": {[]string{"Idempotency-Key", "é"}, "invalid_value"},
		"twice":     {[]string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, "invalid_value"},
	} {
		res := serve(t, request(http.MethodPost, "/", "", append(bearer(holderSecret), tt.headers...)...), post)
		var p problem.Problem
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != 400 || p.Code != "invalid_request" ||
			len(p.Errors) != 1 || p.Errors[0].Field != "Idempotency-Key" || p.Errors[0].Code != tt.fault {
			t.Errorf("%s: %d, %+v, %v", name, res.StatusCode, p, err)
		}
	}
	want := idempotency.Key{Caller: holder.ID, Key: "order 1"}
	res := serve(t, request(http.MethodPost, "/", "", append(bearer(holderSecret), "Idempotency-Key", "order 1")...), post)
	if res.StatusCode != 200 || got != want || digest != want.Digest() {
		t.Errorf("status %d, key %+v", res.StatusCode, got)
	}
}

func TestASecondCallWaitsItsTurn(t *testing.T) {
	t.Parallel()
	tr, _ := newTransport(nil)
	started, release := make(chan struct{}), make(chan struct{})
	h := tr.handler([]route{{method: http.MethodPost, pattern: "/", roles: everyRole, idempotent: true, handler: func(w http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("Wait") != "" {
			close(started)
			<-release
		}
		return ok(w, r)
	}}}, writeTestError)
	post := func(key string, more ...string) *http.Response {
		return ask(t, h, request(http.MethodPost, "/", "", append(append(bearer(holderSecret), "Idempotency-Key", key), more...)...))
	}
	first := make(chan int)
	go func() { first <- post("a", "Wait", "yes").StatusCode }()
	<-started
	if res := post("a"); res.StatusCode != 409 || code(t, res) != "idempotency_in_progress" {
		t.Errorf("the second call: %d", res.StatusCode)
	}
	if res := post("b"); res.StatusCode != 200 {
		t.Errorf("another key: %d", res.StatusCode)
	}
	close(release)
	if status := <-first; status != 200 {
		t.Errorf("the first call: %d", status)
	}
	if res := post("a"); res.StatusCode != 200 {
		t.Errorf("after the first: %d", res.StatusCode)
	}
}

func TestAPanicGivesTheKeyBack(t *testing.T) {
	t.Parallel()
	tr, _ := newTransport(nil)
	h := tr.handler([]route{{method: http.MethodPost, pattern: "/", roles: everyRole, idempotent: true, handler: func(http.ResponseWriter, *http.Request) error {
		panic("always")
	}}}, writeTestError)
	for range 2 {
		if res := ask(t, h, request(http.MethodPost, "/", "", append(bearer(holderSecret), "Idempotency-Key", "a")...)); res.StatusCode != 500 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
}

// Who calls is judged before what is sent, so that strangers learn nothing about requests.
func TestGuardsJudgeInOrder(t *testing.T) {
	t.Parallel()
	post := route{method: http.MethodPost, pattern: "/", roles: []access.Role{access.RoleOperator}, idempotent: true, maxBodyBytes: 1, handler: ok}
	headers := []string{}
	for i, step := range []struct {
		add  []string
		body string
		want int
	}{
		{nil, "xx", 401},
		{bearer(holderSecret), "xx", 403},
		{bearer(operatorSecret), "xx", 415},
		{append(bearer(operatorSecret), "Content-Type", "application/json"), "xx", 413},
		{append(bearer(operatorSecret), "Content-Type", "application/json"), "x", 400},
		{append(bearer(operatorSecret), "Content-Type", "application/json", "Idempotency-Key", "a"), "x", 200},
	} {
		if res := serve(t, request(http.MethodPost, "/", step.body, append(headers, step.add...)...), post); res.StatusCode != step.want {
			t.Errorf("step %d: %d, want %d", i, res.StatusCode, step.want)
		}
	}
}
