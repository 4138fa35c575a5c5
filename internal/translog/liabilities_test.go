package translog

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/sumtree"
)

func (w *world) liabilities(o LiabilitiesOptions) *Liabilities {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return NewLiabilities(w.db.App, w.store, w.key, o)
}

func (w *world) publish(l *Liabilities) Liability {
	w.t.Helper()
	made, err := l.Publish(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// entryJSON is a reader of entries that has nothing of the one that writes them.
type entryJSON struct {
	Type     string
	Seq      string
	Size     string
	Total    string
	Minted   string
	Burned   string
	Root     []byte
	Postings []struct{ Amount, Asset, From, To string }
}

// replay computes all private balances from the first n entries alone, with the keys that a view has, and what was minted and burned.
func (w *world) replay(entries [][]byte, keys map[string][]byte) (balances map[string]int64, minted, burned int64) {
	w.t.Helper()
	commitments := make(map[string]string) // Each account's next one.
	versions := make(map[string]int64)
	next := func(account string) {
		u, err := id.Parse(id.Account, account)
		if err != nil {
			w.t.Fatal(err)
		}
		versions[account]++
		key := leaf.Key(keys[account])
		blind := leaf.Blind(&key, versions[account])
		c := leaf.Commit(&blind, u, versions[account])
		commitments["#"+base64.RawURLEncoding.EncodeToString(c[:])] = account
	}
	for account := range keys {
		next(account)
	}
	balances = make(map[string]int64)
	move := func(name string, amount int64) {
		account, ok := commitments[name]
		if !ok {
			w.t.Fatalf("nobody's key opens %s", name)
		}
		delete(commitments, name)
		next(account)
		if balances[account] += amount; balances[account] < 0 {
			w.t.Fatalf("%s goes below zero", account)
		}
	}
	for _, entry := range entries {
		var e entryJSON
		if err := json.Unmarshal(entry, &e); err != nil {
			w.t.Fatal(err)
		}
		for _, p := range e.Postings {
			amount, err := strconv.ParseInt(p.Amount, 10, 64)
			if err != nil {
				w.t.Fatal(err)
			}
			if p.Asset != money.SCH {
				continue
			}
			if strings.HasPrefix(p.From, "issuance/") {
				minted += amount
			} else {
				move(p.From, -amount)
			}
			if strings.HasPrefix(p.To, "issuance/") {
				burned += amount
			} else {
				move(p.To, amount)
			}
		}
	}
	return balances, minted, burned
}

// view reads a view.
func (w *world) view() (size int64, keys map[string][]byte, lines map[string]viewLine) {
	w.t.Helper()
	var b bytes.Buffer
	begun := 0
	if err := NewViews(w.db.App, w.store, w.key).Write(w.t.Context(), &b, func() { begun++ }); err != nil || begun != 1 {
		w.t.Fatal(err, begun)
	}
	keys, lines = make(map[string][]byte), make(map[string]viewLine)
	d := json.NewDecoder(&b)
	var head viewHead
	if err := d.Decode(&head); err != nil || head.Origin != origin || head.V != "1" || head.Type != "view" {
		w.t.Fatalf("%+v, %v", head, err)
	}
	size, err := strconv.ParseInt(head.Size, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	last := ""
	for d.More() {
		var line viewLine
		if err := d.Decode(&line); err != nil {
			w.t.Fatal(err)
		}
		if line.Account == "" && !d.More() {
			break // The last line, which the verifier's own tests are about.
		}
		if line.Account <= last {
			w.t.Errorf("%s comes after %s", line.Account, last)
		}
		last, keys[line.Account], lines[line.Account] = line.Account, line.Key, line
	}
	return size, keys, lines
}

// checkDocument verifies a holder's document from its text and the published log alone.
func (w *world) checkDocument(doc []byte, entries [][]byte) (balance int64) {
	w.t.Helper()
	var d struct {
		V, Type, Account, Asset, Balance, Receipt string
		Proof                                     json.RawMessage
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(d.Receipt, "\n")
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		w.t.Fatal(err)
	}
	entry := bytes.TrimSuffix(extra, []byte("\n"))
	index, err := strconv.Atoi(strings.TrimPrefix(lines[2], "index "))
	if err != nil || !bytes.Equal(entries[index], entry) {
		w.t.Fatalf("the receipt is of another entry: %s (%v)", entry, err)
	}
	w.checkInclusion(d.Receipt, entry, int64(index), lines[3:])
	var e entryJSON
	if err := json.Unmarshal(entry, &e); err != nil {
		w.t.Fatal(err)
	}
	proof, err := sumtree.ParseProof(d.Proof)
	if err != nil {
		w.t.Fatal(err)
	}
	total, _ := strconv.ParseInt(e.Total, 10, 64)
	balance, _ = strconv.ParseInt(d.Balance, 10, 64)
	root := sumtree.Root{Hash: [32]byte(e.Root), Sum: total, Depth: len(proof.Parts[0].Path)}
	if err := proof.Verify(root, d.Asset, d.Account, balance); err != nil {
		w.t.Error(err)
	}
	if d.V != "1" || d.Type != "liability-proof" || d.Asset != money.SCH {
		w.t.Errorf("%.100s", doc)
	}
	return balance
}

// checkInclusion verifies the rest of a tlog-proof.
func (w *world) checkInclusion(receipt string, entry []byte, index int64, hashes []string) {
	w.t.Helper()
	_, checkpoint, _ := strings.Cut(receipt, "\n\n")
	at, err := openCheckpoint([]byte(checkpoint), w.key.Verifier)
	if err != nil {
		w.t.Fatal(err)
	}
	var path tlog.RecordProof
	for _, line := range hashes {
		if line == "" {
			break
		}
		h, err := tlog.ParseHash(line)
		if err != nil {
			w.t.Fatal(err)
		}
		path = append(path, h)
	}
	if err := tlog.CheckRecord(path, at.N, at.Hash, index, tlog.Hash(leaf.HashOf(entry))); err != nil {
		w.t.Error(err)
	}
}

// What is published of the liabilities is what the log's entries say up to that size, whatever was committed meanwhile.
func TestLiabilitiesAreThoseOfThePublishedSize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.liabilities(LiabilitiesOptions{})
	if _, err := l.Publish(t.Context()); !errors.Is(err, ErrNothingPublished) {
		t.Errorf("before there is a log: %v", err)
	}
	if _, err := l.Proof(t.Context(), w.accounts[0]); !errors.Is(err, ErrNoLiabilities) {
		t.Errorf("before there is a proof: %v", err)
	}
	in := w.integrator()
	w.transfer(301)
	w.submit(&ledger.Command{Kind: ledger.KindMint, Call: call(), Moves: []ledger.Move{{From: w.accounts[0], To: w.issuance, Amount: money.Micros(77)}}})
	w.integrate(in)
	w.transfer(57) // Committed, and not published.
	w.submit(&ledger.Command{Kind: ledger.KindMint, Call: call(), Moves: []ledger.Move{{From: w.issuance, To: w.accounts[1], Amount: money.Micros(1000)}}})
	at, entries := w.everything()
	made := w.publish(l)
	if made.Size != at.N || made.Index != -1 {
		t.Errorf("published %+v of a log of %d", made, at.N)
	}
	if again := w.publish(l); again.Size != made.Size || !bytes.Equal(again.Root, made.Root) {
		t.Errorf("the same size again: %+v", again)
	}
	size, keys, lines := w.view()
	balances, minted, burned := w.replay(entries[:size], keys)
	if made.Minted != minted || made.Burned != burned || burned != 77 || made.Total != minted-burned || made.Accounts != 2 {
		t.Errorf("%+v; the log says %d minted and %d burned", made, minted, burned)
	}
	if _, err := l.Proof(t.Context(), w.accounts[0]); !errors.Is(err, ErrNoLiabilities) {
		t.Errorf("before its entry is published: %v", err)
	}
	w.integrate(in)
	_, entries = w.everything()
	for _, account := range w.accounts {
		doc, err := l.Proof(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		name := id.Format(id.Account, account)
		if got := w.checkDocument(doc, entries); got != balances[name] || lines[name].Balance != strconv.FormatInt(got, 10) {
			t.Errorf("%s: %d is proved, the log says %d, the view %s", name, got, balances[name], lines[name].Balance)
		}
	}
	later := w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: w.holder})
	if _, err := l.Proof(t.Context(), later); !errors.Is(err, ErrNotCounted) {
		t.Errorf("an account that was opened later: %v", err)
	}
	listed, err := ListLiabilities(t.Context(), w.db.App, 0, 10)
	if err != nil || len(listed) != 1 || listed[0].Index != at.N+58 {
		t.Errorf("%+v, %v", listed, err)
	}
}

// While transfers, mints and burns go on in two processes, whose groups interleave, and the log is published, every proof is exact. Some are checked
// against a replay of the log. BALLAST_LONG=1 publishes a hundred.
func TestLiabilitiesAreExactWhileEverythingGoesOn(t *testing.T) {
	t.Parallel()
	publications := 30
	if os.Getenv("BALLAST_LONG") != "" {
		publications = 100
	}
	w := newWorld(t)
	for range 30 {
		w.accounts = append(w.accounts, w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: w.holder}))
	}
	other := ledger.New(w.db.App, w.db.App, ledger.Options{Workers: 2})
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for i, books := range map[uint64]*ledger.Ledger{1: w.ledger, 2: w.ledger, 3: other, 4: other} {
		busy.Go(func() {
			random := rand.New(rand.NewPCG(i, 7))
			for ctx.Err() == nil {
				commands := make([]*ledger.Command, 1+random.IntN(20))
				for j := range commands {
					from, to := w.accounts[random.IntN(len(w.accounts))], w.accounts[random.IntN(len(w.accounts))]
					kind := ledger.KindTransfer
					switch random.IntN(8) {
					case 0:
						from, kind = w.issuance, ledger.KindMint
					case 1:
						to, kind = w.issuance, ledger.KindMint
					}
					if from == to {
						to = w.issuance
						kind = ledger.KindMint
					}
					commands[j] = &ledger.Command{Kind: kind, Call: call(), Moves: []ledger.Move{{From: from, To: to, Amount: money.Micros(1 + random.Int64N(1000))}}}
				}
				for _, v := range books.Submit(ctx, commands...) {
					if v.Err != nil && !errors.Is(v.Err, ledger.ErrInsufficientFunds) && ctx.Err() == nil {
						t.Error(v.Err)
					}
				}
			}
		})
	}
	t.Cleanup(func() {
		if err := other.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	in, l := w.integrator(), w.liabilities(LiabilitiesOptions{Keep: 3})
	w.publishMany(l, in, publications)
	stop()
	busy.Wait()
	for deadline := time.Now().Add(time.Minute); w.count(`SELECT count(*) FROM log_entries WHERE seq NOT IN (SELECT seq FROM log_positions)`) > 0; w.integrate(in) {
		if time.Now().After(deadline) { // What was under way when the others stopped ends a little later.
			t.Fatal("not everything is in the log after a minute")
		}
	}
	if files, err := os.ReadDir(l.trees.dir); err != nil || len(files) != 3+1 { // And the lock.
		t.Errorf("%d files are kept (%v)", len(files), err)
	}
	w.checkAll(publications)
}

// publishMany publishes n proofs, each after a step of the integrator and a transfer that is not in the log yet, beside all that others commit.
func (w *world) publishMany(l *Liabilities, in *Integrator, n int) {
	w.t.Helper()
	for range n {
		for taken := 0; taken == 0; {
			var err error
			if taken, err = in.Step(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
		w.submit(&ledger.Command{Kind: ledger.KindMint, Call: call(), Moves: []ledger.Move{{From: w.issuance, To: w.accounts[0], Amount: money.Micros(9)}}})
		made := w.publish(l)
		if made.Total != made.Minted-made.Burned {
			w.t.Errorf("%+v", made)
		}
	}
}

// checkAll compares every entry of a proof of liabilities with what the entries before its size say.
func (w *world) checkAll(want int) {
	w.t.Helper()
	_, entries := w.everything()
	_, keys, _ := w.view()
	found := 0
	for _, entry := range entries {
		var e entryJSON
		if err := json.Unmarshal(entry, &e); err != nil {
			w.t.Fatal(err)
		}
		if e.Type != "liabilities" {
			continue
		}
		found++
		size, err := strconv.ParseInt(e.Size, 10, 64)
		if err != nil {
			w.t.Fatal(err)
		}
		if found%10 != 0 { // A replay costs some time.
			continue
		}
		_, minted, burned := w.replay(entries[:size], keys)
		if e.Minted != strconv.FormatInt(minted, 10) || e.Burned != strconv.FormatInt(burned, 10) || e.Total != strconv.FormatInt(minted-burned, 10) {
			w.t.Errorf("%s: the log says %d − %d", entry, minted, burned)
		}
	}
	if found != want {
		w.t.Errorf("%d proofs in the log, want %d", found, want)
	}
}

// A token out of nothing, as only the owner of the tables could make it, is noticed, and nothing is published.
func TestWhatIsNotExactIsNotPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.transfer(3)
	w.integrate(w.integrator())
	w.exec(`ALTER TABLE accounts DISABLE TRIGGER USER`)
	w.exec(`UPDATE accounts SET balance = balance + 1, credits = credits + 1 WHERE id = $1`, w.accounts[0])
	var logged bytes.Buffer
	l := w.liabilities(LiabilitiesOptions{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if _, err := l.Publish(t.Context()); !errors.Is(err, ErrNotExact) {
		t.Errorf("published with a token too many: %v", err)
	}
	if n, err := l.PublishDue(t.Context()); !errors.Is(err, ErrNotExact) || n != 0 {
		t.Errorf("the sweep: %d, %v", n, err)
	}
	if !strings.Contains(logged.String(), "level=ERROR") || w.count(`SELECT count(*) FROM liability_proofs`) != 0 {
		t.Errorf("logged: %s", &logged)
	}
}

// A proof is due by the database's clock, once in all processes, and when the tree of the newest is gone.
func TestLiabilitiesAreDueByTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := pgtest.NewClock(t, w.db, time.Now().Add(time.Hour))
	in, l := w.integrator(), w.liabilities(LiabilitiesOptions{Every: time.Hour})
	due := func(what string, want int) {
		t.Helper()
		if n, err := l.PublishDue(t.Context()); err != nil || n != want {
			t.Errorf("%s: %d, %v", what, n, err)
		}
		w.integrate(in)
	}
	due("before there is a log", 0)
	due("at first", 1)
	due("at once", 0)
	clock.Advance(time.Hour - time.Microsecond)
	due("nearly an hour later", 0)
	clock.Advance(time.Microsecond)
	due("an hour later", 1)
	if err := l.Forget(); err != nil {
		t.Error(err)
	}
	due("nobody was forgotten", 0)
	if err := l.Forget(uuid.New()); err != nil {
		t.Error(err)
	}
	due("a stranger was forgotten", 0)
	if err := l.Forget(w.accounts[1]); err != nil {
		t.Error(err)
	}
	if _, err := l.Proof(t.Context(), w.accounts[0]); !errors.Is(err, ErrNoLiabilities) {
		t.Errorf("after the tree was removed: %v", err)
	}
	due("an account was forgotten", 1)
	if _, err := l.Proof(t.Context(), w.accounts[0]); err != nil {
		t.Error(err)
	}
	unlock, err := l.trees.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	clock.Advance(2 * time.Hour)
	due("while another is at it", 0)
	if _, err := l.Publish(t.Context()); !errors.Is(err, ErrLiabilitiesBusy) {
		t.Error(err)
	}
}

// A store that was set back, or is another's, has not published what the database believes.
func TestNoLiabilitiesOfAnotherStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.integrate(w.integrator())
	var err error
	if w.store, err = OpenStore(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.liabilities(LiabilitiesOptions{}).Publish(t.Context()); !errors.Is(err, ErrStoreBehind) {
		t.Error(err)
	}
}

// The collateral is that of the published size, at the k in force at the entry's own time.
func TestCollateralIsThatOfTheSize(t *testing.T) {
	t.Parallel()
	const h100, mi300 = "H100-SXM-80GB", "MI300X-192GB"
	w := newWorld(t, pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) }))
	clock := pgtest.NewClock(t, w.db, time.Now().Add(time.Hour))
	store := providers.NewStore(w.db.App, w.ledger)
	provider, err := store.CreateProvider(t.Context(), providers.NewProvider{Name: "Northwind"})
	if err != nil {
		t.Fatal(err)
	}
	pledge := func(class string, hours int64) {
		t.Helper()
		p, err := store.CreatePledge(t.Context(), providers.NewPledge{
			Caller: provider.ID, ProviderID: provider.ID, GPUClass: class, Hours: money.Micros(hours), Region: "eu", StartsAt: clock.Now(), ExpiresAt: clock.Now().AddDate(1, 0, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		c := call()
		c.Caller = uuid.New()
		if _, _, err := store.Verify(t.Context(), providers.Verification{Call: c, PledgeID: p.ID}); err != nil {
			t.Fatal(err)
		}
	}
	in, l := w.integrator(), w.liabilities(LiabilitiesOptions{})
	pledge(mi300, 100_000_001)
	w.integrate(in)
	pledge(h100, 5)
	pledge(mi300, 7)
	want := []Collateral{{mi300, "100000001", "0.742990", "74299000"}}
	if diff := cmp.Diff(want, w.publish(l).Collateral); diff != "" {
		t.Error(diff)
	}
	w.integrate(in)
	pgtest.PublishEpoch(t, w.db, time.Minute, h100, map[string]string{h100: "1", mi300: "0.5"})
	clock.Advance(time.Minute)
	want = []Collateral{{h100, "5", "1.000000", "5"}, {mi300, "100000008", "0.500000", "50000004"}}
	made := w.publish(l)
	if diff := cmp.Diff(want, made.Collateral); diff != "" || !made.At.Equal(clock.Now()) {
		t.Error(diff, made.At)
	}
}
