package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// A provider polls with a lease, gives a part, and says what for; the holder cannot cancel any more, and acknowledges.
func TestLeasedAndPartlyIssued(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	lease := s.post("provider", "/v1/provider/redemptions/lease", object{"limit": 5}).want(200)
	data := lease.body["data"].([]any)
	if len(data) != 1 || data[0].(object)["id"] != s.names["redemption"] || data[0].(object)["lease_expires_at"] == nil {
		t.Fatalf("leased %s", lease.text)
	}
	if again := s.post("provider", "/v1/provider/redemptions/lease", object{}).want(200); len(again.body["data"].([]any)) != 0 {
		t.Errorf("leased again %s", again.text)
	}
	s.post("alice", "/v1/redemptions/{redemption}/cancel", object{}).want(409, "conflict")
	s.post("alice", "/v1/redemptions/{redemption}/acknowledge", object{}).want(409, "conflict")
	part := object{"provider_grant_id": "g", "hours": "4", "reason": "No more machines.", "lease_id": "lease_01kz3n2r8cf6z9a4b1d7e5g3hk"}
	s.post("provider", "/v1/provider/redemptions/{redemption}/issue", part).want(409, "conflict")
	s.post("provider", "/v1/provider/redemptions/{redemption}/reject", object{"reason": "x", "lease_id": part["lease_id"]}).want(409, "conflict")
	part["lease_id"] = lease.body["lease_id"]
	issued := s.post("provider", "/v1/provider/redemptions/{redemption}/issue", part).want(200).body
	if issued["status"] != "issued" || issued["delivered_hours"] != "4.000000" || issued["refunded_amount"] != "6.000000" || issued["reason"] != "No more machines." {
		t.Errorf("issued %v", issued)
	}
	s.post("alice", "/v1/redemptions/{redemption}/acknowledge", object{}).want(200)
	if got := s.post("alice", "/v1/redemptions/{redemption}/acknowledge", nil).want(200).body; got["status"] != "acknowledged" {
		t.Errorf("acknowledged %v", got)
	}
}

// What operators decide takes two of them.
func TestResolvedAndCorrectedByTwo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.post("operator", "/v1/redemptions/{redemption}/resolve", object{"outcome": "refunded", "evidence": "x"}).want(409, "conflict")
	loseRedemption(s)
	s.post("alice", "/v1/redemptions/{redemption}/cancel", object{}).want(409, "conflict")
	s.post("operator", "/v1/redemptions/{redemption}/resolve", object{"outcome": "refunded", "evidence": "x"}).want(201)
	proposed := s.post("operator", "/v1/redemptions/{redemption}/resolve", object{"outcome": "issued", "provider_grant_id": "g", "evidence": "Ticket 5512"}).want(201).body
	if fmt.Sprint(proposed["number"]) != "2" || proposed["approved_by"] != nil {
		t.Errorf("proposed %v", proposed)
	}
	s.post("operator", "/v1/redemptions/{redemption}/resolve/approve", object{"number": 2}).want(403, "four_eyes")
	s.post("second", "/v1/redemptions/{redemption}/resolve/approve", object{"number": 1}).want(409, "conflict")
	s.post("second", "/v1/redemptions/{redemption}/resolve/approve", object{"number": 3}).want(404, "not_found")
	if got := s.post("second", "/v1/redemptions/{redemption}/resolve/approve", object{"number": 2}).want(200).body; got["status"] != "issued" || got["provider_grant_id"] != "g" {
		t.Errorf("resolved %v", got)
	}
	if list := s.get("finance", "/v1/redemptions/{redemption}/resolutions").want(200).body["data"].([]any); len(list) != 2 || list[1].(object)["approved_by"] != s.names["second_operator"] {
		t.Errorf("the resolutions are %v", list)
	}

	s.post("operator", "/v1/redemptions/{redemption}/corrections", object{"hours": "11", "reason": "x"}).want(409, "conflict")
	s.post("operator", "/v1/redemptions/{redemption}/corrections", object{"hours": "0", "reason": "x"}).want(422, "amount_out_of_range")
	s.post("operator", "/v1/redemptions/{redemption}/corrections", object{"hours": "2", "reason": "Two machines never started"}).want(201)
	s.post("operator", "/v1/redemptions/{redemption}/corrections/1/approve", nil).want(403, "four_eyes")
	s.post("second", "/v1/redemptions/{redemption}/corrections/2/approve", nil).want(404, "not_found")
	for range 2 {
		got := s.post("second", "/v1/redemptions/{redemption}/corrections/1/approve", nil).want(200).body
		corrections := got["corrections"].([]any)
		if len(corrections) != 1 || corrections[0].(object)["amount"] != "2.000000" {
			t.Fatalf("corrected %v", got)
		}
		s.names["correction"] = corrections[0].(object)["transaction_id"].(string)
	}
	if got := s.get("operator", "/v1/transactions/{correction}").want(200).body; got["kind"] != "redemption_correction" || got["redemption_id"] != s.names["redemption"] {
		t.Errorf("the transaction is %v", got)
	}
	if list := s.get("auditor", "/v1/redemptions/{redemption}/corrections").want(200).body["data"].([]any); len(list) != 1 {
		t.Errorf("the corrections are %v", list)
	}
	for _, c := range s.get("", "/v1/supply").want(200).body["checks"].([]any) {
		if c.(object)["ok"] != true {
			t.Errorf("after all of it: %v", c)
		}
	}
}

func TestDeliveryIsChosen(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	put := func(body object) *call { return s.as("provider", http.MethodPut, "/v1/provider/delivery", body) }
	if got := s.get("provider", "/v1/provider/delivery").want(200).body; got["transport"] != "pull" || fmt.Sprint(got["sla_seconds"]) != "86400" || got["updated_at"] != nil {
		t.Errorf("at first %v", got)
	}
	for _, tt := range []struct {
		body object
		want []string
	}{
		{object{}, []string{"transport:required"}},
		{object{"transport": "fax", "sla_seconds": 59}, []string{"transport:invalid_value", "sla_seconds:out_of_range"}},
		{object{"transport": "push"}, []string{"endpoint:required"}},
		{object{"transport": "pull", "endpoint": "https://a.example"}, []string{"endpoint:not_allowed"}},
		{object{"transport": "push", "endpoint": "a.example"}, []string{"endpoint:invalid_url"}},
		{object{"transport": "push", "endpoint": "https://user@a.example"}, []string{"endpoint:credentials"}},
	} {
		if got := put(tt.body).want(400, "invalid_request").fields(); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.body, got, tt.want)
		}
	}
	if got := put(object{"transport": "voucher", "sla_seconds": 600}).want(200).body; got["transport"] != "voucher" || fmt.Sprint(got["sla_seconds"]) != "600" || got["updated_at"] == nil {
		t.Errorf("then %v", got)
	}
	// What was under way goes on as it began.
	if got := s.get("alice", "/v1/redemptions/{redemption}").want(200).body; got["transport"] != "pull" || got["status"] != "dispatched" {
		t.Errorf("the redemption is %v", got)
	}
}
