package httpapi

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

func (a *API) createMint(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateMintRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	asked := req
	asked.Amount = oneForm(req.Amount)
	call, err := callOf(r, asked)
	if err != nil {
		return err
	}
	p := principalOf(r.Context())
	var f faults
	n := providers.NewMint{
		Call: call, ProviderID: p.ProviderID, PledgeID: f.id(id.Pledge, "pledge_id", req.PledgeID),
		AccountID: f.id(id.Account, "account_id", req.AccountID), Amount: f.quantity("amount", req.Amount),
		Reference: f.optionalText("reference", req.Reference, maxReference), Metadata: f.metadata(req.Metadata),
	}
	if err := f.err(); err != nil {
		return err
	}
	if err := positive(n.Amount); err != nil {
		return err
	}
	m, replayed, err := a.Providers.Mint(r.Context(), n)
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusCreated, encodeMint(m, sightOfMint(p, &m)), replayed)
}

// sightOfMint is what the caller sees of a mint: a provider all but the account that received the tokens.
func sightOfMint(p access.Principal, m *providers.Mint) sight {
	if p.Role != access.RoleProvider {
		return sight{all: true}
	}
	s := sight{own: make(map[uuid.UUID]struct{})}
	for _, posting := range m.Transaction.Postings {
		s.own[posting.From], s.own[posting.To] = struct{}{}, struct{}{}
	}
	delete(s.own, m.AccountID)
	return s
}

func encodeMint(m providers.Mint, s sight) wire.Mint {
	t := encodeTransaction(m.Transaction, uuid.Nil, s)
	return wire.Mint{
		AccountID: id.Format(id.Account, m.AccountID), Amount: money.Format(m.Amount, money.MaxScale),
		BackingHours: money.Format(m.BackingHours, money.MaxScale), PledgeID: id.Format(id.Pledge, m.PledgeID),
		EpochID: id.Format(id.Epoch, m.EpochID), ID: t.ID, Seq: t.Seq, Kind: t.Kind, Reference: t.Reference, Metadata: t.Metadata,
		Reverses: t.Reverses, ReversedBy: t.ReversedBy, Reason: t.Reason, HoldID: t.HoldID, RedemptionID: t.RedemptionID,
		CreatedAt: t.CreatedAt, Postings: t.Postings,
	}
}
