package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// An epoch is drafted, previewed, approved by another, announced and in force, and every time's k stays what it was.
func TestAnEpochOverHTTP(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clock := pgtest.NewClock(t, s.db, time.Now().Add(time.Minute))
	first := s.get("", "/v1/anchor").want(200).expect("number", "1", "link", "1", "next", nil, "status", "effective", "factors.0.bound_by", nil)

	draft := s.post("operator", "/v1/anchor/epochs", `{"reference_class":"B200-SXM-180GB"}`).want(201).
		expect("status", "draft", "number", nil, "effective_at", nil, "reference_class", "B200-SXM-180GB", "follows", s.names["epoch"],
			"drafted.by", s.names["operator"], "approved", nil, "announced", nil, "withdrawn", nil)
	hash := sha256.Sum256([]byte(draft.string("inputs")))
	draft.expect("inputs_sha256", hex.EncodeToString(hash[:]))
	s.names["this"] = draft.string("id")

	preview := s.post("finance", "/v1/anchor/epochs/{this}/preview", nil).want(200).
		expect("epoch_id", s.names["this"], "in_force", s.names["epoch"], "total.outstanding", "90.000000", "total.sch_before", "2391.000000",
			"providers.0.provider_id", s.names["provider"], "providers.0.outstanding", "90.000000", "providers.0.sch_before", "1391.000000",
			"providers.0.coverage_before", "15.455555", "providers.1.coverage_after", nil)
	// All pledges are of H100s, which do less work for their price than a B200.
	h100 := preview.at("factors").([]any)[6].(object)
	if h100["gpu_class"] != "H100-SXM-80GB" || h100["k_before"] != "1.000000" || h100["k_after"] != "0.956399" || h100["bound_by"] != "quality" {
		t.Errorf("previewed %v", h100)
	}
	preview.expect("providers.0.sch_after", "1330.351009", "providers.0.coverage_after", "14.781677", "total.sch_after", "2286.750009")

	s.post("operator", "/v1/anchor/epochs/{this}/approve", nil).want(403, "four_eyes")
	s.post("operator", "/v1/anchor/epochs/{this}/announce", nil).want(409, "conflict")
	s.post("second", "/v1/anchor/epochs/{this}/approve", nil).want(200).expect("status", "approved", "approved.by", s.names["second_operator"])
	announced := s.post("operator", "/v1/anchor/epochs/{this}/announce", `{}`).want(200).expect("status", "announced", "number", "2")
	effectiveAt := clock.Now().Add(7 * 24 * time.Hour)
	announced.expect("effective_at", effectiveAt.Format(time.RFC3339Nano))
	s.post("operator", "/v1/anchor/epochs/{this}/withdraw", nil).want(409, "conflict")
	s.post("operator", "/v1/anchor/epochs/{epoch_approved}/announce", nil).want(409, "conflict") // It was drafted to be the second.
	s.get("alice", "/v1/anchor/epochs/{this}").want(200).expect("status", "announced")

	s.get("", "/v1/anchor").want(200).expect("number", "1", "status", "effective", "next.epoch_id", s.names["this"], "next.number", "2")
	s.get("", "/v1/anchor?at="+effectiveAt.Format(time.RFC3339Nano)).want(200).expect("epoch_id", s.names["this"], "status", "announced", "next", nil)
	before := s.get("", "/v1/anchor?at="+clock.Now().Format(time.RFC3339Nano)).want(200)
	clock.Set(effectiveAt)
	s.get("", "/v1/anchor").want(200).expect("epoch_id", s.names["this"], "status", "effective", "link", announced.string("link"))
	again := s.get("", "/v1/anchor?at="+effectiveAt.Add(-time.Microsecond).Format(time.RFC3339Nano)).want(200).expect("number", "1", "status", "superseded")
	for i := range first.at("factors").([]any) {
		for _, then := range []*reply{before, again} {
			if then.at("factors").([]any)[i].(object)["k"] != first.at("factors").([]any)[i].(object)["k"] {
				t.Errorf("k changed in the past: %v", then.at("factors").([]any)[i])
			}
		}
	}
	// A mint and a redemption name the epoch that they used.
	s.post("provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"9.56399"}`).want(201).
		expect("epoch_id", s.names["this"], "backing_hours", "11.111112") // Of which a tenth is haircut.
	s.post("alice", "/v1/redemptions", `{"account_id":"{alice_account}","amount":"9.56399","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`).want(201).
		expect("epoch_id", s.names["this"], "hours", "10.000000")
	s.get("", "/v1/supply").want(200).expect("epoch_id", s.names["this"])
}

func TestASunsetOverHTTP(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clock := pgtest.NewClock(t, s.db, time.Now().Add(time.Minute))
	at := func(d time.Duration) string { return clock.Now().Add(d).Format(time.RFC3339Nano) }
	const day = 24 * time.Hour
	body := `{"no_mints_from":"` + at(10*day) + `","sunset_at":"` + at(100*day) + `","reason":"It is old."}`
	s.post("operator", "/v1/gpu-classes/H100-SXM-80GB/sunset", body).want(409, "conflict")
	s.post("operator", "/v1/gpu-classes/L4-24GB/sunset", body).want(409, "conflict")
	proposed := s.post("operator", "/v1/gpu-classes/L40S-48GB/sunset", body).want(201).expect("status", "proposed", "proposed.by", s.names["operator"])
	s.names["this"] = proposed.string("id")
	s.get("auditor", "/v1/gpu-classes/L40S-48GB/sunset").want(200).expect("id", s.names["this"], "approved", nil)
	s.get("", "/v1/gpu-classes").want(200).expect("data.9.gpu_class", "L40S-48GB", "data.9.sunset", nil)

	s.post("operator", "/v1/gpu-classes/L40S-48GB/sunset/approve", `{"sunset_id":"{this}"}`).want(403, "four_eyes")
	s.post("second", "/v1/gpu-classes/L40S-48GB/sunset/approve", `{"sunset_id":"{this}"}`).want(200).expect("status", "announced", "approved.by", s.names["second_operator"])
	s.get("", "/v1/gpu-classes").want(200).expect("data.9.sunset.sunset_at", at(100*day), "data.9.sunset.reason", "It is old.", "data.8.sunset", nil)
	s.post("second", "/v1/gpu-classes/L40S-48GB/sunset/withdraw", `{"sunset_id":"{this}"}`).want(409, "conflict")
	s.post("operator", "/v1/anchor/epochs", `{"reference_class":"L40S-48GB"}`).want(422, "class_sunset")
}

// Without any notice there are two seconds. Who loses them on the way to COMMIT is told that the time is too near, and may try again.
func TestAnnouncementsThatTakeTooLong(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clock := pgtest.NewClock(t, s.db, time.Now().Add(time.Minute))
	s.names["this"] = s.post("operator", "/v1/policies", `{"note":"At once.","epochs":{"notice_seconds":0,"sunset_notice_seconds":0}}`).want(201).string("id")
	s.post("second", "/v1/policies/{this}/approve", `{}`).want(200)
	clock.Advance(time.Second)
	s.names["this"] = s.post("operator", "/v1/anchor/epochs", `{}`).want(201).string("id")
	s.post("second", "/v1/anchor/epochs/{this}/approve", nil).want(200)
	near := clock.Now().Add(5 * time.Second).Format(time.RFC3339Nano)
	s.names["sunset"] = s.post("operator", "/v1/gpu-classes/L40S-48GB/sunset", `{"no_mints_from":"`+near+`","sunset_at":"`+near+`","reason":"It is old."}`).want(201).string("id")
	for _, sql := range []string{
		`CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
			'BEGIN UPDATE stopped_clock SET at = at + interval ''4.5 s''; RETURN NULL; END'`,
		`CREATE TRIGGER slow AFTER INSERT ON epochs FOR EACH ROW EXECUTE FUNCTION take_long()`,
		`CREATE TRIGGER slow AFTER UPDATE ON class_sunsets FOR EACH ROW EXECUTE FUNCTION take_long()`,
	} {
		if _, err := s.db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.post("operator", "/v1/anchor/epochs/{this}/announce", `{}`).want(400, "invalid_request", "effective_at:too_soon")
	s.post("second", "/v1/gpu-classes/L40S-48GB/sunset/approve", `{"sunset_id":"{sunset}"}`).want(400, "invalid_request", "no_mints_from:too_soon")
	if _, err := s.db.Pool.Exec(t.Context(), `DROP FUNCTION take_long CASCADE`); err != nil {
		t.Fatal(err)
	}
	announced := s.post("operator", "/v1/anchor/epochs/{this}/announce", `{}`).want(200)
	announced.expect("effective_at", clock.Now().Add(2*time.Second).Format(time.RFC3339Nano))
	s.post("second", "/v1/gpu-classes/L40S-48GB/sunset/approve", `{"sunset_id":"{sunset}"}`).want(200)
}
