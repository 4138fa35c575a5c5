package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// payers are clients that never give up: each sends one transfer after another, and repeats one, under its key, until it is
// answered with 201, whatever happens to the servers meanwhile.
type payers struct {
	t        *testing.T
	url      atomic.Pointer[string]
	key      string
	from, to []string
	stop     atomic.Bool
	wg       sync.WaitGroup
	// acknowledged counts keys that were answered, repeats the answers that were replays: effects whose first answer was lost.
	acknowledged, repeats, broken atomic.Int64
	mu                            sync.Mutex
	transactions                  map[string]string // by key
}

const payerCount = 16

func startPayers(t *testing.T, owner *pgxpool.Pool, url string) *payers {
	t.Helper()
	p := &payers{t: t, transactions: map[string]string{}}
	p.url.Store(&url)
	p.fund(owner)
	for i := range payerCount {
		p.wg.Go(func() { p.pay(i) })
	}
	return p
}

func (p *payers) fund(owner *pgxpool.Pool) {
	p.t.Helper()
	ctx := p.t.Context()
	store := access.NewStore(owner)
	holder, err := store.CreateHolder(ctx, access.NewHolder{Name: "payer"})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, p.key, err = store.CreateKey(ctx, access.NewKey{Role: access.RoleHolder, HolderID: holder.ID, Name: "payer"}); err != nil {
		p.t.Fatal(err)
	}
	provider := id.New()
	execute(p.t, owner, fmt.Sprintf(`INSERT INTO providers (id, name) VALUES ('%s', 'issuer')`, provider))
	issuance := p.open(owner, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: provider})
	books := ledger.New(owner, owner, ledger.Options{})
	for range payerCount {
		from := p.open(owner, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: holder.ID})
		to := p.open(owner, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: holder.ID})
		v := books.Submit(ctx, &ledger.Command{
			Kind: ledger.KindMint, Call: ledger.Call{Caller: provider, Digest: uuid.New(), Request: uuid.New()},
			Moves: []ledger.Move{{From: issuance, To: from, Amount: money.Micros(1_000_000_000_000)}},
		})[0]
		if v.Err != nil {
			p.t.Fatal(v.Err)
		}
		p.from, p.to = append(p.from, id.Format(id.Account, from)), append(p.to, id.Format(id.Account, to))
	}
	if err := books.Close(ctx); err != nil {
		p.t.Fatal(err)
	}
}

func (p *payers) open(owner *pgxpool.Pool, n ledger.NewAccount) uuid.UUID {
	p.t.Helper()
	a, err := ledger.OpenTx(p.t.Context(), owner, n)
	if err != nil {
		p.t.Fatal(err)
	}
	return a.ID
}

func (p *payers) pay(who int) {
	for n := 0; !p.stop.Load(); n++ {
		key := fmt.Sprintf("payer-%d-%d", who, n)
		for !p.attempt(key, p.from[who], p.to[n%payerCount]) {
			if p.t.Context().Err() != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		p.acknowledged.Add(1)
	}
}

// attempt tells whether the transfer was acknowledged.
func (p *payers) attempt(key, from, to string) bool {
	ctx, cancel := context.WithTimeout(p.t.Context(), 15*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"from_account":%q,"to_account":%q,"amount":"0.000001"}`, from, to)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, *p.url.Load()+"/v1/transfers", bytes.NewReader([]byte(body)))
	if err != nil {
		p.t.Error(err)
		return true
	}
	request.Header.Set("Authorization", "Bearer "+p.key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.broken.Add(1)
		return false
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.broken.Add(1)
		return false
	}
	switch response.StatusCode {
	case http.StatusCreated:
		p.note(key, text, response.Header.Get("Idempotency-Replayed") == "true")
		return true
	case http.StatusServiceUnavailable, http.StatusConflict:
		p.broken.Add(1)
		return false
	}
	p.t.Errorf("%s was answered %d: %s", key, response.StatusCode, text)
	return true
}

func (p *payers) note(key string, answer []byte, replayed bool) {
	var transfer struct{ ID string }
	if err := json.Unmarshal(answer, &transfer); err != nil || transfer.ID == "" {
		p.t.Errorf("%s: not a transfer: %s", key, answer)
	}
	if replayed {
		p.repeats.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transactions[key] = transfer.ID
}

// awaitProgress returns when so many more transfers were acknowledged.
func (p *payers) awaitProgress(more int64) {
	p.t.Helper()
	want := p.acknowledged.Load() + more
	for deadline := time.Now().Add(patience); p.acknowledged.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || p.t.Failed() {
			p.t.Fatalf("no progress in %v", patience)
		}
	}
}

// settle ends the clients and holds what they were told against the journal.
func (p *payers) settle(owner *pgxpool.Pool) {
	p.t.Helper()
	p.stop.Store(true)
	p.wg.Wait()
	var made int64
	if err := owner.QueryRow(p.t.Context(), `SELECT count(*) FROM transactions WHERE kind = 'transfer'`).Scan(&made); err != nil {
		p.t.Fatal(err)
	}
	if acknowledged := p.acknowledged.Load(); made != acknowledged {
		p.t.Errorf("%d transfers acknowledged, %d in the journal", acknowledged, made)
	}
	p.mustHaveCommitted(owner)
	for _, check := range []func(context.Context, ledger.Querier) ([]ledger.Check, error){ledger.CheckBalances, ledger.CheckJournal} {
		checks, err := check(p.t.Context(), owner)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, c := range checks {
			if !c.OK {
				p.t.Errorf("%s: %s", c.Name, c.Detail)
			}
		}
	}
	p.t.Logf("%d transfers acknowledged, %d in the journal, %d answers lost and repeated, %d attempts without an answer of success",
		p.acknowledged.Load(), made, p.repeats.Load(), p.broken.Load())
}

// mustHaveCommitted finds every transaction that a client was told of.
func (p *payers) mustHaveCommitted(owner *pgxpool.Pool) {
	p.t.Helper()
	told := make([]uuid.UUID, 0, len(p.transactions))
	for key, text := range p.transactions {
		transaction, err := id.Parse(id.Txn, text)
		if err != nil {
			p.t.Fatalf("%s: %q: %v", key, text, err)
		}
		told = append(told, transaction)
	}
	var found int
	if err := owner.QueryRow(p.t.Context(), `SELECT count(*) FROM transactions WHERE id = ANY($1)`, told).Scan(&found); err != nil {
		p.t.Fatal(err)
	}
	if found != len(told) {
		p.t.Errorf("clients were told of %d transactions, %d exist", len(told), found)
	}
}

// kills is how often a crash test kills; BALLAST_LONG=1 makes it the full number.
func kills(full int) int {
	if os.Getenv("BALLAST_LONG") == "1" {
		return full
	}
	return 3
}

func TestKillingTheAPILosesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, seeded())
	api := startServe(t, db.AppURL)
	p := startPayers(t, db.Pool, api.url)
	for range kills(200) {
		p.awaitProgress(20)
		api.signal(syscall.SIGKILL)
		api = startServe(t, db.AppURL)
		p.url.Store(&api.url)
	}
	p.awaitProgress(20)
	p.settle(db.Pool)
	if code := api.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("a graceful end has code %d", code)
	}
}

// With a queue that is far too short, most requests are answered 503 at once, and those that are let in go on being served.
func TestOverloadRefusesAndGoesOn(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, seeded())
	api := startServe(t, db.AppURL, "BALLAST_MAX_QUEUE=2")
	p := startPayers(t, db.Pool, api.url)
	p.awaitProgress(300)
	for deadline := time.Now().Add(patience); p.broken.Load() < 50; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients on a queue of two, and only %d were refused", payerCount, p.broken.Load())
		}
	}
	p.awaitProgress(300)
	p.settle(db.Pool)
}

func TestKillingPostgresLosesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.ServerOptions{Supervised: true})
	db := server.NewDatabase(seeded())
	api := startServe(t, db.AppURL)
	p := startPayers(t, db.Pool, api.url)
	for range kills(50) {
		p.awaitProgress(20)
		server.Kill()
	}
	awaitPostmaster(t, db.URL)
	p.awaitProgress(20)
	p.settle(db.Pool)
}

// awaitPostmaster returns when a new connection is accepted. Progress alone does not show that: orphans of a postmaster that was
// killed serve the connections that they have for a moment longer.
func awaitPostmaster(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), url)
		if err == nil {
			_ = conn.Close(t.Context())
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Postgres has not come back: %v", err)
		}
	}
}
