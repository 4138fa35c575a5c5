package httpapi_test

import (
	"strings"
	"testing"
)

func TestSettlementOfTheStory(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.post("provider", "/v1/provider/redemptions/{redemption}/issue", `{"provider_grant_id":"g"}`).want(200)
	const hours, sch = "totals.hours.", "totals.sch."
	s.get("provider", "/v1/provider/settlements").want(200).expect(
		"provider_id", s.names["provider"], "classes.0.gpu_class", "H100-SXM-80GB",
		hours+"opening", "0.000000", hours+"issued", "111.111112", hours+"delivered", "10.000000", hours+"closing", "101.111112",
		sch+"opening", "0.000000", sch+"issued", "100.000000", sch+"delivered", "10.000000", sch+"closing", "90.000000",
	)
	s.get("finance", "/v1/provider/settlements?provider_id={provider}").want(200).expect(hours+"closing", "101.111112")
	if none := s.get("southwind", "/v1/provider/settlements?provider_id={southwind}").want(200).at("classes"); len(none.([]any)) != 0 {
		t.Errorf("another provider has %v", none)
	}
	s.get("provider", "/v1/provider/settlements?from=2020-01-01T00:00:00%2B01:00&to=2020-02-01T00:00:00Z").want(200).expect(
		"from", "2019-12-31T23:00:00Z", "to", "2020-02-01T00:00:00Z", hours+"closing", "0.000000")

	got := s.get("auditor", "/v1/provider/settlements?provider_id={provider}&format=csv").want(200)
	want := "gpu_class,unit,opening,issued,reversed,delivered,corrected,lapsed,substituted,closing\n" +
		"H100-SXM-80GB,hours,0.000000,111.111112,0.000000,10.000000,0.000000,0.000000,0.000000,101.111112\n" +
		"H100-SXM-80GB,SCH,0.000000,100.000000,0.000000,10.000000,0.000000,0.000000,0.000000,90.000000\n"
	if string(got.text) != want || !strings.Contains(got.header.Get("Content-Disposition"), `"settlement.csv"`) {
		t.Errorf("%v\n%s", got.header, got.text)
	}
}
