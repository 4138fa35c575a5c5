package redeem

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

func TestDelivery(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	got, err := s.Delivery(t.Context(), s.provider)
	if diff := cmp.Diff(&Delivery{ProviderID: s.provider, Transport: TransportPull, Status: DeliveryActive, SLA: 24 * time.Hour}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	const endpoint = "https://northwind.example/ballast"
	disable := func(endpoint string, want bool) {
		t.Helper()
		if got, err := s.DisableDelivery(t.Context(), s.provider, endpoint, "It answered 410."); err != nil || got != want {
			t.Fatalf("disabled %v, want %v: %v", got, want, err)
		}
	}
	disable(endpoint, false) // A poller cannot be gone.
	set, err := s.SetDelivery(t.Context(), NewDelivery{
		Caller: s.provider, ProviderID: s.provider, Transport: TransportPush, Endpoint: endpoint, SLA: time.Hour,
	})
	if err != nil || set.Transport != TransportPush || set.SLA != time.Hour || set.UpdatedBy != s.provider || set.UpdatedAt.IsZero() {
		t.Fatalf("%+v, %v", set, err)
	}
	pushed := s.request(t, hour)
	disable("https://northwind.example/old", false) // What was called until a moment ago says nothing of the new one.
	for range 2 {
		disable(endpoint, true)
	}
	got, err = s.Delivery(t.Context(), s.provider)
	if err != nil || got.Status != DeliveryDisabled || got.DisabledReason != "It answered 410." || got.Endpoint != set.Endpoint {
		t.Errorf("%+v, %v", got, err)
	}
	s.refuses(t, hour)
	if err := s.MarkDispatched(t.Context(), pushed.ID, "What is under way goes on."); err != nil {
		t.Error(err)
	}
	s.by(t, TransportPull)
	if r := s.request(t, hour); r.Transport != TransportPull || r.Status != Dispatched {
		t.Errorf("%+v", r)
	}
	s.by(t, TransportVoucher)
	s.refuses(t, hour) // It has no codes.
	// Everything that it ever was is there to be read.
	var history string
	const sql = `SELECT string_agg(transport || ' ' || status, ', ' ORDER BY n) FROM provider_delivery_changes WHERE provider_id = $1`
	if err := s.db.App.QueryRow(t.Context(), sql, s.provider).Scan(&history); err != nil || history != "push active, push disabled, pull active, voucher active" {
		t.Errorf("%s, %v", history, err)
	}
	s.proveBooks(t)
}

func TestMalformedDeliveries(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	var invalid *InvalidError
	for name, n := range map[string]NewDelivery{
		"no transport":        {},
		"a fax":               {Transport: "fax"},
		"push to nowhere":     {Transport: TransportPush},
		"pull from somewhere": {Transport: TransportPull, Endpoint: "https://a.example"},
		"too short":           {Transport: TransportPull, SLA: time.Second},
		"too long":            {Transport: TransportPull, SLA: 31 * 24 * time.Hour},
		"half a second":       {Transport: TransportPull, SLA: time.Hour + time.Second/2},
		"a path":              {Transport: TransportPush, Endpoint: "/ballast"},
		"no host":             {Transport: TransportPush, Endpoint: "https:///ballast"},
		"only a port":         {Transport: TransportPush, Endpoint: "https://:443/"},
		"a user":              {Transport: TransportPush, Endpoint: "https://u:p@a.example"},
		"a fragment":          {Transport: TransportPush, Endpoint: "https://a.example/#x"},
		"ftp":                 {Transport: TransportPush, Endpoint: "ftp://a.example"},
		"opaque":              {Transport: TransportPush, Endpoint: "https:a.example"},
		"no URL":              {Transport: TransportPush, Endpoint: "https://a.example/%zz"},
		"control characters":  {Transport: TransportPush, Endpoint: "https://a.example/\n"},
		"a novel":             {Transport: TransportPush, Endpoint: "https://a.example/" + strings.Repeat("x", 2000)},
	} {
		n.Caller, n.ProviderID = s.provider, s.provider
		if _, err := s.SetDelivery(t.Context(), n); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.SetDelivery(t.Context(), NewDelivery{Caller: s.provider, ProviderID: id.New(), Transport: TransportPull}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such provider: %v", err)
	}
}

func TestGuardsOfDeliveries(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	s.by(t, TransportPush)
	for _, tt := range []struct{ constraint, sql string }{
		{"provider_deliveries_push_somewhere", `UPDATE provider_deliveries SET endpoint = NULL`},
		{"provider_deliveries_push_somewhere", `UPDATE provider_deliveries SET transport = 'pull'`},
		{"provider_deliveries_disabled_why", `UPDATE provider_deliveries SET status = 'disabled'`},
		{"provider_deliveries_transport_check", `UPDATE provider_deliveries SET transport = 'fax', endpoint = NULL`},
		{"provider_deliveries_sla_check", `UPDATE provider_deliveries SET sla_seconds = 1`},
		{"provider_deliveries_is_append_only", `DELETE FROM provider_deliveries`},
		{"provider_delivery_changes_is_append_only", `DELETE FROM provider_delivery_changes`},
		{"provider_delivery_changes_is_append_only", `UPDATE provider_delivery_changes SET sla_seconds = 1`},
	} {
		if _, err := s.db.Pool.Exec(t.Context(), tt.sql); pg.ConstraintName(err) != tt.constraint {
			t.Errorf("%s: %v, want %s", tt.sql, err, tt.constraint)
		}
	}
	if _, err := s.db.App.Exec(t.Context(), `INSERT INTO provider_delivery_changes (provider_id, transport, status, sla_seconds, at, actor)
		VALUES ($1, 'pull', 'active', 60, now(), $1)`, s.provider); err == nil {
		t.Error("the run-time role can write history")
	}
}

// Whoever names a suspended provider directly gets no more of it than who asks for offers or a quote, nor does who has a quote of before.
func TestSuspendedProviderTakesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	quote := s.quote(t, hour)
	s.exec(t, `UPDATE providers SET status = 'suspended' WHERE id = $1`, s.provider)
	s.refuses(t, hour)
	s.by(t, TransportPush)
	s.refuses(t, hour)
	if _, _, err := s.Request(t.Context(), s.byQuote(quote)); !errors.Is(err, ErrNoCapacity) {
		t.Errorf("by quote: %v", err)
	}
	s.exec(t, `UPDATE providers SET status = 'active' WHERE id = $1`, s.provider)
	s.request(t, hour)
}
