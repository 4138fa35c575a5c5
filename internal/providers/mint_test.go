package providers_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

func TestMintSetsHoursBehindTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	p := w.active(h100, 1000*hour, "0.1")
	n := w.newMint(p.ID, 100*hour)
	n.Reference, n.Metadata = "PO-881", []byte(`{"a": "b"}`)
	m, replayed, err := w.store.Mint(t.Context(), n)
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	want := providers.Mint{
		Transaction: m.Transaction, PledgeID: p.ID, AccountID: w.account, Amount: 100 * hour, BackingHours: 111_111_112, EpochID: epoch.ID,
		K: m.K, Haircut: m.Haircut, PolicyVersion: 1,
	}
	if diff := cmp.Diff(want, m, cmp.AllowUnexported(ledger.Transaction{})); diff != "" {
		t.Error(diff)
	}
	tx := m.Transaction
	if tx.Kind != ledger.KindMint || tx.Epoch != epoch.ID || tx.Subject != p.ID || tx.Reference != "PO-881" || tx.Caller != w.provider || len(tx.Postings) != 2 {
		t.Errorf("%+v", tx)
	}
	if m.K.String() != "1" || m.Haircut.String() != "0.1" {
		t.Errorf("k %s, haircut %s", m.K, m.Haircut)
	}
	if got := w.balance(w.account); got != 100*hour {
		t.Errorf("the holder has %d", got)
	}
	if got := w.balance(p.Accounts.Issuance); got != -100*hour {
		t.Errorf("issued %d", got)
	}
	if got, want := w.get(p.ID).Balances, (providers.Balances{Available: 888_888_888, Backing: 111_111_112}); got != want {
		t.Errorf("%+v", got)
	}
	again, replayed, err := w.store.Mint(t.Context(), n)
	if err != nil || !replayed || again.BackingHours != m.BackingHours || again.Transaction.ID != tx.ID || again.EpochID != epoch.ID || again.PledgeID != p.ID {
		t.Errorf("again: %+v, %v, %v", again, replayed, err)
	}
	// What is told of it at once is what the journal says of it afterwards.
	text := cmp.Transformer("text", decimal.Decimal.String)
	if diff := cmp.Diff(m, again, text, cmpopts.IgnoreFields(providers.Mint{}, "Transaction")); diff != "" {
		t.Error(diff)
	}
	stored, err := w.ledger.Transaction(t.Context(), tx.ID)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := providers.MintOf(stored); err != nil || read.BackingHours != m.BackingHours || !read.K.Equal(m.K) {
		t.Errorf("read back: %+v, %v", read, err)
	}
	stored.Kind = ledger.KindTransfer
	if _, err := providers.MintOf(stored); err == nil {
		t.Error("a transfer was read as a mint")
	}
	w.sound()
}

// The operator may mint against anybody's pledge; a class is worth its k.
func TestMintByOperatorAtAnotherK(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(mi300, 1000*hour, "0")
	n := w.newMint(p.ID, 100*hour)
	n.Call, n.ProviderID = call(w.operator), uuid.Nil
	m, _, err := w.store.Mint(t.Context(), n)
	if err != nil || m.BackingHours != 134_591_314 { // 100 / 0.742990 = 134.5913134…
		t.Errorf("%d, %v", m.BackingHours, err)
	}
	w.sound()
}

func TestMintsThatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0.5")
	clock := w.stopClock()
	pending, lapsed := w.pledge(h100, 10*hour), w.activeFor(time.Hour, 10*hour)
	clock.Advance(time.Hour)
	rejected := w.pledge(h100, 10*hour)
	if _, err := w.store.Reject(t.Context(), providers.Rejection{Caller: w.operator, PledgeID: rejected.ID, Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	frozen, closed := w.open(money.SCH), w.open(money.SCH)
	_, err := w.ledger.Freeze(t.Context(), frozen)
	_, err2 := w.ledger.CloseAccount(t.Context(), closed)
	parent, err3 := w.ledger.Account(t.Context(), w.account)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	child, err := ledger.OpenTx(t.Context(), w.Pool, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountEscrow, HolderID: parent.HolderID, ParentID: parent.ID})
	if err != nil {
		t.Fatal(err)
	}
	escrow := child.ID
	for what, tc := range map[string]struct {
		spoil func(*providers.NewMint)
		want  error
	}{
		"more than is available":   {func(n *providers.NewMint) { n.Amount = money.Micros(5*hour + 1) }, providers.ErrInsufficientCollateral},
		"more hours than there is": {func(n *providers.NewMint) { n.Amount = money.Micros(1<<63 - 1) }, providers.ErrInsufficientCollateral},
		"out of range":             {func(n *providers.NewMint) { n.Amount = money.FromMinor(9_223_372_036_855, 0) }, ledger.ErrAmountOutOfRange},
		"no pledge":                {func(n *providers.NewMint) { n.PledgeID = id.New() }, providers.ErrPledgeNotFound},
		"another's pledge":         {func(n *providers.NewMint) { n.ProviderID = id.New() }, providers.ErrPledgeNotFound},
		"pending":                  {func(n *providers.NewMint) { n.PledgeID = pending.ID }, providers.ErrPledgeNotActive},
		"rejected":                 {func(n *providers.NewMint) { n.PledgeID = rejected.ID }, providers.ErrPledgeNotActive},
		"lapsed":                   {func(n *providers.NewMint) { n.PledgeID = lapsed.ID }, providers.ErrPledgeNotActive},
		"no account":               {func(n *providers.NewMint) { n.AccountID = id.New() }, ledger.ErrAccountNotFound},
		"into escrow":              {func(n *providers.NewMint) { n.AccountID = escrow }, ledger.ErrAccountKind},
		"into issuance":            {func(n *providers.NewMint) { n.AccountID = p.Accounts.Issuance }, ledger.ErrAccountKind},
		"into another asset":       {func(n *providers.NewMint) { n.AccountID = w.open("USD") }, ledger.ErrAssetMismatch},
		"into a frozen account":    {func(n *providers.NewMint) { n.AccountID = frozen }, ledger.ErrAccountFrozen},
		"into a closed account":    {func(n *providers.NewMint) { n.AccountID = closed }, ledger.ErrAccountClosed},
	} {
		n := w.newMint(p.ID, hour)
		tc.spoil(&n)
		if _, _, err := w.store.Mint(t.Context(), n); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
	n := w.newMint(p.ID, hour)
	n.Amount = money.Quantity{}
	_, _, err = w.store.Mint(t.Context(), n)
	invalid(t, "nothing", err, "amount", "invalid")
	if _, err := w.mint(p.ID, 5*hour); err != nil {
		t.Errorf("all of it, less the haircut: %v", err)
	}
	if got := w.balance(w.account); got != 5*hour {
		t.Errorf("the holder has %d", got)
	}
	w.sound()
}

func TestMintUsesTheEpochInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := pgtest.NewClock(t, w.Database, time.Now())
	p, left := w.active(h100, 1000*hour, "0"), w.active(mi300, 1000*hour, "0")
	before, err := w.mint(p.ID, hour)
	if err != nil {
		t.Fatal(err)
	}
	second := pgtest.PublishEpoch(t, w.Database, time.Second, h100, map[string]string{h100: "0.5"})
	pgtest.PublishEpoch(t, w.Database, time.Hour, h100, map[string]string{h100: "0.25", mi300: "1"})
	clock.Advance(time.Second)
	after, err := w.mint(p.ID, hour)
	if err != nil || after.EpochID != second || after.BackingHours != 2*hour || before.BackingHours != hour || before.EpochID == second {
		t.Errorf("%d hours before, %d after, %v", before.BackingHours, after.BackingHours, err)
	}
	if _, err := w.mint(left.ID, hour); !errors.Is(err, anchor.ErrNoFactor) {
		t.Errorf("a class without a factor: %v", err)
	}
	w.sound()
}

// A mint that is reversed gives its hours back.
func TestReversedMintFreesItsHours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0.1")
	m, err := w.mint(p.ID, 9*hour)
	if err != nil {
		t.Fatal(err)
	}
	if v := w.ledger.Reverse(t.Context(), call(w.operator), m.Transaction.ID, "by mistake"); v.Err != nil {
		t.Fatal(v.Err)
	}
	if got := w.get(p.ID).Balances; got != (providers.Balances{Available: 10 * hour}) {
		t.Errorf("%+v", got)
	}
	if _, err := w.mint(p.ID, 9*hour); err != nil {
		t.Errorf("again: %v", err)
	}
	w.sound()
}

// deliver is what a redemption does with hours, in short.
type deliver struct{ pledge providers.Pledge }

func (d deliver) Lock() []uuid.UUID  { return nil }
func (d deliver) Read(*ledger.Reads) {}

func (d deliver) Decide(*ledger.Book) (ledger.Decision, error) { return ledger.Decision{}, nil }

func (d deliver) Write(b *ledger.Writes, t *ledger.Transaction) {
	providers.QueueExhausted(b, d.pledge.ID, t)
}

func TestPledgeIsExhaustedOnceNothingIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0")
	for _, tc := range []struct {
		hours int64
		want  providers.PledgeStatus
	}{{9*hour + 999_999, providers.PledgeActive}, {1, providers.PledgeExhausted}} {
		v := w.ledger.Submit(t.Context(), &ledger.Command{
			Kind: ledger.KindRedemptionIssue, Call: call(w.provider), Subject: id.New(),
			Moves: []ledger.Move{{From: p.Accounts.Available, To: p.Accounts.Delivered, Amount: money.Micros(tc.hours)}},
			Step:  deliver{pledge: p},
		})[0]
		if got := w.get(p.ID).Status; got != tc.want || v.Err != nil {
			t.Errorf("after %d: %s, %v", tc.hours, got, v.Err)
		}
	}
	w.sound()
}

func TestHaircutIsKeptExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 1_000_000*hour, "0.999999")
	m, err := w.mint(p.ID, hour)
	if err != nil || m.BackingHours != 1_000_000*hour || !m.Haircut.Equal(decimal.RequireFromString("0.999999")) {
		t.Errorf("%+v, %v", m, err)
	}
	w.sound()
}
