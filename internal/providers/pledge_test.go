package providers_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

func TestPledgesAreKeptAsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newPledge(h100, 1000*hour)
	n.SLAPercent = decimal.NewNullDecimal(decimal.RequireFromString("99.95"))
	n.DocumentSHA256 = strings.Repeat("0a", 32)
	n.Metadata = map[string]string{"contract": "NW-17"}
	p, err := w.store.CreatePledge(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	want := providers.Pledge{
		ID: p.ID, ProviderID: w.provider, Status: providers.PledgePending, GPUClass: h100, Hours: 1000 * hour, Region: "eu-central-1",
		StartsAt: n.StartsAt, ExpiresAt: n.ExpiresAt, Windows: []providers.Window{{StartsAt: n.StartsAt, EndsAt: n.ExpiresAt, Hours: 1000 * hour}},
		SLAPercent: n.SLAPercent, DocumentSHA256: n.DocumentSHA256, Metadata: n.Metadata, Terms: providers.Terms{Firmness: providers.Firm},
		CreatedBy: w.provider, CreatedAt: p.CreatedAt, Accounts: p.Accounts,
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(p, w.get(p.ID)); diff != "" {
		t.Error(diff)
	}
	if age := time.Since(p.CreatedAt); age < 0 || age > time.Minute {
		t.Errorf("created %s ago", age)
	}
	distinct := map[uuid.UUID]bool{}
	a := p.Accounts
	for _, account := range []uuid.UUID{a.Commitment, a.Available, a.Backing, a.Earmarked, a.Delivered, a.Expired, a.Released, a.Issuance} {
		distinct[account] = true
	}
	if len(distinct) != 8 || distinct[uuid.Nil] {
		t.Errorf("accounts %+v", a)
	}
	for kind, account := range map[ledger.AccountKind]uuid.UUID{
		ledger.AccountCommitment: a.Commitment, ledger.AccountAvailable: a.Available, ledger.AccountBacking: a.Backing, ledger.AccountEarmarked: a.Earmarked,
		ledger.AccountDelivered: a.Delivered, ledger.AccountExpired: a.Expired, ledger.AccountReleased: a.Released, ledger.AccountIssuance: a.Issuance,
	} {
		if got, err := w.ledger.Account(t.Context(), account); err != nil || got.Kind != kind || got.ProviderID != w.provider {
			t.Errorf("the %s account is %+v, %v", kind, got, err)
		}
	}
	if _, err := w.store.Pledge(t.Context(), p.ID, id.New()); !errors.Is(err, providers.ErrPledgeNotFound) {
		t.Errorf("another provider's: %v", err)
	}
	if _, err := w.store.Pledge(t.Context(), id.New(), uuid.Nil); !errors.Is(err, providers.ErrPledgeNotFound) {
		t.Errorf("none: %v", err)
	}
	w.sound()
}

func TestPledgesThatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	percent := func(s string) decimal.NullDecimal { return decimal.NewNullDecimal(decimal.RequireFromString(s)) }
	for what, tc := range map[string]struct {
		spoil       func(*providers.NewPledge)
		field, code string
	}{
		"unknown class":  {func(n *providers.NewPledge) { n.GPUClass = "H900" }, "gpu_class", "unknown"},
		"no hours":       {func(n *providers.NewPledge) { n.Hours = money.Quantity{} }, "hours", "invalid"},
		"region":         {func(n *providers.NewPledge) { n.Region = "eu/central" }, "region", "malformed"},
		"long region":    {func(n *providers.NewPledge) { n.Region = strings.Repeat("r", 65) }, "region", "malformed"},
		"ends at start":  {func(n *providers.NewPledge) { n.StartsAt = n.ExpiresAt }, "expires_at", "not_after_start"},
		"over":           {func(n *providers.NewPledge) { n.ExpiresAt = n.StartsAt.Add(time.Minute) }, "expires_at", "past"},
		"negative SLA":   {func(n *providers.NewPledge) { n.SLAPercent = percent("-1") }, "sla_percent", "out_of_range"},
		"too good a SLA": {func(n *providers.NewPledge) { n.SLAPercent = percent("100.001") }, "sla_percent", "out_of_range"},
		"too fine a SLA": {func(n *providers.NewPledge) { n.SLAPercent = percent("99.9999") }, "sla_percent", "out_of_range"},
		"hash":           {func(n *providers.NewPledge) { n.DocumentSHA256 = strings.Repeat("0A", 32) }, "document_sha256", "malformed"},
		"metadata":       {func(n *providers.NewPledge) { n.Metadata = map[string]string{"k": strings.Repeat("v", 4096)} }, "metadata", "too_large"},
	} {
		n := w.newPledge(h100, hour)
		tc.spoil(&n)
		_, err := w.store.CreatePledge(t.Context(), n)
		invalid(t, what, err, tc.field, tc.code)
	}
	n := w.newPledge(h100, hour)
	n.ProviderID = id.New()
	if _, err := w.store.CreatePledge(t.Context(), n); !errors.Is(err, providers.ErrProviderNotFound) {
		t.Errorf("no provider: %v", err)
	}
	n = w.newPledge(h100, hour)
	n.Hours, _ = money.ParseQuantity("9223372036854.775807")
	if _, err := w.store.CreatePledge(t.Context(), n); err != nil {
		t.Errorf("as many as an account holds: %v", err)
	}
	n.Hours, _ = money.ParseQuantity("9223372036854")
	n.Hours = money.FromMinor(9_223_372_036_855, 0)
	if _, err := w.store.CreatePledge(t.Context(), n); !errors.Is(err, ledger.ErrAmountOutOfRange) {
		t.Errorf("more than an account holds: %v", err)
	}
	if list, err := w.store.Pledges(t.Context(), providers.PledgeFilter{Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("%d pledges were made, %v", len(list), err)
	}
}

func TestPledgesAreListedNewestFirstAndNarrowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.active(h100, hour, "0"), w.pledge(mi300, hour)
	other, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	n := w.newPledge(h100, hour)
	n.ProviderID = other.ID
	c, err := w.store.CreatePledge(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		f    providers.PledgeFilter
		want []providers.Pledge
	}{
		"all":       {providers.PledgeFilter{Limit: 5}, []providers.Pledge{c, b, a}},
		"two":       {providers.PledgeFilter{Limit: 2}, []providers.Pledge{c, b}},
		"next":      {providers.PledgeFilter{Limit: 2, Before: b.ID}, []providers.Pledge{a}},
		"provider":  {providers.PledgeFilter{Limit: 5, ProviderID: w.provider}, []providers.Pledge{b, a}},
		"class":     {providers.PledgeFilter{Limit: 5, GPUClass: h100}, []providers.Pledge{c, a}},
		"status":    {providers.PledgeFilter{Limit: 5, Status: providers.PledgeActive}, []providers.Pledge{a}},
		"all three": {providers.PledgeFilter{Limit: 5, Status: providers.PledgePending, GPUClass: h100, ProviderID: other.ID}, []providers.Pledge{c}},
	} {
		got, err := w.store.Pledges(t.Context(), tc.f)
		if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(providers.Pledge{}, "Windows")); diff != "" || err != nil {
			t.Error(what, err, diff)
		}
	}
}

func TestVerifyMakesAllHoursAvailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pledge(h100, 1000*hour)
	v := w.verification(p.ID, "0.1")
	active, replayed, err := w.store.Verify(t.Context(), v)
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	if active.Status != providers.PledgeActive || active.Balances != (providers.Balances{Available: 1000 * hour}) ||
		active.VerifiedBy != w.operator || active.VerifiedAt.IsZero() || active.Haircut.Decimal.String() != "0.1" || !active.Haircut.Valid {
		t.Errorf("%+v", active)
	}
	if got := w.balance(p.Accounts.Commitment); got != -1000*hour {
		t.Errorf("committed %d", got)
	}
	if _, err := w.mint(p.ID, hour); err != nil {
		t.Fatal(err)
	}
	again, replayed, err := w.store.Verify(t.Context(), v)
	if diff := cmp.Diff(active, again); diff != "" || err != nil || !replayed {
		t.Errorf("the first answer again: %v, %v\n%s", replayed, err, diff)
	}
	if _, _, err := w.store.Verify(t.Context(), w.verification(p.ID, "0.1")); !errors.Is(err, providers.ErrPledgeNotPending) {
		t.Errorf("a second time: %v", err)
	}
	w.sound()
}

func TestVerificationsThatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pledge(h100, hour)
	for _, haircut := range []string{"-0.000001", "1", "1.5", "0.0000001"} {
		_, _, err := w.store.Verify(t.Context(), w.verification(p.ID, haircut))
		invalid(t, haircut, err, "haircut", "out_of_range")
	}
	if _, _, err := w.store.Verify(t.Context(), w.verification(id.New(), "0")); !errors.Is(err, providers.ErrPledgeNotFound) {
		t.Errorf("no pledge: %v", err)
	}
	pgtest.NewClock(t, w.Database, p.ExpiresAt)
	if _, _, err := w.store.Verify(t.Context(), w.verification(p.ID, "0")); !errors.Is(err, providers.ErrPledgeLapsed) {
		t.Errorf("when its time is over: %v", err)
	}
	if got := w.get(p.ID); got.Status != providers.PledgePending || got.Haircut.Valid {
		t.Errorf("%+v", got)
	}
}

func TestRejectedIsForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pledge(h100, hour)
	reject := func(reason string) (providers.Pledge, error) {
		return w.store.Reject(t.Context(), providers.Rejection{Caller: w.operator, PledgeID: p.ID, Reason: reason})
	}
	_, err := reject("")
	invalid(t, "no reason", err, "reason", "required")
	_, err = reject(strings.Repeat("r", 501))
	invalid(t, "long reason", err, "reason", "too_long")
	rejected, err := reject("not signed")
	if err != nil || rejected.Status != providers.PledgeRejected || rejected.RejectReason != "not signed" {
		t.Fatalf("%+v, %v", rejected, err)
	}
	again, err := reject("another reason")
	if diff := cmp.Diff(rejected, again); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, _, err := w.store.Verify(t.Context(), w.verification(p.ID, "0")); !errors.Is(err, providers.ErrPledgeNotPending) {
		t.Errorf("verified after that: %v", err)
	}
	p = w.active(h100, hour, "0")
	if _, err := reject("too late"); !errors.Is(err, providers.ErrPledgeNotPending) {
		t.Errorf("rejected after verification: %v", err)
	}
	if _, err := w.store.Reject(t.Context(), providers.Rejection{PledgeID: id.New(), Reason: "r"}); !errors.Is(err, providers.ErrPledgeNotFound) {
		t.Errorf("none: %v", err)
	}
	w.sound()
}

func TestReleaseTakesBackWhatBacksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0")
	if _, err := w.mint(p.ID, 4*hour); err != nil {
		t.Fatal(err)
	}
	first := providers.Release{Call: call(w.provider), ProviderID: w.provider, PledgeID: p.ID, Hours: money.Micros(hour)}
	released, replayed, err := w.store.Release(t.Context(), first)
	want := providers.Balances{Available: 5 * hour, Backing: 4 * hour, Released: hour}
	if err != nil || replayed || released.Balances != want || released.Status != providers.PledgeActive {
		t.Fatalf("%+v, %v, %v", released, replayed, err)
	}
	if _, err := w.release(p.ID, 5*hour+1); !errors.Is(err, providers.ErrInsufficientCollateral) {
		t.Errorf("what backs tokens: %v", err)
	}
	all, err := w.release(p.ID, 5*hour)
	if err != nil || all.Status != providers.PledgeActive || all.Balances.Available != 0 {
		t.Errorf("with hours still behind tokens: %+v, %v", all, err)
	}
	again, replayed, err := w.store.Release(t.Context(), first)
	if diff := cmp.Diff(released, again); diff != "" || err != nil || !replayed {
		t.Errorf("the first answer again: %v, %v\n%s", replayed, err, diff)
	}
	w.sound()
}

func TestReleaseOfTheLastHoursEndsThePledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0")
	ended, err := w.release(p.ID, 10*hour)
	if err != nil || ended.Status != providers.PledgeReleased || w.get(p.ID).Status != providers.PledgeReleased {
		t.Fatalf("%+v, %v", ended, err)
	}
	if _, err := w.release(p.ID, 1); !errors.Is(err, providers.ErrPledgeNotActive) {
		t.Errorf("more: %v", err)
	}
	if _, err := w.mint(p.ID, 1); !errors.Is(err, providers.ErrPledgeNotActive) {
		t.Errorf("minted: %v", err)
	}
	w.sound()
}

func TestReleasesThatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, hour, "0")
	pending := w.pledge(h100, hour)
	for what, tc := range map[string]struct {
		r    providers.Release
		want error
	}{
		"another provider's": {providers.Release{ProviderID: id.New(), PledgeID: p.ID, Hours: money.Micros(1)}, providers.ErrPledgeNotFound},
		"none":               {providers.Release{PledgeID: id.New(), Hours: money.Micros(1)}, providers.ErrPledgeNotFound},
		"pending":            {providers.Release{PledgeID: pending.ID, Hours: money.Micros(1)}, providers.ErrPledgeNotActive},
		"out of range":       {providers.Release{PledgeID: p.ID, Hours: money.FromMinor(9_223_372_036_855, 0)}, ledger.ErrAmountOutOfRange},
	} {
		tc.r.Call = call(w.provider)
		if _, _, err := w.store.Release(t.Context(), tc.r); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
	_, _, err := w.store.Release(t.Context(), providers.Release{Call: call(w.provider), PledgeID: p.ID})
	invalid(t, "no hours", err, "hours", "invalid")
}

// Every status that a pledge ever had is told, with the transaction that moved its hours.
func TestPledgesTellTheirStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, hour, "0")
	if _, err := w.release(p.ID, hour); err != nil {
		t.Fatal(err)
	}
	var story string
	err := w.App.QueryRow(t.Context(), `SELECT string_agg(format('%s by %s%s', e.status, CASE e.actor WHEN $2 THEN 'provider' WHEN $3 THEN 'operator' END,
		COALESCE(' in a ' || t.kind, '')), ', ' ORDER BY event)
		FROM pledge_events e LEFT JOIN transactions t ON t.seq = e.transaction_seq WHERE pledge_id = $1`, p.ID, w.provider, w.operator).Scan(&story)
	const want = "pending by provider, active by operator in a pledge_activation, released by provider in a pledge_release"
	if story != want || err != nil {
		t.Errorf("%s, %v", story, err)
	}
}
