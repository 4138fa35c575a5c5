package redeem

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func TestRedemptionIsIssued(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	ask := s.ask(30 * hour)
	ask.RecipientAccount, ask.Metadata = "alice@northwind", []byte(`{"project": "folding"}`)
	r, replayed, err := s.Request(t.Context(), ask)
	if err != nil || replayed {
		t.Fatalf("replayed %t, %v", replayed, err)
	}
	s.expect(t, 70, 30, 100, 70, 30, 0)
	escrow := s.escrow(t)
	epoch, k := s.k(t, h100)
	at := r.CreatedAt
	want := &Redemption{
		ID: r.ID, AccountID: s.account, HolderID: s.holder, EscrowAccount: escrow, ProviderID: s.provider, GPUClass: h100,
		Amount: 30 * hour, Hours: 30 * hour, K: k, EpochID: epoch, Transport: TransportPull, RecipientAccount: "alice@northwind",
		Status: Dispatched, Metadata: []byte(`{"project": "folding"}`), RequestedBy: r.RequestedBy, CreatedAt: at, OnDelay: Wait, DeliverBy: at.Add(DefaultSLA),
		Timeline: []Event{
			{Status: Requested, At: at, Actor: s.holder},
			{Status: Reserved, At: at, Actor: s.holder, Detail: "The hours are earmarked."},
			{Status: Dispatched, At: at, Actor: s.holder, Detail: "The provider polls for it."},
		},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	queue, err := s.List(t.Context(), Filter{ProviderID: s.provider, Status: Dispatched, Limit: 10})
	if err != nil || len(queue) != 1 || !cmp.Equal(queue[0], r) {
		t.Errorf("the provider's queue is %v, %v", queue, err)
	}

	issued, replayed, err := s.Issue(t.Context(), s.issuanceOf(r, "grant-1"))
	if err != nil || replayed {
		t.Fatalf("replayed %t, %v", replayed, err)
	}
	s.expect(t, 70, 0, 70, 70, 0, 30)
	want.Status, want.ProviderGrantID, want.SettledBy = Issued, "grant-1", issued.SettledBy
	want.DeliveredHours, want.BurnedAmount = 30*hour, 30*hour
	want.Timeline = append(want.Timeline, Event{
		Status: Issued, At: issued.Timeline[3].At, Actor: s.provider, Detail: "The provider has given the credits.",
	})
	if diff := cmp.Diff(want, issued); diff != "" {
		t.Error(diff)
	}
	if issued.Timeline[3].At.Before(at) || issued.SettledBy == uuid.Nil {
		t.Errorf("issued %+v", issued)
	}
	if queue, err := s.List(t.Context(), Filter{ProviderID: s.provider, Status: Dispatched, Limit: 10}); err != nil || len(queue) != 0 {
		t.Errorf("the queue is still %v, %v", queue, err)
	}
	s.proveBooks(t)
}

func TestRefundsReturnBoth(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	rejected, _, err := s.Reject(t.Context(), s.rejectionOf(s.request(t, 100*hour)))
	if err != nil {
		t.Fatal(err)
	}
	s.expect(t, 100, 0, 100, 100, 0, 0)
	if rejected.Status != Refunded || rejected.Reason != "There is no such account" || rejected.Timeline[3].Detail != rejected.Reason {
		t.Errorf("rejected is %+v", rejected)
	}
	if diff := cmp.Diff([]Status{Requested, Reserved, Dispatched, Rejected, Refunded}, path(rejected)); diff != "" {
		t.Error(diff)
	}
	cancelled, _, err := s.Cancel(t.Context(), s.cancellationOf(s.request(t, 100*hour)))
	if err != nil {
		t.Fatal(err)
	}
	s.expect(t, 100, 0, 100, 100, 0, 0)
	if diff := cmp.Diff([]Status{Requested, Reserved, Dispatched, Cancelled, Refunded}, path(cancelled)); diff != "" || cancelled.Reason != "" {
		t.Error(diff, cancelled.Reason)
	}
	s.proveBooks(t)
}

func path(r *Redemption) (statuses []Status) {
	for _, e := range r.Timeline {
		statuses = append(statuses, e.Status)
	}
	return statuses
}

func TestWhatHadBegunGoesThroughFrozenAccounts(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	one, two, three := s.request(t, 10*hour), s.request(t, 20*hour), s.request(t, 30*hour)
	if _, err := s.books.Freeze(t.Context(), s.account); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Request(t.Context(), s.ask(hour)); !errors.Is(err, ledger.ErrAccountFrozen) {
		t.Errorf("a request from a frozen account: %v", err)
	}
	_, _, err1 := s.Issue(t.Context(), s.issuanceOf(one, "g"))
	_, _, err2 := s.Reject(t.Context(), s.rejectionOf(two))
	_, _, err3 := s.Cancel(t.Context(), s.cancellationOf(three))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Error(err)
	}
	s.expect(t, 90, 0, 90, 90, 0, 10)
}

func TestRepeatedCallsGetTheFirstAnswer(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	ask := s.ask(100 * hour)
	first, _, err := s.Request(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	// All capacity and all funds are gone now: the repeated request must not even look for them.
	repeat(t, first, func() (*Redemption, bool, error) { return s.Request(t.Context(), ask) })

	cancel := s.cancellationOf(first)
	cancelled, _, err := s.Cancel(t.Context(), cancel)
	if err != nil {
		t.Fatal(err)
	}
	repeat(t, cancelled, func() (*Redemption, bool, error) { return s.Cancel(t.Context(), cancel) })
	repeat(t, first, func() (*Redemption, bool, error) { return s.Request(t.Context(), ask) })

	second, third := s.request(t, 40*hour), s.request(t, 60*hour)
	issue, reject := s.issuanceOf(second, "g"), s.rejectionOf(third)
	issued, _, err1 := s.Issue(t.Context(), issue)
	rejected, _, err2 := s.Reject(t.Context(), reject)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	repeat(t, issued, func() (*Redemption, bool, error) { return s.Issue(t.Context(), issue) })
	repeat(t, rejected, func() (*Redemption, bool, error) { return s.Reject(t.Context(), reject) })

	ask.Request[0]++
	if _, _, err := s.Request(t.Context(), ask); !errors.Is(err, idempotency.ErrReused) {
		t.Errorf("the key with another request: %v", err)
	}
	s.expect(t, 60, 0, 60, 60, 0, 40)
}

func repeat(t *testing.T, first *Redemption, again func() (*Redemption, bool, error)) {
	t.Helper()
	got, replayed, err := again()
	if diff := cmp.Diff(first, got); diff != "" || !replayed || err != nil {
		t.Errorf("replayed %t, %v: %s", replayed, err, diff)
	}
}

func TestGrantEndsOneRedemption(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	one, two := s.request(t, 10*hour), s.request(t, 10*hour)
	issued, _, err := s.Issue(t.Context(), s.issuanceOf(one, "g"))
	if err != nil {
		t.Fatal(err)
	}
	repeat(t, issued, func() (*Redemption, bool, error) { return s.Issue(t.Context(), s.issuanceOf(one, "g")) })
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(one, "h")); !errors.Is(err, ErrConflict) {
		t.Errorf("a second grant: %v", err)
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(two, "g")); !errors.Is(err, ErrGrantUsed) {
		t.Errorf("the same grant again: %v", err)
	}
	s.expect(t, 80, 10, 90, 80, 10, 10)

	// Another provider's grants are its own.
	other := *s
	other.provider, other.issuance = s.desk.provider(t)
	other.pledge = s.desk.pledge(t, other.provider, h100, 10*hour, farFuture())
	if _, _, err := other.Issue(t.Context(), other.issuanceOf(other.request(t, 10*hour), "g")); err != nil {
		t.Errorf("another provider's grant: %v", err)
	}
	s.proveBooks(t)
}

// Of two that use a grant at the same moment, one may be refused by its own reading, and another by the database.
func TestGrantIsRefusedEitherWay(t *testing.T) {
	t.Parallel()
	step := settleStep{grant: "g", steps: []Event{{Status: Issued}}, now: state{status: Dispatched, grantee: id.New()}}
	if _, err := step.Decide(nil); !errors.Is(err, ErrGrantUsed) {
		t.Errorf("read before: %v", err)
	}
	raced := ledger.Verdict{Err: &pgconn.PgError{Code: "23505", ConstraintName: "redemptions_grant_key"}}
	if _, _, err := (&Redemptions{}).answer(t.Context(), raced); !errors.Is(err, ErrGrantUsed) {
		t.Errorf("found by the database: %v", err)
	}
}

func TestEndsAreFinal(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	issued, rejected, cancelled := s.request(t, 10*hour), s.request(t, 10*hour), s.request(t, 10*hour)
	_, _, err1 := s.Issue(t.Context(), s.issuanceOf(issued, "g"))
	_, _, err2 := s.Reject(t.Context(), s.rejectionOf(rejected))
	_, _, err3 := s.Cancel(t.Context(), s.cancellationOf(cancelled))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Redemption{issued, rejected, cancelled} {
		_, _, err1 := s.Issue(t.Context(), s.issuanceOf(r, "new"))
		_, _, err2 := s.Reject(t.Context(), s.rejectionOf(r))
		_, _, err3 := s.Cancel(t.Context(), s.cancellationOf(r))
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, ErrConflict) {
				t.Errorf("%v", err)
			}
		}
	}
	s.expect(t, 90, 0, 90, 90, 0, 10)
}

func TestOthersSeeNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r := s.request(t, 10*hour)
	stranger, theirs := s.desk.holder(t, money.SCH)
	rival, _ := s.desk.provider(t)
	for _, nobody := range []uuid.UUID{stranger, uuid.Nil} {
		ask, cancel := s.ask(hour), s.cancellationOf(r)
		ask.Owner, cancel.Owner = nobody, nobody
		if _, _, err := s.Request(t.Context(), ask); !errors.Is(err, ledger.ErrAccountNotFound) {
			t.Errorf("a request from another's account: %v", err)
		}
		if _, _, err := s.Cancel(t.Context(), cancel); !errors.Is(err, ErrNotFound) {
			t.Errorf("cancelling another's: %v", err)
		}
	}
	for _, nobody := range []uuid.UUID{rival, uuid.Nil} {
		issue, reject := s.issuanceOf(r, "g"), s.rejectionOf(r)
		issue.ProviderID, reject.ProviderID = nobody, nobody
		if _, _, err := s.Issue(t.Context(), issue); !errors.Is(err, ErrNotFound) {
			t.Errorf("issuing another's: %v", err)
		}
		if _, _, err := s.Reject(t.Context(), reject); !errors.Is(err, ErrNotFound) {
			t.Errorf("rejecting another's: %v", err)
		}
	}
	for name, tt := range map[string]struct {
		visible Filter
		want    error
	}{
		"all":              {Filter{}, nil},
		"its holder":       {Filter{HolderID: s.holder}, nil},
		"its provider":     {Filter{ProviderID: s.provider}, nil},
		"another holder":   {Filter{HolderID: stranger}, ErrNotFound},
		"another provider": {Filter{ProviderID: rival}, ErrNotFound},
	} {
		if _, err := s.Get(t.Context(), r.ID, tt.visible); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		list, err := s.List(t.Context(), Filter{HolderID: tt.visible.HolderID, ProviderID: tt.visible.ProviderID, Limit: 5})
		if err != nil || (len(list) == 1) != (tt.want == nil) {
			t.Errorf("%s lists %v, %v", name, list, err)
		}
	}
	if _, err := s.Get(t.Context(), id.New(), Filter{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	if list, err := s.List(t.Context(), Filter{AccountID: theirs, Limit: 5}); err != nil || len(list) != 0 {
		t.Errorf("an account without redemptions lists %v, %v", list, err)
	}
	s.expect(t, 90, 10, 100, 90, 10, 0)
}

func TestListsAreNewestFirstInPages(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	var want []uuid.UUID
	for range 5 {
		want = append([]uuid.UUID{s.request(t, hour).ID}, want...)
	}
	var got []uuid.UUID
	f := Filter{AccountID: s.account, Limit: 2}
	for {
		page, err := s.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			got = append(got, r.ID)
		}
		if len(page) < f.Limit {
			break
		}
		f.Before = page[len(page)-1].ID
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	_, dollars := s.desk.holder(t, money.USD)
	escrow := s.open(t, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountEscrow, HolderID: s.holder, ParentID: s.account})
	usd := s.open(t, ledger.NewAccount{Asset: money.USD, Kind: ledger.AccountHolder, HolderID: s.holder})
	for name, tt := range map[string]struct {
		change func(*NewRedemption)
		want   error
	}{
		"no such account":   {func(n *NewRedemption) { n.AccountID = id.New() }, ledger.ErrAccountNotFound},
		"another's account": {func(n *NewRedemption) { n.AccountID = dollars }, ledger.ErrAccountNotFound},
		"an escrow account": {func(n *NewRedemption) { n.AccountID = escrow }, ledger.ErrAccountKind},
		"not of tokens":     {func(n *NewRedemption) { n.AccountID = usd }, ledger.ErrAssetMismatch},
		"too few tokens":    {func(n *NewRedemption) { n.Amount = money.Micros(100*hour + 1) }, ledger.ErrInsufficientFunds},
		"nothing":           {func(n *NewRedemption) { n.Amount = money.Quantity{} }, money.ErrNotPositive},
		"no such provider":  {func(n *NewRedemption) { n.ProviderID = id.New() }, ErrNoCapacity},
		"no such class":     {func(n *NewRedemption) { n.GPUClass = "ABACUS" }, ErrNoCapacity},
		"no hours of it":    {func(n *NewRedemption) { n.GPUClass = "H200-SXM-141GB" }, ErrNoCapacity},
	} {
		ask := s.ask(hour)
		tt.change(&ask)
		if r, _, err := s.Request(t.Context(), ask); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	r := s.request(t, hour)
	for _, text := range []string{"", "a\x00b", "\xff", strings.Repeat("é", 501)} {
		var invalid *InvalidError
		issue, reject := s.issuanceOf(r, text), s.rejectionOf(r)
		reject.Reason = text
		_, _, err1 := s.Issue(t.Context(), issue)
		_, _, err2 := s.Reject(t.Context(), reject)
		if !errors.As(err1, &invalid) || !errors.As(err2, &invalid) {
			t.Errorf("%q: %v, %v", text, err1, err2)
		}
		ask := s.ask(hour)
		if ask.RecipientAccount = text; text != "" {
			if _, _, err := s.Request(t.Context(), ask); !errors.As(err, &invalid) {
				t.Errorf("recipient %q: %v", text, err)
			}
		}
	}
	s.expect(t, 99, 1, 100, 99, 1, 0)
}

func TestAnswerThatCannotBeReadIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r := s.request(t, hour)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	v := ledger.Verdict{Transaction: &ledger.Transaction{Subject: r.ID, Details: []byte(`{"steps": 3}`)}}
	if _, _, err := s.answer(gone, v); !errors.Is(err, ledger.ErrOutcomeUnknown) {
		t.Errorf("%v", err)
	}
}

func TestWorthIsRoundedDown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		amount int64
		k      string
		want   int64
		err    error
	}{
		{10 * hour, "1", 10 * hour, nil},
		{1, "1.17", 0, ledger.ErrAmountOutOfRange},
		{2, "1.17", 1, nil},
		{1, "0.48", 2, nil},
		{1_000_000, "0.48", 2_083_333, nil},
		{1 << 62, "0.000001", 0, ledger.ErrAmountOutOfRange},
	} {
		if got, err := worth(tt.amount, decimal.RequireFromString(tt.k)); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%d at %s is worth %d, %v; want %d, %v", tt.amount, tt.k, got, err, tt.want, tt.err)
		}
	}
}
