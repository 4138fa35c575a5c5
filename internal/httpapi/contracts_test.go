package httpapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

// sweeper does what time does: it is a process beside the API.
func (s *server) sweeper() *providers.Store {
	s.t.Helper()
	books := ledger.New(s.db.App, s.db.App, ledger.Options{})
	s.t.Cleanup(func() {
		if err := books.Close(context.WithoutCancel(s.t.Context())); err != nil {
			s.t.Error(err)
		}
	})
	return providers.NewStore(s.db.App, books)
}

// sweep fails the test unless a sweep finds so many.
func sweep(t testing.TB, want int, of func(context.Context) (int, error)) {
	t.Helper()
	if n, err := of(t.Context()); n != want || err != nil {
		t.Errorf("swept %d, want %d: %v", n, want, err)
	}
}

// A contract is answered as it was given, listed without its curve, and verified by somebody else than the one who entered it.
func TestContractIsAnsweredAsGiven(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := `{"provider_id":"{provider}","gpu_class":"H100-SXM-80GB","hours":"96","region":"eu-1","datacenter":"FRA-4",
		"hardware":{"form_factor":"SXM5","memory_gb":"80","interconnect":"NVLink 4","node_size":8},"firmness":"interruptible",
		"starts_at":"2031-01-01T00:00:00Z","expires_at":"2031-01-03T00:00:00Z",
		"delivery_curve":[{"start":"2031-01-02T00:00:00+01:00","end":"2031-01-02T23:00:00Z","gpus":2},{"start":"2031-01-01T00:00:00Z","end":"2031-01-01T23:00:00Z","gpus":2}],
		"max_concurrency":2,"max_daily_hours":"12.5","notice_hours":48,"remedy":"Credits","document_sha256":"` + strings.Repeat("ab", 32) + `","encumbrance":"None"}`
	body = strings.Replace(body, `"hours":"96"`, `"hours":"94"`, 1)
	pledge := s.post("operator", "/v1/pledges", body).want(201).expect(
		"datacenter", "FRA-4", "hardware.form_factor", "SXM5", "hardware.memory_gb", "80", "hardware.interconnect", "NVLink 4", "hardware.node_size", "8",
		"firmness", "interruptible", "max_concurrency", "2", "max_daily_hours", "12.500000", "notice_hours", "48", "remedy", "Credits",
		"document_sha256", strings.Repeat("ab", 32), "encumbrance", "None", "shortfall", nil, "created_by", s.names["operator"], "verified_by", nil,
		"delivery_curve.0.start", "2031-01-01T00:00:00Z", "delivery_curve.0.end", "2031-01-01T23:00:00Z", "delivery_curve.0.gpus", "2",
		"delivery_curve.0.hours", "46.000000", "delivery_curve.1.start", "2031-01-01T23:00:00Z", "delivery_curve.1.hours", "48.000000",
	).string("id")
	s.names["contract"] = pledge
	s.get("provider", "/v1/pledges/{contract}").want(200).expect("delivery_curve.1.hours", "48.000000", "provider_id", s.names["provider"])
	if listed := s.get("provider", "/v1/pledges?limit=1").want(200).at("data.0").(object); listed["id"] != pledge || listed["delivery_curve"] != nil {
		t.Errorf("listed: %v", listed)
	}
	s.post("operator", "/v1/pledges/{contract}/verify", `{}`).want(403, "four_eyes")
	s.post("second", "/v1/pledges/{contract}/verify", `{}`).want(200).
		expect("status", "active", "verified_by", s.names["second_operator"], "created_by", s.names["operator"])
	s.get("provider", "/v1/pledges/{pledge}").want(200).expect(
		"created_by", s.names["provider"], "verified_by", s.names["operator"], "firmness", "firm", "notice_hours", "0", "datacenter", nil,
		"max_concurrency", nil, "max_daily_hours", nil, "delivery_curve.0.gpus", nil, "delivery_curve.0.hours", "1000.000000")
	s.post("provider", "/v1/pledges", strings.Replace(pledgeBody, "{", `{"provider_id":"{provider}",`, 1)).want(201).
		expect("created_by", s.names["provider"])
}

// A call, its answer, and what becomes of a provider that gives none.
func TestRolloverCallIsAnsweredOrDefaults(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := s.sweeper()
	clock := pgtest.NewClock(t, s.db, time.Date(2031, 7, 20, 0, 0, 0, 0, time.UTC))
	sweep(t, 1, store.CallRollovers)
	const calls = "/v1/rollover-calls"
	call := s.get("provider", calls).want(200).expect(
		"data.0.pledge_id", s.names["pledge"], "data.0.provider_id", s.names["provider"], "data.0.status", "open", "data.0.hours", "101.111112",
		"data.0.closes_at", "2031-08-01T00:00:00Z", "data.0.opened_at", "2031-07-20T00:00:00Z", "data.0.closed_at", nil).ids()
	for _, who := range []string{"operator", "finance", "auditor"} {
		if got := s.get(who, calls+"?status=open&provider_id={provider}&pledge_id={pledge}").want(200).ids(); len(got) != 1 || got[0] != call[0] {
			t.Errorf("%s sees %v", who, got)
		}
	}
	for _, none := range []string{calls, calls + "?provider_id={provider}"} {
		if got := s.get("southwind", none).want(200).ids(); len(got) != 0 {
			t.Errorf("southwind sees %v", got)
		}
	}
	for _, none := range []string{"?status=answered", "?pledge_id={pledge_substitute}"} {
		if got := s.get("operator", calls+none).want(200).ids(); len(got) != 0 {
			t.Errorf("%s: %v", none, got)
		}
	}

	s.post("provider", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}","hours":"50"}`).want(201).expect(
		"hours", "50.000000", "substitute_hours", "45.000000", "k", "1", "substitute_k", "1", "haircut", "0.1", "substitute_haircut", "0",
		"epoch_id", s.names["epoch"], "pledge_id", s.names["pledge"], "substitute_pledge_id", s.names["pledge_substitute"])
	s.post("provider", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{southwind_pledge}"}`).want(404)
	s.post("provider", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}","amount":"100"}`).want(422, "insufficient_collateral")
	s.post("provider", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}","hours":"0"}`).want(400)
	s.get("provider", "/v1/transactions?kind=pledge_substitution").want(200).expect("data.0.pledge_id", s.names["pledge"])

	clock.Set(time.Date(2031, 8, 1, 0, 0, 0, 0, time.UTC))
	s.post("provider", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}"}`).want(422, "pledge_not_active")
	sweep(t, 2, store.LapseDue) // Southwind's pledge is over too.
	s.get("provider", calls).want(200).expect("data.0.id", call[0], "data.0.status", "defaulted", "data.0.closed_at", "2031-08-01T00:00:00Z")
	s.get("provider", "/v1/pledges/{pledge}").want(200).expect(
		"status", "defaulted", "available_hours", "0.000000", "backing_hours", "0.000000", "earmarked_hours", "10.000000", "expired_hours", "990.000000",
		"shortfall.hours", "50.000000", "shortfall.sch", "45.000000")
	s.get("provider", "/v1/pledges/{southwind_pledge}").want(404)
	s.get("operator", "/v1/pledges/{southwind_pledge}").want(200).expect("status", "expired", "expired_hours", "1000.000000", "shortfall", nil)
	s.get("operator", "/v1/transactions?kind=pledge_lapse").want(200).expect("data.0.kind", "pledge_lapse")
	s.post("provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"1"}`).want(422, "pledge_not_active")
	for _, c := range s.get("", "/v1/supply").want(200).at("checks").([]any) {
		if check := c.(object); check["ok"] != true {
			t.Errorf("%s does not hold: %s", check["name"], check["detail"])
		}
	}
}
