package providers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/providers"
)

func TestProvidersAreKeptAsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "Zoë's cloud", Metadata: map[string]string{"tier": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	want := providers.Provider{ID: p.ID, Name: "Zoë's cloud", Metadata: map[string]string{"tier": "a"}, Status: providers.ProviderActive, Tier: coverage.TierStandard, CreatedAt: p.CreatedAt}
	got, err := w.store.Provider(t.Context(), p.ID)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	accounts, err := w.ledger.Accounts(t.Context(), ledger.AccountFilter{ProviderID: p.ID, Limit: 10})
	if err != nil || len(accounts) != 1 || accounts[0].Kind != ledger.AccountIssuance || accounts[0].Asset != "SCH" {
		t.Errorf("accounts %+v, %v", accounts, err)
	}
	if _, err := w.store.Provider(t.Context(), id.New()); !errors.Is(err, providers.ErrProviderNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestProvidersAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := []uuid.UUID{w.provider}
	for i := range 4 {
		p, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		want = append([]uuid.UUID{p.ID}, want...)
	}
	var got []uuid.UUID
	for before := uuid.Nil; ; before = got[len(got)-1] {
		page, err := w.store.Providers(t.Context(), before, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page {
			got = append(got, p.ID)
		}
		if len(page) < 2 {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProvidersThatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	for what, tc := range map[string]struct {
		n           providers.NewProvider
		field, code string
	}{
		"no name":           {providers.NewProvider{}, "name", "required"},
		"long name":         {providers.NewProvider{Name: strings.Repeat("é", 201)}, "name", "too_long"},
		"control character": {providers.NewProvider{Name: "a\x00b"}, "name", "control_character"},
		"many entries":      {providers.NewProvider{Name: "n", Metadata: many}, "metadata", "too_many_entries"},
		"large metadata":    {providers.NewProvider{Name: "n", Metadata: map[string]string{"k": strings.Repeat("v", 4096)}}, "metadata", "too_large"},
	} {
		_, err := w.store.CreateProvider(t.Context(), tc.n)
		invalid(t, what, err, tc.field, tc.code)
	}
}
