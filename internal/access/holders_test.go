package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
)

func TestHoldersAreKeptAsGiven(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	h, err := s.CreateHolder(t.Context(), NewHolder{Name: "Zoë & Co.", ExternalRef: "crm-7", Metadata: map[string]string{"tier": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Holder{ID: h.ID, Name: "Zoë & Co.", ExternalRef: "crm-7", Metadata: map[string]string{"tier": "a"}, Status: HolderActive, CreatedAt: h.CreatedAt}
	got, err := s.GetHolder(t.Context(), h.ID)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := s.GetHolder(t.Context(), id.New()); !errors.Is(err, ErrNotFound) {
		t.Errorf("GetHolder of nobody = %v", err)
	}
	bare, err := s.CreateHolder(t.Context(), NewHolder{Name: "n"})
	if err != nil || bare.ExternalRef != "" || bare.Metadata == nil {
		t.Errorf("a holder with a name alone is %+v, %v", bare, err)
	}
	if list, err := s.ListHolders(t.Context(), uuid.Nil, 10); err != nil || len(list) != 2 || list[0].ID != bare.ID {
		t.Errorf("ListHolders = %+v, %v", list, err)
	}
	if list, err := s.ListHolders(t.Context(), bare.ID, 10); err != nil || len(list) != 1 || list[0].ID != h.ID {
		t.Errorf("the next page = %+v, %v", list, err)
	}
}

func TestExternalReferencesAreUnique(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	for want := range 2 {
		_, err := s.CreateHolder(t.Context(), NewHolder{Name: "n", ExternalRef: "crm-7"})
		if errors.Is(err, ErrConflict) != (want == 1) {
			t.Errorf("holder %d: %v", want, err)
		}
	}
}

func TestHoldersThatMayNotBe(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	for name, tt := range map[string]struct {
		h           NewHolder
		field, code string
	}{
		"no name":           {NewHolder{}, "name", "required"},
		"long name":         {NewHolder{Name: strings.Repeat("é", 201)}, "name", "too_long"},
		"control character": {NewHolder{Name: "a\nb"}, "name", "control_character"},
		"long reference":    {NewHolder{Name: "n", ExternalRef: strings.Repeat("r", 256)}, "external_ref", "too_long"},
		"many entries":      {NewHolder{Name: "n", Metadata: many}, "metadata", "too_many_entries"},
		"large metadata":    {NewHolder{Name: "n", Metadata: map[string]string{"k": strings.Repeat("v", 4096)}}, "metadata", "too_large"},
	} {
		_, err := s.CreateHolder(t.Context(), tt.h)
		if e, ok := errors.AsType[*InvalidError](err); !ok || e.Field != tt.field || e.Code != tt.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.CreateHolder(t.Context(), NewHolder{Name: strings.Repeat("é", 200), ExternalRef: strings.Repeat("é", 255)}); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}
