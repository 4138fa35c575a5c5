package httpapi_test

import (
	"testing"

	"github.com/shopspring/decimal"
)

// What is minted and burned are the gross flows of the journal, wherever they are said: the supply, the log's proof of liabilities, and, with mints,
// reversals, burns and corrections apart, the settlement of the one provider that there is.
func TestMintedAndBurnedAreGrossFlows(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	flows := func(minted, burned, supply string) {
		t.Helper()
		said := s.get("", "/v1/supply").want(200).expect("minted", minted, "burned", burned, "supply", supply)
		for _, c := range said.at("checks").([]any) {
			if c.(object)["ok"] != true {
				t.Errorf("%v", c)
			}
		}
		totals := s.get("provider", "/v1/provider/settlements").want(200)
		sch := func(name string) decimal.Decimal {
			return decimal.RequireFromString(totals.string("totals.sch." + name))
		}
		if got := sch("issued").Add(sch("corrected")).StringFixed(6); got != minted {
			t.Errorf("issued and corrected are %s, minted %s", got, minted)
		}
		if got := sch("delivered").Add(sch("reversed")).StringFixed(6); got != burned {
			t.Errorf("delivered and reversed are %s, burned %s", got, burned)
		}
	}
	flows("100.000000", "0.000000", "100.000000")
	s.post("provider", "/v1/provider/redemptions/{redemption}/issue", object{"provider_grant_id": "g"}).want(200)
	flows("100.000000", "10.000000", "90.000000")
	s.names["mint"] = s.post("provider", "/v1/mints", object{"pledge_id": "{pledge}", "account_id": "{alice_account}", "amount": "5"}).want(201).string("id")
	s.post("operator", "/v1/transactions/{mint}/reverse", object{"reason": "For another account"}).want(201)
	flows("105.000000", "15.000000", "90.000000")
	s.post("operator", "/v1/redemptions/{redemption}/corrections", object{"hours": "2", "reason": "Two machines never started"}).want(201)
	s.post("second", "/v1/redemptions/{redemption}/corrections/1/approve", nil).want(200)
	flows("107.000000", "15.000000", "92.000000")
	s.publish()
	s.post("operator", "/v1/log/liabilities", nil).want(201).expect("minted", "107.000000", "burned", "15.000000", "total", "92.000000")
}
