package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
)

// feed reads the whole feed as somebody, a page of so many at a time, and returns the types of events, each with what it is about.
func (s *server) feed(who, query string) (types []string, events []object) {
	s.t.Helper()
	after := ""
	for {
		got := s.get(who, "/v1/events?"+query+after).want(http.StatusOK)
		for _, e := range got.body["data"].([]any) {
			e := e.(object)
			events = append(events, e)
			types = append(types, e["type"].(string))
		}
		after = "&after=" + got.string("next_cursor")
		if got.body["has_more"] == false {
			return types, events
		}
	}
}

// The story of the world, as each of those who have a part in it reads it: all of their own, nothing of others', in its order, whatever
// the size of the pages.
func TestFeedTellsTheStoryToEachOfItsPeople(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	pledged := []string{"pledge.created", "pledge.verified"}
	redeemed := []string{"redemption.requested", "redemption.reserved", "redemption.dispatched"}
	for who, want := range map[string][]string{
		"alice":     slices.Concat([]string{"mint.created", "transfer.created", "hold.created"}, redeemed),
		"bob":       {"transfer.created"},
		"carol":     nil,
		"southwind": pledged,
		"provider":  slices.Concat(pledged, []string{"mint.created"}, redeemed, []string{"pledge.created"}, pledged),
		"auditor": slices.Concat(pledged, []string{"mint.created", "transfer.created", "hold.created"}, redeemed,
			[]string{"pledge.created", "pledge.created"}, pledged, []string{"webhook.test", "pledge.verified"}),
	} {
		for _, limit := range []string{"limit=200", "limit=1", "limit=2"} {
			got, _ := s.feed(who, limit)
			if !slices.Equal(got, want) {
				t.Errorf("%s with %s: %v, want %v", who, limit, got, want)
			}
		}
	}
}

// An event says what it is about and tells of it what its reader may know; it is the same event for all who see it.
func TestEventsTellWhatTheirReaderMayKnow(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, alice := s.feed("alice", "types=transfer.created")
	_, bob := s.feed("bob", "types=transfer.*")
	if len(alice) != 1 || len(bob) != 1 || alice[0]["id"] != bob[0]["id"] {
		t.Fatalf("Alice reads %v, Bob %v", alice, bob)
	}
	posting := func(e object) object { return e["data"].(object)["postings"].([]any)[0].(object) }
	if a, b := posting(alice[0]), posting(bob[0]); a["from_balance"] != "87.500000" || a["to_balance"] != nil || b["from_balance"] != nil || b["to_balance"] != "12.500000" {
		t.Errorf("the balances are %v for Alice and %v for Bob", a, b)
	}
	if object := alice[0]["object"].(object); object["type"] != "transaction" || object["id"] != s.names["transfer"] {
		t.Errorf("the payment is about %v", object)
	}
	_, told := s.feed("provider", "types=redemption.dispatched")
	data := told[0]["data"].(object)
	for name, want := range map[string]any{
		"account_id": s.names["alice_account"], "amount": "10.000000", "hours": "10.000000", "status": "dispatched", "provider_grant_id": nil,
		"transport": "pull", "epoch_id": s.names["epoch"],
	} {
		if data[name] != want {
			t.Errorf("%s of the redemption is %v, want %v", name, data[name], want)
		}
	}
	s.post("provider", "/v1/provider/redemptions/{redemption}/issue", `{"provider_grant_id":"g-1"}`).want(200)
	if _, told = s.feed("alice", "types=redemption.issued"); len(told) != 1 || told[0]["data"].(object)["provider_grant_id"] != "g-1" || told[0]["data"].(object)["delivered_hours"] != "10.000000" {
		t.Errorf("the end of the redemption is %v", told)
	}
}

// One who has read to the end is told what comes after it, and no more than that.
func TestFeedGoesOn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	latest := s.get("bob", "/v1/events?after=latest").want(200)
	if latest.expect("has_more", false); len(latest.ids()) != 0 {
		t.Errorf("the end of the feed has %v", latest.ids())
	}
	end := "/v1/events?after=" + latest.string("next_cursor")
	if now := s.get("bob", end).want(200).expect("next_cursor", latest.string("next_cursor")); len(now.ids()) != 0 {
		t.Errorf("after the end Bob reads %v", now.ids())
	}
	s.post("bob", "/v1/transfers", `{"from_account":"{bob_account}","to_account":"{carol_account}","amount":"1","reference":"back"}`).want(201)
	for _, who := range []string{"bob", "carol", "finance"} {
		s.get(who, end).want(200).expect("has_more", false, "data.0.type", "transfer.created", "data.0.data.reference", "back")
	}
	if got := s.get("alice", end).want(200).ids(); len(got) != 0 {
		t.Errorf("Alice reads %v", got)
	}
	id := s.get("bob", end).want(200).string("data.0.object.id")
	s.post("operator", "/v1/transactions/"+id+"/reverse", `{"reason":"by mistake"}`).want(201)
	s.get("carol", end+"&types=transaction.reversed").want(200).expect("data.0.object.id", id, "data.0.data.reason", "by mistake")
}

// What the sweeps do to collateral is told too, each in the form that the contract has for it.
func TestFeedTellsOfCollateral(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	call, rollover := id.New(), id.New()
	named := strings.NewReplacer("{call}", call.String(), "{rollover}", rollover.String(), "{provider}", uuidOf(t, "prov", s.names["provider"]).String(),
		"{pledge}", uuidOf(t, "pldg", s.names["pledge"]).String(), "{epoch}", uuidOf(t, "epoch", s.names["epoch"]).String())
	for _, sql := range []string{
		`INSERT INTO margin_calls (id, provider_id, opened_at, deadline, coverage, required_sch, required_hours, gpu_class, cause, policy_version)
		 VALUES ('{call}', '{provider}', now() - interval '2 hours', now() - interval '1 hour', 0.95, 5, 5.263158, 'H100-SXM-80GB', 'epoch', 1)`,
		`UPDATE margin_calls SET status = 'escalated', escalated_at = now() WHERE id = '{call}'`,
		`UPDATE margin_calls SET status = 'cured', cured_at = now(), cure = 'pledge' WHERE id = '{call}'`,
		`INSERT INTO rollover_calls (id, pledge_id, closes_at, hours) VALUES ('{rollover}', '{pledge}', now() + interval '1 day', 5000000)`,
		`UPDATE rollover_calls SET hours = 4000000 WHERE id = '{rollover}'`,
		`UPDATE rollover_calls SET status = 'answered', closed_at = now() WHERE id = '{rollover}'`,
		`INSERT INTO coverage_events (provider_id, from_state, to_state, cause, effects, sch, outstanding, coverage, epoch_id, policy_version, margin_call_id, seq, at)
		 VALUES ('{provider}', 'healthy', 'call', 'epoch', '[]', 95, 100, 0.95, '{epoch}', 1, '{call}', 1, now()),
		        (NULL, 'healthy', 'watch', 'epoch', '[]', 95, 0, NULL, '{epoch}', 1, NULL, 1, now())`,
	} {
		if _, err := s.db.Pool.Exec(t.Context(), named.Replace(sql)); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	types, told := s.feed("provider", "types=margin_call.*,rollover_call.*,coverage.changed")
	want := []string{"margin_call.opened", "margin_call.escalated", "margin_call.cured", "rollover_call.opened", "rollover_call.answered", "coverage.changed"}
	if !slices.Equal(types, want) {
		t.Fatalf("the provider reads %v", types)
	}
	for i, want := range []object{
		{"status": "open", "cure": nil, "coverage": "0.950000", "required_sch": "5.000000"},
		{"status": "escalated", "cure": nil},
		{"status": "cured", "cure": "pledge"},
		{"status": "open", "hours": "5.000000", "pledge_id": s.names["pledge"]},
		{"status": "answered", "hours": "4.000000"},
		{"from_state": "healthy", "to_state": "call", "margin_call_id": id.Format(id.MarginCall, call), "outstanding": "100.000000"},
	} {
		for name, value := range want {
			if got := told[i]["data"].(object)[name]; got != value {
				t.Errorf("%s: %s is %v, want %v", types[i], name, got, value)
			}
		}
	}
	// Of all together, only those hear who see everything.
	if _, told = s.feed("finance", "types=coverage.changed"); len(told) != 2 || told[1]["object"].(object)["id"] != nil {
		t.Errorf("finance reads %v", told)
	}
	if types, _ := s.feed("southwind", "types=margin_call.*,coverage.changed"); len(types) > 0 {
		t.Errorf("another provider reads %v", types)
	}
}

func TestMalformedFeedParameters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, query := range []string{
		"after=", "after=x", "after=first", "after=ZXZlbnRzAAAAAAAAAA", "after=ZXZlbnRzgAAAAAAAAAA", "after=ZXZlbnRzAAAAAAAAAAAA", "cursor=ZXZlbnRzAAAAAAAAAAg",
		"types=", "types=gift.given", "types=redemption", "types=*", "types=.*", "types=redemption.*,", "types=transfer.created,%00", "limit=0", "limit=201", "type=mint.created",
	} {
		s.get("operator", "/v1/events?"+query).want(400, "invalid_request")
	}
}

// The words of the contract are those of the domain.
func TestEventTypesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Types() {
		if !wire.EventType(typ).Valid() {
			t.Errorf("the contract does not know %s", typ)
		}
	}
	var declared []string
	for _, one := range theContract(t).doc.Components.Schemas["EventType"].Value.Enum {
		declared = append(declared, one.(string))
	}
	if len(declared) != len(events.Types()) {
		t.Errorf("the contract has %d types, the domain %d", len(declared), len(events.Types()))
	}
}
