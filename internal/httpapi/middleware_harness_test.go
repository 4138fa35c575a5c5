package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/problem"
)

const (
	operatorSecret = "blst_operator_key_that_only_tests_use"
	holderSecret   = "blst_holder_key_that_only_tests_use_"
	// brokenSecret is a key that cannot be checked, because the database is gone.
	brokenSecret = "blst_database_gone_while_tests_look_"
)

var (
	operator = access.Principal{ID: uuid.UUID{1}, KeyID: uuid.UUID{11}, Role: access.RoleOperator}
	holder   = access.Principal{ID: uuid.UUID{2}, KeyID: uuid.UUID{22}, Role: access.RoleHolder, HolderID: uuid.UUID{2}}
)

// authenticateTestKey stands for access.Authenticator, which has tests of its own.
func authenticateTestKey(_ context.Context, key string) (access.Principal, error) {
	switch key {
	case operatorSecret:
		return operator, nil
	case holderSecret:
		return holder, nil
	case brokenSecret:
		return access.Principal{}, access.ErrUnavailable
	default:
		return access.Principal{}, access.ErrUnauthenticated
	}
}

// logLines is a log that several goroutines write and a test reads.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// with returns the lines that have the message.
func (l *logLines) with(t testing.TB, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("a log line is not JSON: %s", line)
		}
		if fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// newTransport returns a transport as a server has it, logging to the lines.
func newTransport(change func(*Transport)) (Transport, *logLines) {
	lines := new(logLines)
	logger := NewLogger(lines, slog.LevelDebug)
	t := Transport{Logger: logger, Authenticate: authenticateTestKey, Metrics: NewMetrics(), Health: NewHealth(logger)}
	if change != nil {
		change(&t)
	}
	return t, lines
}

// writeTestError is an error table with one row.
func writeTestError(w http.ResponseWriter, r *http.Request, err error) {
	problem.Write(w, r, problem.New(http.StatusTeapot, "teapot", err.Error()))
}

func ok(w http.ResponseWriter, _ *http.Request) error {
	_, err := io.WriteString(w, "ok")
	return err
}

var everyRole = []access.Role{access.RoleOperator, access.RoleHolder}

// serve answers one request by the routes of a fresh transport.
func serve(t testing.TB, r *http.Request, routes ...route) *http.Response {
	t.Helper()
	tr, _ := newTransport(nil)
	return ask(t, tr.handler(routes, writeTestError), r)
}

func ask(t testing.TB, h http.Handler, r *http.Request) *http.Response {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	res := rec.Result()
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// request makes a request with headers given as name, value, name, value.
func request(method, target, body string, headers ...string) *http.Request {
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(context.Background(), method, target, b)
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	return r
}

func bearer(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

// code returns the code of a problem document, after checking that it is one.
func code(t testing.TB, res *http.Response) string {
	t.Helper()
	var p problem.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		t.Fatalf("status %d without a problem document: %v", res.StatusCode, err)
	}
	if res.Header.Get("Content-Type") != problem.ContentType || p.Status != res.StatusCode || p.RequestID != res.Header.Get("X-Request-Id") {
		t.Errorf("the document %+v does not fit status %d and headers %v", p, res.StatusCode, res.Header)
	}
	return p.Code
}
