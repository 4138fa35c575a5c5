package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// who has the role, in the world.
var someoneOf = map[string]string{
	"operator": "operator", "provider": "provider", "holder": "alice", "finance": "finance", "auditor": "auditor",
}

// Every role on every call: it is let in if the contract says so, and else it is told that it may not, before anything that it
// sends is looked at. The bodies are malformed, so that nothing takes effect.
func TestEveryRoleOnEveryCall(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	for _, op := range theContract(t).operations() {
		var body any
		if op.method != http.MethodGet {
			body = `{"unheard_of":1}`
		}
		path, roles := pathOf(t, s, op), op.roles()
		public := slices.Equal(roles, []string{"public"})
		for role, who := range someoneOf {
			got := s.as(who, op.method, path, body).send()
			allowed := public || slices.Contains(roles, role)
			if refused := got.status == http.StatusForbidden; refused == allowed {
				t.Errorf("%s as %s: %d", op, role, got.status)
			}
			if allowed && op.method != http.MethodGet && got.status != http.StatusBadRequest {
				t.Errorf("%s as %s: a malformed body was answered with %d", op, role, got.status)
			}
		}
		for _, c := range []*call{s.as("", op.method, path, body), s.as("", op.method, path, body).with("Authorization", "Bearer "+operatorSecret+"x")} {
			if got := c.send(); (got.status == http.StatusUnauthorized) == public {
				t.Errorf("%s without a key: %d", op, got.status)
			}
		}
	}
	sameRows(t, before, s.rows())
}

// What belongs to somebody else is not there: to be read, to be moved, or to be listed.
func TestOthersAreNotThere(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	for _, tt := range []struct{ who, method, path, body string }{
		{"carol", "GET", "/v1/accounts/{alice_account}", ""},
		{"carol", "GET", "/v1/accounts/{alice_account}?at_seq=2", ""},
		{"carol", "GET", "/v1/accounts/{alice_hold_account}", ""},
		{"carol", "GET", "/v1/accounts/{escrow_account}", ""},
		{"carol", "GET", "/v1/accounts/{issuance_account}", ""},
		{"carol", "GET", "/v1/accounts/{pledge_available}", ""},
		{"carol", "GET", "/v1/accounts/{alice_account}/postings", ""},
		{"carol", "GET", "/v1/accounts/{alice_account}/liability-proof", ""},
		{"alice", "GET", "/v1/accounts/{issuance_account}/liability-proof", ""},
		{"operator", "GET", "/v1/accounts/acct_00000000000000000000000001/liability-proof", ""},
		{"operator", "POST", "/v1/holders/hldr_00000000000000000000000001/erase", ""},
		{"southwind", "POST", "/v1/pledges/statement", strings.Replace(pledgeBody, "{", `{"provider_id":"{provider}",`, 1)},
		{"carol", "GET", "/v1/holds/{hold}", ""},
		{"carol", "GET", "/v1/transactions/{transfer}", ""},
		{"carol", "GET", "/v1/transactions/{mint}", ""},
		{"carol", "GET", "/v1/redemptions/{redemption}", ""},
		{"carol", "GET", "/v1/holders/{alice}", ""},
		{"carol", "GET", "/v1/anchor/epochs/{epoch_draft}", ""},
		{"provider", "GET", "/v1/anchor/epochs/{epoch_approved}", ""},
		{"bob", "GET", "/v1/transactions/{mint}", ""},
		{"bob", "GET", "/v1/transactions/{hold_transaction}", ""},
		{"carol", "POST", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{carol_account}","amount":"1"}`},
		{"carol", "POST", "/v1/holds", `{"account_id":"{alice_account}","amount":"1"}`},
		{"carol", "POST", "/v1/holds/{hold}/capture", `{"to_account":"{carol_account}"}`},
		{"carol", "POST", "/v1/holds/{hold}/void", `{}`},
		{"carol", "POST", "/v1/accounts", `{"holder_id":"{alice}","asset":"SCH"}`},
		{"carol", "POST", "/v1/redemptions", `{"account_id":"{alice_account}","amount":"1","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`},
		{"carol", "POST", "/v1/redemptions/{redemption}/cancel", `{}`},
		{"carol", "POST", "/v1/redemptions/{redemption}/acknowledge", `{}`},
		{"operator", "GET", "/v1/redemptions/rdmp_00000000000000000000000001/corrections", ""},
		{"operator", "GET", "/v1/redemptions/rdmp_00000000000000000000000001/resolutions", ""},
		{"operator", "POST", "/v1/redemptions/rdmp_00000000000000000000000001/corrections", `{"hours":"1","reason":"x"}`},
		{"operator", "POST", "/v1/redemptions/rdmp_00000000000000000000000001/resolve", `{"outcome":"refunded","evidence":"x"}`},
		{"operator", "POST", "/v1/redemptions/{redemption}/resolve/approve", `{"number":1}`},
		{"operator", "POST", "/v1/redemptions/{redemption}/corrections/1/approve", `{}`},
		{"operator", "POST", "/v1/redemptions/{redemption}/corrections/01/approve", `{}`},
		{"operator", "POST", "/v1/redemptions/{redemption}/corrections/0/approve", `{}`},
		{"operator", "POST", "/v1/redemptions/{redemption}/corrections/99999/approve", `{}`},
		{"carol", "GET", "/v1/redemption-quotes/{redemption_quote}", ""},
		{"carol", "POST", "/v1/redemptions", `{"account_id":"{carol_account}","quote_id":"{redemption_quote}"}`},
		{"carol", "POST", "/v1/redemptions", `{"account_id":"{alice_account}","quote_id":"{redemption_quote}"}`},
		{"carol", "POST", "/v1/redemption-quotes", strings.Replace(quoteBody, "{amount}", "1", 1)},
		{"alice", "POST", "/v1/redemptions", `{"account_id":"{alice_account}","quote_id":"rqt_00000000000000000000000001"}`},
		{"operator", "GET", "/v1/redemption-quotes/rqt_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/redemption-quotes/{redemption}", ""},
		{"southwind", "GET", "/v1/accounts/{pledge_available}", ""},
		{"southwind", "GET", "/v1/accounts/{issuance_account}", ""},
		{"southwind", "GET", "/v1/accounts/{alice_account}", ""},
		{"southwind", "GET", "/v1/accounts/{pledge_backing}/postings", ""},
		{"southwind", "GET", "/v1/transactions/{mint}", ""},
		{"southwind", "GET", "/v1/transactions/{transfer}", ""},
		{"southwind", "GET", "/v1/pledges/{pledge}", ""},
		{"southwind", "GET", "/v1/redemptions/{redemption}", ""},
		{"southwind", "GET", "/v1/providers/{provider}", ""},
		{"southwind", "GET", "/v1/provider/settlements?provider_id={provider}", ""},
		{"southwind", "GET", "/v1/provider/vouchers?provider_id={provider}", ""},
		{"operator", "GET", "/v1/provider/vouchers?provider_id=prov_00000000000000000000000001", ""},
		{"southwind", "POST", "/v1/provider/vouchers/void", `{"batch_id":"{voucher_batch}"}`},
		{"operator", "GET", "/v1/provider/settlements?provider_id=prov_00000000000000000000000001", ""},
		{"southwind", "POST", "/v1/pledges/{pledge}/release", `{"hours":"1"}`},
		{"southwind", "POST", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{southwind_pledge}"}`},
		{"southwind", "POST", "/v1/pledges/{southwind_pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}"}`},
		{"operator", "POST", "/v1/pledges/{southwind_pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}"}`},
		{"southwind", "POST", "/v1/pledges", strings.Replace(pledgeBody, "{", `{"provider_id":"{provider}",`, 1)},
		{"operator", "POST", "/v1/pledges", strings.Replace(pledgeBody, "{", `{"provider_id":"prov_00000000000000000000000001",`, 1)},
		{"southwind", "POST", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{carol_account}","amount":"1"}`},
		{"southwind", "POST", "/v1/provider/redemptions/{redemption}/issue", `{"provider_grant_id":"g"}`},
		{"southwind", "POST", "/v1/provider/redemptions/{redemption}/reject", `{"reason":"no"}`},
		{"provider", "GET", "/v1/accounts/{alice_account}", ""},
		{"provider", "GET", "/v1/transactions/{transfer}", ""},
		{"carol", "GET", "/v1/webhook-endpoints/{webhook_endpoint}", ""},
		{"carol", "POST", "/v1/webhook-endpoints/{webhook_endpoint}", `{"event_types":[]}`},
		{"provider", "POST", "/v1/webhook-endpoints/{webhook_endpoint}/disable", ""},
		{"provider", "POST", "/v1/webhook-endpoints/{webhook_endpoint}/enable", ""},
		{"carol", "POST", "/v1/webhook-endpoints/{webhook_endpoint}/rotate", `{}`},
		{"carol", "POST", "/v1/webhook-endpoints/{webhook_endpoint}/test", ""},
		{"carol", "GET", "/v1/webhook-endpoints/{webhook_endpoint}/deliveries", ""},
		{"carol", "POST", "/v1/webhook-endpoints/{webhook_endpoint}/deliveries/{webhook_delivery}/replay", ""},
		{"operator", "POST", "/v1/webhook-endpoints/{webhook_endpoint}/deliveries/dlvr_00000000000000000000000001/replay", ""},
		{"operator", "GET", "/v1/webhook-endpoints/hook_00000000000000000000000001/deliveries", ""},
		// Nor is what is malformed, or never was.
		{"operator", "GET", "/v1/accounts/acct_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/accounts/{transfer}", ""},
		{"operator", "GET", "/v1/accounts/nonsense", ""},
		{"operator", "GET", "/v1/accounts/acct_00000000000000000000000000", ""},
		{"operator", "GET", "/v1/holds/hold_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/transactions/txn_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/pledges/pldg_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/redemptions/rdmp_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/holders/hldr_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/providers/prov_00000000000000000000000001", ""},
		{"operator", "GET", "/v1/anchor/epochs/epoch_00000000000000000000000001", ""},
		{"operator", "POST", "/v1/anchor/epochs/epoch_00000000000000000000000001/announce", ""},
		{"operator", "POST", "/v1/anchor/epochs/epoch_00000000000000000000000001/preview", ""},
		{"operator", "GET", "/v1/gpu-classes/H100-SXM-80GB/sunset", ""},
		{"operator", "POST", "/v1/gpu-classes/H100-SXM-80GB/sunset/approve", `{"sunset_id":"{sunset}"}`},
		{"operator", "POST", "/v1/gpu-classes/NO-SUCH-GPU/sunset", `{"no_mints_from":"2032-01-01T00:00:00Z","sunset_at":"2032-07-01T00:00:00Z","reason":"x"}`},
		{"operator", "GET", "/v1/anchor?at=2020-01-01T00:00:00Z", ""},
		{"operator", "GET", "/v1/api-keys/key_00000000000000000000000001", ""},
		{"operator", "POST", "/v1/accounts/acct_00000000000000000000000001/freeze", ""},
		{"operator", "POST", "/v1/api-keys/key_00000000000000000000000001/revoke", ""},
		{"operator", "POST", "/v1/api-keys", `{"role":"holder","holder_id":"hldr_00000000000000000000000001","name":"x"}`},
		{"operator", "POST", "/v1/accounts", `{"holder_id":"hldr_00000000000000000000000001","asset":"SCH"}`},
		{"operator", "POST", "/v1/accounts", `{"holder_id":"{alice}","asset":"GPUH:NO-SUCH-GPU"}`},
		{"operator", "POST", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"acct_00000000000000000000000001","amount":"1"}`},
	} {
		var body any
		if tt.body != "" {
			body = tt.body
		}
		s.as(tt.who, tt.method, tt.path, body).want(404, "not_found")
	}
	sameRows(t, before, s.rows())
}

func TestListsHaveOnlyOnesOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for path, want := range map[string]map[string][]string{
		"/v1/accounts?kind=holder": {
			"carol": {"carol_account"}, "bob": {"bob_account"}, "southwind": {}, "provider": {},
			"alice": {"alice_usd", "alice_second_account", "alice_account"},
		},
		"/v1/accounts?holder_id={alice}&kind=holder&asset=USD": {"alice": {"alice_usd"}, "carol": {}, "southwind": {}, "auditor": {"alice_usd"}},
		"/v1/accounts?kind=issuance":                           {"provider": {"issuance_account"}, "alice": {}},

		"/v1/holds": {"alice": {"hold"}, "carol": {}, "bob": {}, "finance": {"hold"}},
		"/v1/holds?account_id={alice_account}&status=held": {"carol": {}, "operator": {"hold"}},

		"/v1/transactions?kind=transfer":                        {"alice": {"transfer"}, "bob": {"transfer"}, "carol": {}, "provider": {}, "southwind": {}, "auditor": {"transfer"}},
		"/v1/transactions?kind=mint":                            {"alice": {"mint"}, "provider": {"mint"}, "bob": {}, "southwind": {}},
		"/v1/transactions?reference=PO-881":                     {"operator": {"mint"}, "carol": {}},
		"/v1/transactions?account_id={alice_account}&kind=mint": {"alice": {"mint"}, "bob": {}, "carol": {}, "operator": {"mint"}},

		"/v1/pledges":                          {"provider": {"pledge_substitute", "pledge_pending", "pledge"}, "southwind": {"southwind_pledge"}},
		"/v1/pledges?provider_id={provider}":   {"southwind": {}, "finance": {"pledge_substitute", "pledge_pending", "pledge"}},
		"/v1/pledges?status=pending":           {"operator": {"pledge_pending"}, "southwind": {}},
		"/v1/pledges?gpu_class=H200-SXM-141GB": {"operator": {}},

		"/v1/redemptions": {"alice": {"redemption"}, "provider": {"redemption"}, "carol": {}, "southwind": {}, "auditor": {"redemption"}},

		"/v1/redemptions?provider_id={provider}&account_id={alice_account}": {"alice": {"redemption"}, "southwind": {}, "carol": {}},

		"/v1/redemptions?status=issued":              {"operator": {}},
		"/v1/provider/redemptions?status=dispatched": {"provider": {"redemption"}, "southwind": {}},
		"/v1/provider/redemptions":                   {"provider": {"redemption"}},
		"/v1/anchor/epochs":                          {"alice": {"epoch"}, "provider": {"epoch"}, "operator": {"epoch_approved", "epoch_draft", "epoch"}, "auditor": {"epoch_approved", "epoch_draft", "epoch"}},
		"/v1/anchor/epochs?status=draft":             {"alice": {}, "finance": {"epoch_draft"}},
		"/v1/webhook-endpoints":                      {"operator": {"webhook_endpoint"}, "second": {"webhook_endpoint"}, "alice": {}, "provider": {}},
		"/v1/holders":                                {"carol": {"carol"}, "finance": {"carol", "bob", "alice"}},
		"/v1/providers":                              {"southwind": {"southwind"}, "operator": {"southwind", "provider"}},
	} {
		for who, names := range want {
			ids := []string{}
			for _, name := range names {
				ids = append(ids, s.names[name])
			}
			if got := s.get(who, path).want(200).ids(); !slices.Equal(got, ids) {
				t.Errorf("%s as %s: %v, want %v", path, who, got, names)
			}
		}
	}
}

// Both sides of a payment see it, and of its balances only their own.
func TestBalancesOfOthersAreNull(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const from, to = "postings.0.from_balance", "postings.0.to_balance"
	s.get("alice", "/v1/transactions/{transfer}").want(200).expect(from, "87.500000", to, nil, "postings.0.from_version", "2", "postings.0.to_version", nil)
	s.get("bob", "/v1/transactions/{transfer}").want(200).expect(from, nil, to, "12.500000", "postings.0.from_version", nil, "postings.0.to_version", "1")
	s.get("auditor", "/v1/transactions/{transfer}").want(200).expect(from, "87.500000", to, "12.500000")
	s.get("provider", "/v1/transactions/{mint}").want(200).expect(from, "-100.000000", to, nil, "postings.1.to_balance", "111.111112")
	s.get("alice", "/v1/transactions/{mint}").want(200).expect(from, nil, to, "100.000000", "postings.1.from_balance", nil)
	mint := `{"pledge_id":"{pledge}","account_id":"{bob_account}","amount":"1"}`
	s.post("provider", "/v1/mints", mint).want(201).expect(from, "-101.000000", to, nil, "account_id", s.names["bob_account"], "backing_hours", "1.111112")
	s.post("operator", "/v1/mints", mint).want(201).expect(from, "-102.000000", to, "14.500000")
}
