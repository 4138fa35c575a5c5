package providers

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/id"
)

func TestIdentitiesAreKeptUpToALimit(t *testing.T) {
	t.Parallel()
	var k identities
	for range maxIdentities + 10 {
		p := Pledge{ID: id.New(), ProviderID: id.New(), GPUClass: "H100-SXM-80GB"}
		k.keep(p)
		if found, ok := k.find(p.ID); !ok || found.ProviderID != p.ProviderID {
			t.Fatal("what was kept last is not found")
		}
	}
	if len(k.known) != maxIdentities {
		t.Errorf("%d are kept", len(k.known))
	}
	if _, ok := k.find(id.New()); ok {
		t.Error("found what was never kept")
	}
}
