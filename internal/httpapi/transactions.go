package httpapi

import (
	"context"
	"math"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// sight is the accounts that a caller may see.
type sight struct {
	// all is for those who see every account; accounts is then nil.
	all      bool
	accounts []uuid.UUID
	own      map[uuid.UUID]struct{}
}

// sightOf returns what the caller sees: a holder or a provider its own accounts, the other roles all of them.
func (a *API) sightOf(ctx context.Context) (sight, error) {
	p := principalOf(ctx)
	owner := p.HolderID
	if p.Role == access.RoleProvider {
		owner = p.ProviderID
	}
	if owner == uuid.Nil {
		return sight{all: true}, nil
	}
	accounts, err := a.Ledger.AccountsOf(ctx, owner)
	s := sight{accounts: slices.Grow(accounts, 1), own: make(map[uuid.UUID]struct{}, len(accounts))}
	for _, account := range accounts {
		s.own[account] = struct{}{}
	}
	return s, err
}

func (s sight) sees(account uuid.UUID) bool {
	_, own := s.own[account]
	return s.all || own
}

func (s sight) seesAnyOf(t *ledger.Transaction) bool {
	return slices.ContainsFunc(t.Postings, func(p ledger.Posting) bool { return s.sees(p.From) || s.sees(p.To) })
}

// only returns the accounts whose transactions are asked for: all that the caller sees, or, of these, the one that is not nil.
// The result is nil for all accounts there are.
func (s sight) only(account uuid.UUID) []uuid.UUID {
	switch {
	case account == uuid.Nil:
		return s.accounts
	case s.sees(account):
		return []uuid.UUID{account}
	default:
		return []uuid.UUID{}
	}
}

func (a *API) listTransactions(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.numbered(math.MaxInt64)
	account, reference := q.id(id.Account, "account_id"), q.text("reference")
	q.checkText("reference", reference, maxReference)
	kind := ledger.Kind(word[wire.TransactionKind](q, "kind"))
	if err := q.err(); err != nil {
		return err
	}
	s, err := a.sightOf(r.Context())
	if err != nil {
		return err
	}
	found, err := a.Ledger.Transactions(r.Context(), ledger.TransactionFilter{
		Accounts: s.only(account), Reference: reference, Kind: kind, Before: p.beforeNumber(), Limit: p.more(),
	})
	if err != nil {
		return err
	}
	reversed, err := a.reversalsOf(r.Context(), found...)
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(t *ledger.Transaction) []byte { return numberPosition(t.Seq) },
		func(t *ledger.Transaction) wire.Transaction { return encodeTransaction(t, reversed[t.Seq], s) })
	return answer(w, http.StatusOK, wire.TransactionPage{Data: data, NextCursor: next})
}

func (a *API) getTransaction(w http.ResponseWriter, r *http.Request) error {
	transaction, err := pathID(r, id.Txn, "transaction_id")
	if err != nil {
		return err
	}
	t, err := a.Ledger.Transaction(r.Context(), transaction)
	if err != nil {
		return err
	}
	s, err := a.sightOf(r.Context())
	if err != nil {
		return err
	}
	if !s.seesAnyOf(t) {
		return ledger.ErrTransactionNotFound
	}
	reversed, err := a.reversalsOf(r.Context(), t)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeTransaction(t, reversed[t.Seq], s))
}

// reversalsOf returns, by seq, what reversed those of the transactions that are reversed.
func (a *API) reversalsOf(ctx context.Context, transactions ...*ledger.Transaction) (map[int64]uuid.UUID, error) {
	seqs := make([]int64, 0, len(transactions))
	for _, t := range transactions {
		seqs = append(seqs, t.Seq)
	}
	return a.Ledger.ReversedBy(ctx, seqs...)
}

func (a *API) reverseTransaction(w http.ResponseWriter, r *http.Request) error {
	var req wire.ReverseTransactionRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	reason := f.text("reason", req.Reason, maxReason)
	if err := f.err(); err != nil {
		return err
	}
	transaction, err := pathID(r, id.Txn, "transaction_id")
	if err != nil {
		return err
	}
	call, err := callOf(r, req)
	if err != nil {
		return err
	}
	v := a.Ledger.Reverse(r.Context(), call, transaction, reason)
	if v.Err != nil {
		return v.Err
	}
	return answerAs(w, http.StatusCreated, encodeTransaction(v.Transaction, uuid.Nil, sight{all: true}), v.Replayed)
}

// encodeTransaction shows a transaction as one who sees these accounts may see it. reversedBy is the nil UUID for none.
func encodeTransaction(t *ledger.Transaction, reversedBy uuid.UUID, s sight) wire.Transaction {
	encoded := wire.Transaction{
		ID: id.Format(id.Txn, t.ID), Seq: t.Seq, Kind: wire.TransactionKind(t.Kind), Reference: textOrNull(t.Reference),
		Metadata: metadataOf(t.Metadata), ReversedBy: idOrNull(id.Txn, reversedBy), EpochID: idOrNull(id.Epoch, t.Epoch),
		CreatedAt: t.CreatedAt.UTC(), Postings: make([]wire.TransactionPosting, len(t.Postings)),
	}
	for i := range t.Postings {
		encoded.Postings[i] = encodePosting(&t.Postings[i], s)
	}
	switch t.Kind {
	case ledger.KindMint, ledger.KindPledgeActivation, ledger.KindPledgeRelease, ledger.KindPledgeLapse, ledger.KindPledgeSubstitute:
		encoded.PledgeID = idOrNull(id.Pledge, t.Subject)
	case ledger.KindHold, ledger.KindHoldCapture, ledger.KindHoldVoid:
		encoded.HoldID = idOrNull(id.Hold, t.Subject)
	case ledger.KindRedemptionRequest, ledger.KindRedemptionIssue, ledger.KindRedemptionRefund, ledger.KindRedemptionCorrect:
		encoded.RedemptionID = idOrNull(id.Redemption, t.Subject)
	case ledger.KindReversal:
		encoded.Reverses, encoded.Reason = reversalOf(t)
	case ledger.KindTransfer:
	}
	return encoded
}

// reversalOf returns what a reversal reverses, and why.
func reversalOf(t *ledger.Transaction) (reverses, reason *string) {
	var d ledger.ReversalDetails
	if err := json.Unmarshal(t.Details, &d); err != nil {
		panic("httpapi: a reversal's details cannot be read: " + err.Error())
	}
	return idOrNull(id.Txn, d.TransactionID), textOrNull(d.Reason)
}

func encodePosting(p *ledger.Posting, s sight) wire.TransactionPosting {
	scale := money.Scale(p.Asset)
	encoded := wire.TransactionPosting{
		FromAccount: id.Format(id.Account, p.From), ToAccount: id.Format(id.Account, p.To),
		Asset: p.Asset, Amount: money.Format(p.Amount, scale),
	}
	if s.sees(p.From) {
		balance := money.Format(p.FromBalance, scale)
		encoded.FromBalance, encoded.FromVersion = &balance, &p.FromVersion
	}
	if s.sees(p.To) {
		balance := money.Format(p.ToBalance, scale)
		encoded.ToBalance, encoded.ToVersion = &balance, &p.ToVersion
	}
	return encoded
}
