package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

const (
	manyProviders      = 5
	pledgesPerProvider = 10
	// pledgedHours is more than a run can mint against.
	pledgedHours = 1_000_000
)

// openPledges makes providers with verified pledges, and a key that may mint against them.
func (r *rig) openPledges(ctx context.Context) error {
	if err := anchor.Seed(ctx, r.owner); err != nil {
		return err
	}
	var err error
	if _, r.operatorKey, err = access.NewStore(r.owner).CreateKey(ctx, access.NewKey{Role: access.RoleOperator, Name: "bench"}); err != nil {
		return err
	}
	books := ledger.New(r.owner, r.owner, ledger.Options{})
	store := providers.NewStore(r.owner, books)
	for i := range manyProviders {
		p, err := store.CreateProvider(ctx, providers.NewProvider{Name: fmt.Sprintf("bench %d", i)})
		if err != nil {
			return err
		}
		for range pledgesPerProvider {
			if err := r.openPledge(ctx, store, p.ID); err != nil {
				return err
			}
		}
	}
	return books.Close(ctx)
}

func (r *rig) openPledge(ctx context.Context, store *providers.Store, provider uuid.UUID) error {
	p, err := store.CreatePledge(ctx, providers.NewPledge{
		Caller: provider, ProviderID: provider, GPUClass: "H100-SXM-80GB", Hours: money.Micros(pledgedHours * 1_000_000), Region: "bench",
		StartsAt: time.Now(), ExpiresAt: time.Now().Add(365 * 24 * time.Hour),
	})
	if err != nil {
		return err
	}
	r.pledges = append(r.pledges, id.Format(id.Pledge, p.ID))
	_, _, err = store.Verify(ctx, providers.Verification{
		Call: ledger.Call{Caller: r.holder, Digest: uuid.New(), Request: uuid.New()}, PledgeID: p.ID, Haircut: decimal.Zero,
	})
	return err
}
