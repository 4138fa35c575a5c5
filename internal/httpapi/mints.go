package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
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
	markReplayed(w, replayed)
	buf := answerBuffers.Get().(*[]byte)
	defer answerBuffers.Put(buf)
	*buf = appendMint((*buf)[:0], &m, sightOfMint(p, &m), replayed)
	return send(w, http.StatusCreated, *buf)
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

// appendMint writes a mint that took effect, as JSON. It is written by hand for the same reason as appendTransfer is, and held against the contract's
// type in the same way. What a transaction of another kind would have is null.
func appendMint(b []byte, m *providers.Mint, s sight, replayed bool) []byte {
	t := m.Transaction
	b = id.Append(append(b, `{"account_id":"`...), id.Account, m.AccountID)
	b = money.Append(append(b, `","amount":"`...), m.Amount, money.MaxScale)
	b = money.Append(append(b, `","backing_hours":"`...), m.BackingHours, money.MaxScale)
	b = t.CreatedAt.UTC().AppendFormat(append(b, `","created_at":"`...), time.RFC3339Nano)
	b = id.Append(append(b, `","epoch_id":"`...), id.Epoch, m.EpochID)
	b = id.Append(append(b, `","hold_id":null,"id":"`...), id.Txn, t.ID)
	b = append(b, `","kind":"mint","metadata":`...)
	b = appendMetadata(b, ledger.Verdict{Transaction: t, Replayed: replayed})
	b = id.Append(append(b, `,"pledge_id":"`...), id.Pledge, m.PledgeID)
	b = append(b, `","postings":[`...)
	for i := range t.Postings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPosting(b, &t.Postings[i], s)
	}
	b = append(b, `],"reason":null,"redemption_id":null,"reference":`...)
	b = appendTextOrNull(b, t.Reference)
	b = strconv.AppendInt(append(b, `,"reversed_by":null,"reverses":null,"seq":`...), t.Seq, 10)
	return append(b, '}')
}

func appendPosting(b []byte, p *ledger.Posting, s sight) []byte {
	scale := money.Scale(p.Asset)
	b = money.Append(append(b, `{"amount":"`...), p.Amount, scale)
	b = append(append(b, `","asset":"`...), p.Asset...)
	b = id.Append(append(b, `","from_account":"`...), id.Account, p.From)
	b = appendState(append(b, `","from_balance":`...), `,"from_version":`, p.FromBalance, p.FromVersion, scale, s.sees(p.From))
	b = id.Append(append(b, `,"to_account":"`...), id.Account, p.To)
	b = appendState(append(b, `","to_balance":`...), `,"to_version":`, p.ToBalance, p.ToVersion, scale, s.sees(p.To))
	return append(b, '}')
}

// appendState writes what an account held after a posting, and its version, or that the caller does not see them.
func appendState(b []byte, between string, balance, version int64, scale int, seen bool) []byte {
	if !seen {
		return append(append(append(b, "null"...), between...), "null"...)
	}
	b = money.Append(append(b, '"'), balance, scale)
	return strconv.AppendInt(append(append(b, '"'), between...), version, 10)
}
