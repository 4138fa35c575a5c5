package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/outbound/outboundtest"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/push"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// server is the whole API on a database of its own, in which the story of the contract's examples has happened (see world_test.go).
type server struct {
	t  testing.TB
	db *pgtest.Database
	// names has ids and keys by their names in the contract's x-fixtures, and more; see world.
	names   world
	metrics *httpapi.Metrics
	logs    *logBuffer
	handler http.Handler
	api     httpapi.API
	client  *http.Client
}

// settings are what a test may want otherwise.
type settings struct {
	transport httpapi.Transport
	ledger    ledger.Options
	timeout   time.Duration
	// logless keeps no log.
	logless bool
	// secretKeys and outbound are the vault's keys, and how others are called: this machine, and one name that leads nowhere.
	secretKeys vault.Keyring
	outbound   *outbound.Client
}

// keyring returns the keys of every test, and of the story.
func keyring() vault.Keyring {
	ring, err := vault.ParseKeyring(theSecretKeys)
	if err != nil {
		panic(err)
	}
	return ring
}

// theSecretKeys are those of every test, and of the story.
const theSecretKeys = "test:dGhlIHNlY3JldCBrZXkgb2YgdGhlIHRlc3RzLCBub24="

// newServer starts a server with the rights of production. Every answer that its client gets is compared with the contract.
func newServer(t testing.TB, change ...func(*settings)) *server {
	t.Helper()
	db := pgtest.New(t, pgtest.WithSeed("httpapi world", seedWorld))
	s := &server{t: t, db: db, logs: &logBuffer{}, metrics: httpapi.NewMetrics()}
	logger := httpapi.NewLogger(s.logs, slog.LevelInfo)
	set := settings{ledger: ledger.Options{Logger: logger}}
	set.transport = httpapi.Transport{Logger: logger, Metrics: s.metrics, Health: httpapi.NewHealth(logger)}
	set.outbound = outbound.New(outbound.Config{AllowLoopback: true, Resolver: outboundtest.NewNames(t, map[string]string{"hooks.example.com": "8.8.8.8", "northwind.example": "8.8.8.8"}).Resolver()})
	set.secretKeys = keyring()
	for _, c := range change {
		c(&set)
	}
	writes, err := pg.Open(t.Context(), pg.Config{URL: db.AppURL, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	api, stop := newAPI(db.App, writes, &set)
	if !set.logless {
		api.Log = newLog(t, db.App)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Errorf("the server does not stop: %v", err)
		}
		writes.Close()
	})
	s.handler, s.api = httpapi.New(api, set.transport), api
	s.client = &http.Client{Transport: validated{t: t, handler: s.handler, contract: theContract(t)}}
	s.names = readWorld(t, db.Pool)
	return s
}

// newLog returns a log of the tests' own, in which nothing is published yet.
func newLog(t testing.TB, pool *pgxpool.Pool) *translog.Log {
	t.Helper()
	skey, err := translog.NewKey("log.example.com/ballast")
	if err != nil {
		t.Fatal(err)
	}
	key, err := translog.ParseKey(skey)
	if err != nil {
		t.Fatal(err)
	}
	log, err := translog.Open(pool, t.TempDir(), key)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// publish puts into the log what is committed, and has the last checkpoint stand for a witnessed one.
func (s *server) publish() {
	s.t.Helper()
	log := s.api.Log
	if _, err := translog.NewIntegrator(s.db.App, ledger.NewHorizon(s.db.App), log.Store, log.Key).Step(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	checkpoint, err := log.File("checkpoint")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := log.Store.Publish("checkpoint.witnessed", checkpoint); err != nil {
		s.t.Fatal(err)
	}
	s.names["tile_path"] = "entries/000.p/" + strings.Split(string(checkpoint), "\n")[1]
}

// newAPI wires the domain as a program does.
func newAPI(reads, writes *pgxpool.Pool, set *settings) (httpapi.API, func(context.Context) error) {
	books := ledger.New(reads, writes, set.ledger)
	keeper := vault.New(set.secretKeys, reads)
	keys := access.NewAuthenticator(reads, set.transport.Logger)
	set.transport.Authenticate = keys.Authenticate
	feed := events.NewFeed(reads, books, ledger.NewHorizon(reads))
	api := httpapi.API{
		Ledger: books, Auditor: ledger.NewAuditor(reads, set.transport.Logger, redeem.CheckJournal, providers.CheckJournal, anchor.CheckIndex), Access: access.NewStore(reads),
		Providers: providers.NewStore(reads, books), Coverage: coverage.NewStore(reads), Redemptions: redeem.New(reads, books), Pool: reads, RequestTimeout: set.timeout,
		Vault: keeper, Vouchers: voucher.NewStore(reads, keeper), Outbound: set.outbound,
		Feed: feed, Webhooks: events.NewWebhooks(reads, feed, keeper),
	}
	api.Secrets = push.NewSecrets(reads, api.Vault)
	api.Callbacks = push.NewCallbacks(api.Redemptions, api.Secrets)
	api.Dispatcher = dispatch.New(reads, api.Redemptions, push.NewCaller(set.outbound, api.Secrets), dispatch.Options{Steady: true, Logger: set.transport.Logger})
	return api, func(ctx context.Context) error {
		err := books.Close(ctx)
		if closing := keys.Close(ctx); err == nil {
			err = closing
		}
		return err
	}
}

// logBuffer is a log that several goroutines write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// object is a JSON object.
type object = map[string]any

// reply is an answer, read to its end.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	text   []byte
	body   object
	ask    string
}

// call is a request that is being put together.
type call struct {
	s            *server
	method, path string
	body         []byte
	header       http.Header
	// unsigned leaves a callback as it is. Others are signed by Northwind.
	unsigned bool
}

var keyCounter atomic.Int64

// as begins a request with the key of a name, such as "operator"; "" is nobody. A POST gets a fresh idempotency key.
func (s *server) as(who, method, path string, body any) *call {
	s.t.Helper()
	c := &call{s: s, method: method, path: s.names.fill(path), header: http.Header{}}
	switch b := body.(type) {
	case nil:
	case string:
		c.body = []byte(s.names.fill(b))
	case []byte:
		c.body = b
	default:
		text, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		c.body = []byte(s.names.fill(string(text)))
	}
	if who != "" {
		c.header.Set("Authorization", "Bearer "+s.names.key(s.t, who))
	}
	if c.body != nil {
		c.header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost && path != "/v1/transfers/batch" {
		c.header.Set("Idempotency-Key", "test-"+strconv.FormatInt(keyCounter.Add(1), 10))
	}
	return c
}

func (c *call) with(name, value string) *call {
	c.header.Set(name, value)
	return c
}

// signer returns what signs a message of a provider of the world, some time ago.
func (s *server) signer(who string, ago time.Duration, body []byte) func(http.Header) {
	s.t.Helper()
	signer, err := webhook.NewSigner(s.names["secret."+who])
	if err != nil {
		s.t.Fatal(err)
	}
	return func(h http.Header) {
		if err := signer.Sign(h, "msg_1", time.Now().Add(-ago), body); err != nil {
			s.t.Fatal(err)
		}
	}
}

// send makes the request.
func (c *call) send() *reply {
	t := c.s.t
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), c.method, "http://ballast.test"+c.path, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	maps.Copy(r.Header, c.header)
	if strings.HasPrefix(c.path, "/v1/provider-callbacks/") && !c.unsigned {
		c.s.signer("provider", 0, c.body)(r.Header)
	}
	res, err := c.s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It is in memory.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := &reply{t: t, status: res.StatusCode, header: res.Header, text: text, ask: c.method + " " + c.path}
	if strings.HasSuffix(strings.Split(res.Header.Get("Content-Type"), ";")[0], "json") {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&got.body); err != nil {
			t.Errorf("%s: not JSON: %s", got.ask, text)
		}
	}
	return got
}

// want fails the test unless the answer has the status and, for an error, the code.
func (c *call) want(status int, code ...string) *reply {
	c.s.t.Helper()
	got := c.send()
	if got.status != status || len(code) > 0 && got.body["code"] != code[0] {
		c.s.t.Fatalf("%s: answered %d %s, want %d %v", got.ask, got.status, got.text, status, code)
	}
	return got
}

func (s *server) get(who, path string) *call {
	s.t.Helper()
	return s.as(who, http.MethodGet, path, nil)
}

func (s *server) post(who, path string, body any) *call {
	s.t.Helper()
	return s.as(who, http.MethodPost, path, body)
}

// at returns what is at a path such as "data.0.id".
func (r *reply) at(path string) any {
	r.t.Helper()
	var v any = r.body
	for part := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case object:
			v = in[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(in) {
				r.t.Fatalf("%s: there is no %s in %s", r.ask, path, r.text)
			}
			v = in[i]
		default:
			r.t.Fatalf("%s: there is no %s in %s", r.ask, path, r.text)
		}
	}
	return v
}

func (r *reply) string(path string) string {
	r.t.Helper()
	text, ok := r.at(path).(string)
	if !ok {
		r.t.Fatalf("%s: %s is no string in %s", r.ask, path, r.text)
	}
	return text
}

// expect compares values at paths, given as path, value, path, value. Numbers are compared as they are written.
func (r *reply) expect(pairs ...any) *reply {
	r.t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		path, want := pair[0].(string), pair[1]
		got := r.at(path)
		if n, ok := got.(json.Number); ok {
			got = n.String()
		}
		if got != want {
			r.t.Errorf("%s: %s is %v, want %v", r.ask, path, got, want)
		}
	}
	return r
}

// ids returns the ids of a page.
func (r *reply) ids() []string {
	r.t.Helper()
	ids := []string{}
	for _, item := range r.at("data").([]any) {
		ids = append(ids, item.(object)["id"].(string))
	}
	return ids
}

// fields returns what an answer says is wrong, as field:code.
func (r *reply) fields() []string {
	r.t.Helper()
	var fields []string
	list, _ := r.body["errors"].([]any)
	for _, e := range list {
		fields = append(fields, e.(object)["field"].(string)+":"+e.(object)["code"].(string))
	}
	return fields
}

// rows counts the rows of every table but those that a request may touch without having an effect: last uses are columns.
func (s *server) rows() map[string]int64 {
	s.t.Helper()
	ctx := s.t.Context()
	found, err := s.db.Pool.Query(ctx, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`)
	if err != nil {
		s.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(tables)
	counts := make(map[string]int64, len(tables))
	for _, table := range tables {
		var n int64
		if err := s.db.Pool.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()).Scan(&n); err != nil {
			s.t.Fatal(err)
		}
		counts[table] = n
	}
	return counts
}

func freshKey() string { return uuid.NewString() }

func sameRows(t testing.TB, before, after map[string]int64) {
	t.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("rows were written (-before +after):\n%s", diff)
	}
}
