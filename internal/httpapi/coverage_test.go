package httpapi_test

import (
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/coverage"
)

func (s *server) assess(want int) {
	s.t.Helper()
	if got, err := coverage.NewStore(s.db.App).AssessDue(s.t.Context()); err != nil || got != want {
		s.t.Fatalf("%d states have changed, %v; want %d", got, err, want)
	}
}

// approved drafts a policy by one operator and approves it by the other.
func (s *server) approved(body string) {
	s.t.Helper()
	s.names["approved"] = s.post("second_operator", "/v1/policies", body).want(201).expect("approved_at", nil).string("id")
	s.post("operator", "/v1/policies/{approved}/approve", `{}`).want(200)
}

// A policy makes a healthy provider one that is called; more hours cure it. Everybody sees what is theirs.
func TestCoverageOverTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.get("operator", "/v1/coverage").want(200).expect("state", "healthy", "coverage", "26.566666", "outstanding", "90.000000",
		"providers.0.coverage", "15.455555", "providers.0.tier", "standard", "providers.0.classes.0.backing_hours", "101.111112", "providers.1.coverage", nil, "policy_version", "1")
	s.get("southwind", "/v1/coverage").want(200).expect("providers.0.provider_id", s.names["southwind"], "providers.0.sch", "1000.000000")
	s.assess(0)
	s.approved(`{"thresholds":{"watch_below":"20","call_below":"16","default_below":"5"},"haircuts":{"basic":"0.5"},"note":"A test."}`)
	s.assess(0) // The approval has done it.
	s.post("provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"1"}`).want(422, "coverage_too_low")
	s.post("provider", "/v1/pledges/{pledge}/release", `{"hours":"1"}`).want(422, "coverage_too_low")
	s.get("provider", "/v1/coverage/events").want(200).expect("data.0.cause", "policy", "data.0.from_state", "healthy", "data.0.to_state", "call")
	s.get("provider", "/v1/margin-calls?status=open").want(200).expect("data.0.provider_id", s.names["provider"], "data.0.coverage", "15.455555",
		"data.0.required_sch", "49.000000", "data.0.required_hours", "49.000000", "data.0.cause", "policy", "data.0.cured_at", nil)
	s.get("provider", "/v1/margin-calls?status=cured").want(200).none()
	s.get("southwind", "/v1/margin-calls").want(200).none()
	s.get("southwind", "/v1/coverage/events?provider_id={provider}").want(200).none()
	s.get("auditor", "/v1/coverage/events?state=call").want(200).expect("data.0.provider_id", s.names["provider"])
	s.get("auditor", "/v1/coverage/events?state=watch").want(200).none()
	s.post("operator", "/v1/pledges/{pledge_pending}/verify", `{}`).want(200)
	s.assess(0)
	s.get("finance", "/v1/margin-calls").want(200).expect("data.0.status", "cured", "data.0.cure", "pledge")
	s.post("operator", "/v1/providers/{provider}/tier", `{"tier":"basic"}`).want(200).expect("tier", "basic")
	s.post("operator", "/v1/providers/{provider}/tier", `{"tier":"basic"}`).want(200)
	s.get("provider", "/v1/coverage").want(200).expect("providers.0.tier", "basic", "providers.0.coverage", "13.283333", "providers.0.state", "call")
	s.post("operator", "/v1/providers", `{"name":"Eastwind","tier":"prime"}`).want(201).expect("tier", "prime")
	s.get("", "/v1/supply").want(200).expect("state", "healthy", "epoch.number", "1", "maturity.4.within_days", nil, "maturity.0.hours", "0.000000")
}

func TestBackingOverTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.get("alice", "/v1/accounts/{alice_account}/backing").want(200).expect("balance", "72.500000", "worth", "73.305556", "unbacked", "0.000000",
		"pledges.0.pledge_id", s.names["pledge"], "pledges.0.sch", "72.500000", "pledges.0.hours", "81.450618")
	s.get("alice", "/v1/accounts/{alice_second_account}/backing").want(200).expect("balance", "0.000000", "worth", "0.000000")
	s.get("alice", "/v1/accounts/{alice_hold_account}/backing").want(200).expect("balance", "5.000000", "pledges.0.sch", "5.000000")
	s.get("alice", "/v1/accounts/{alice_usd}/backing").want(422, "asset_mismatch")
	s.get("alice", "/v1/accounts/{escrow_account}/backing").want(409, "conflict")
	s.get("carol", "/v1/accounts/{alice_account}/backing").want(404, "not_found")
	s.get("provider", "/v1/accounts/{alice_account}/backing").want(403, "forbidden")
	s.get("auditor", "/v1/accounts/{alice_account}/backing?at=now").want(400, "invalid_request")
}

func TestPoliciesOverTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	for _, tt := range [][2]string{
		{`{"note":""}`, "note:required"},
		{`{"note":"x","mint_buffer":"1e3"}`, "mint_buffer:invalid_value"},
		{`{"note":"x","thresholds":{"call_below":"0.5"}}`, "thresholds.call_below:not_ordered"},
		{`{"note":"x","haircuts":{"basic":"1"}}`, "haircuts.basic:invalid_value"},
		{`{"note":"x","haircuts":{"concentration":[{"above":"0.5","haircut":"x"}]}}`, "haircuts.concentration[0].haircut:invalid_value"},
		{`{"note":"x","haircuts":{"delivery":[{"from_days":9,"haircut":"0"},{"from_days":9,"haircut":"0"}]}}`, "haircuts.delivery[1].from_days:not_rising"},
		{`{"note":"x","index":{"min_sources":0}}`, "index.min_sources:out_of_range"},
		{`{"note":"x","margin_call_seconds":-5}`, "margin_call_seconds:out_of_range"},
		{`{"note":"x","epochs":{"notice_seconds":9000000000000000}}`, "epochs.notice_seconds:out_of_range"},
	} {
		got := s.post("operator", "/v1/policies", tt[0]).want(400, "invalid_request").fields()
		if strings.Join(got, " ") != tt[1] {
			t.Errorf("%s: %v, want %s", tt[0], got, tt[1])
		}
	}
	s.post("operator", "/v1/policies/plcy_00000000000000000000000001/approve", `{}`).want(404, "not_found")
	s.post("operator", "/v1/policies/{policy_draft}/approve", `{"effective_at":"2020-01-01T00:00:00Z"}`).want(400, "invalid_request")
	s.post("operator", "/v1/providers/prov_00000000000000000000000001/tier", `{"tier":"prime"}`).want(404, "not_found")
	s.post("operator", "/v1/providers/{provider}/tier", `{"tier":"gold"}`).want(400, "invalid_request")
	sameRows(t, before, s.rows())
	s.post("operator", "/v1/policies/{policy_draft}/approve", `{"effective_at":"2031-01-01T00:00:00Z"}`).want(200).expect("effective_at", "2031-01-01T00:00:00Z")
	s.post("operator", "/v1/policies/{policy_draft}/approve", `{}`).want(200)
	s.post("second_operator", "/v1/policies/{policy_draft}/approve", `{}`).want(409, "conflict")
	s.get("auditor", "/v1/policies?limit=1").want(200).expect("data.0.version", "2", "data.0.mint_buffer", "0.02", "data.0.drafted_by", s.names["second_operator"])
}

// none fails the test unless the list is empty.
func (r *reply) none() {
	r.t.Helper()
	if data, ok := r.at("data").([]any); !ok || len(data) != 0 {
		r.t.Errorf("the list is not empty: %s", r.text)
	}
}

// What comes into force later than all before it must not be set for a time that nobody lives to see.
func TestNothingComesIntoForceInTheDistantFuture(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.names["policy"] = s.post("operator", "/v1/policies", `{"note":"A slip of the pen."}`).want(201).string("id")
	s.post("second_operator", "/v1/policies/{policy}/approve", `{"effective_at":"2126-01-01T00:00:00Z"}`).want(400, "invalid_request", "effective_at:too_late")
	s.post("operator", "/v1/anchor/epochs", `{"effective_at":"2126-01-01T00:00:00Z"}`).want(400, "invalid_request", "effective_at:too_late")
	s.names["draft"] = s.post("operator", "/v1/anchor/epochs", `{}`).want(201).string("id")
	s.post("second_operator", "/v1/anchor/epochs/{draft}/approve", `{}`).want(200)
	s.post("operator", "/v1/anchor/epochs/{draft}/announce", `{"effective_at":"2126-01-01T00:00:00Z"}`).want(400, "invalid_request", "effective_at:too_late")
}
