package problem_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/problem"
)

func answer(t *testing.T, target string, p problem.Problem) (*http.Response, map[string]any) {
	t.Helper()
	rec := httptest.NewRecorder()
	rec.Header().Set(problem.RequestIDHeader, "req_1")
	problem.Write(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, nil), p)
	res := rec.Result()
	t.Cleanup(func() { _ = res.Body.Close() })
	var doc map[string]any
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		t.Fatalf("the answer is not JSON: %v", err)
	}
	return res, doc
}

func TestWriteFillsInWhatFollowsFromTheRequest(t *testing.T) {
	t.Parallel()
	res, doc := answer(t, "/v1/transfers?secret=1", problem.New(422, "insufficient_funds", "Too little.",
		problem.FieldError{Field: "transfers[3].amount", Code: "too_large", Detail: "More than there is."}))
	want := map[string]any{
		"type": "urn:ballast:problem:insufficient_funds", "title": "Insufficient funds", "status": 422.0,
		"detail": "Too little.", "instance": "/v1/transfers", "code": "insufficient_funds", "request_id": "req_1",
		"errors": []any{map[string]any{"field": "transfers[3].amount", "code": "too_large", "detail": "More than there is."}},
	}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Error(diff)
	}
	if res.StatusCode != 422 || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d, content type %q", res.StatusCode, res.Header.Get("Content-Type"))
	}
	if res.Header.Get("Retry-After") != "" {
		t.Error("a refusal is not to be retried as it is")
	}
}

func TestOverloadAlwaysSaysWhenToRetry(t *testing.T) {
	t.Parallel()
	for status, p := range map[int]problem.Problem{
		429: {Status: 429, Code: "rate_limited"},
		503: {Status: 503, Code: "unavailable"},
	} {
		if res, _ := answer(t, "/", p); res.Header.Get("Retry-After") != "1" {
			t.Errorf("%d: Retry-After is %q", status, res.Header.Get("Retry-After"))
		}
	}
	if res, _ := answer(t, "/", problem.Problem{Status: 503, Code: "unavailable", RetryAfterSeconds: 7}); res.Header.Get("Retry-After") != "7" {
		t.Error("a given Retry-After is not kept")
	}
}

func TestWriteSurvivesWhatItShouldNeverBeGiven(t *testing.T) {
	t.Parallel()
	res, doc := answer(t, "/"+strings.Repeat("a", 300), problem.Problem{Status: 200, Detail: "bad \xff <b>"})
	if res.StatusCode != 500 || doc["code"] != "internal" || doc["detail"] != "bad \ufffd <b>" {
		t.Errorf("status %d, document %v", res.StatusCode, doc)
	}
	if _, ok := doc["instance"]; ok {
		t.Error("an overlong path is repeated")
	}
}

func BenchmarkWrite(b *testing.B) {
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/transfers", nil)
	p := problem.New(422, "insufficient_funds", "The account holds less than the amount.")
	b.ReportAllocs()
	for b.Loop() {
		problem.Write(httptest.NewRecorder(), r, p)
	}
}
