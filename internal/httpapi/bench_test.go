package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// These measure what the program itself spends, Postgres not counted: "cpu-µs/transfer" is the process's own time on all cores,
// from the edge of HTTP to the wire of Postgres and back.
//
//	go test ./internal/httpapi -run '^$' -bench . -benchtime 3s -cpuprofile cpu.out

// discard is a ResponseWriter without a connection.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func (s *server) ask(b *testing.B, path, body, key string, want int) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, path, io.NopCloser(bytes.NewReader([]byte(body))))
	if err != nil {
		b.Error(err)
		return
	}
	r.ContentLength, r.RemoteAddr = int64(len(body)), "192.0.2.7:4711"
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Authorization"] = []string{"Bearer " + s.names["key.operator"]}
	if key != "" {
		r.Header["Idempotency-Key"] = []string{key}
	}
	w := &discard{header: make(http.Header, 16)}
	if s.handler.ServeHTTP(w, r); w.status != want {
		b.Errorf("answered %d", w.status)
	}
}

func BenchmarkTransfer(b *testing.B) {
	s := newServer(b)
	there := s.names.fill(`{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"0.000001","reference":"INV-2026-0042"}`)
	back := s.names.fill(`{"from_account":"{bob_account}","to_account":"{alice_account}","amount":"0.000001","reference":"INV-2026-0042"}`)
	var n atomic.Int64
	b.SetParallelism(128)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			body := there
			if i%2 == 0 {
				body = back
			}
			s.ask(b, "/v1/transfers", body, "bench-"+strconv.FormatInt(i, 10), http.StatusCreated)
		}
	})
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/transfer")
}

func BenchmarkBatch(b *testing.B) {
	const size = 1000
	s := newServer(b)
	bodies := make([]string, b.N)
	for i := range bodies {
		var body bytes.Buffer
		body.WriteString(`{"mode":"independent","transfers":[`)
		for j := range size {
			if j > 0 {
				body.WriteByte(',')
			}
			from, to := "alice_account", "bob_account"
			if j%2 == 0 {
				from, to = to, from
			}
			fmt.Fprintf(&body, `{"idempotency_key":"bench-%d-%d","from_account":"%s","to_account":"%s","amount":"0.000001","reference":"payroll"}`,
				i, j, s.names[from], s.names[to])
		}
		body.WriteString(`]}`)
		bodies[i] = body.String()
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for i := range b.N {
		s.ask(b, "/v1/transfers/batch", bodies[i], "", http.StatusOK)
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N*size), "cpu-µs/transfer")
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "transfers/s")
}
