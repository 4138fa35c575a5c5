package httpapi

import (
	"context"
	"math"
	"net/http"
	"regexp"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// The forms of names that are not ids, as in the contract.
var (
	assetForm    = regexp.MustCompile(`^(SCH|USD|GPUH:[A-Z0-9][A-Z0-9-]{0,39})$`)
	gpuClassForm = regexp.MustCompile(`^[A-Z0-9][A-Z0-9-]{0,39}$`)
)

// pathID returns the id in the path. One that is malformed or nil names nothing, which is 404.
func pathID(r *http.Request, prefix id.Prefix, name string) (uuid.UUID, error) {
	u, err := id.Parse(prefix, chi.URLParam(r, name))
	if err == nil && u == uuid.Nil {
		err = id.ErrMalformed
	}
	return u, err
}

// mayRead tells whether a caller may see an account: holders and providers their own, the other roles all.
func mayRead(p access.Principal, account *ledger.Account) bool {
	switch p.Role {
	case access.RoleHolder:
		return account.HolderID == p.HolderID
	case access.RoleProvider:
		return account.ProviderID == p.ProviderID
	case access.RoleOperator, access.RoleFinance, access.RoleAuditor:
		return true
	default:
		return false
	}
}

func (a *API) createAccount(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateAccountRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	n, err := newAccount(principalOf(r.Context()), &req)
	if err != nil {
		return err
	}
	if _, err := a.Access.GetHolder(r.Context(), n.HolderID); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		opened, err := ledger.OpenTx(ctx, tx, n)
		if err != nil {
			return creation{}, err
		}
		answer := encodeAccount(opened)
		return creation{first: answer, kept: answer}, nil
	})
}

// newAccount reads what is to be opened, for the caller if that is a holder. Another holder is none that a holder may see.
func newAccount(p access.Principal, req *wire.CreateAccountRequest) (ledger.NewAccount, error) {
	var f faults
	n := ledger.NewAccount{
		Kind: ledger.AccountHolder, Asset: f.matches("asset", req.Asset, assetForm), Name: f.optionalText("name", req.Name, maxName),
		Metadata: f.metadata(req.Metadata), HolderID: f.optionalID(id.Holder, "holder_id", req.HolderID),
	}
	if p.Role != access.RoleHolder && req.HolderID == nil {
		f.present("holder_id", "")
	}
	if err := f.err(); err != nil {
		return n, err
	}
	if p.Role == access.RoleHolder && req.HolderID != nil && n.HolderID != p.HolderID {
		return n, access.ErrNotFound
	}
	if p.Role == access.RoleHolder {
		n.HolderID = p.HolderID
	}
	return n, nil
}

func (a *API) listAccounts(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	f := ledger.AccountFilter{
		HolderID: q.id(id.Holder, "holder_id"), Asset: q.form("asset", assetForm),
		Status: ledger.AccountStatus(word[wire.AccountStatus](q, "status")), Kind: ledger.AccountKind(word[wire.AccountKind](q, "kind")),
		Before: p.before(), Limit: p.more(),
	}
	if err := q.err(); err != nil {
		return err
	}
	var found []*ledger.Account
	var err error
	if own(&f.HolderID, principalOf(r.Context()).HolderID) && own(&f.ProviderID, principalOf(r.Context()).ProviderID) {
		found, err = a.Ledger.Accounts(r.Context(), f)
	}
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(a *ledger.Account) []byte { return idPosition(a.ID) }, encodeAccount)
	return answer(w, http.StatusOK, wire.AccountPage{Data: data, NextCursor: next})
}

// own narrows a filter to what belongs to owner, unless owner is nil. It reports false where the filter asks for another's,
// of which the caller may see none.
func own(filter *uuid.UUID, owner uuid.UUID) bool {
	if owner == uuid.Nil {
		return true
	}
	if *filter != uuid.Nil && *filter != owner {
		return false
	}
	*filter = owner
	return true
}

func (a *API) getAccount(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	at, seq := q.moment("at"), q.seq("at_seq")
	if at != nil && seq != nil {
		q.add("at_seq", "invalid_value", "Give at or at_seq, not both.")
	}
	if err := q.err(); err != nil {
		return err
	}
	account, err := a.visibleAccount(r)
	if err != nil {
		return err
	}
	switch {
	case at != nil:
		account, err = a.Ledger.AccountAt(r.Context(), account.ID, *at)
	case seq != nil:
		account, err = a.Ledger.AccountAtSeq(r.Context(), account.ID, *seq)
	}
	if err != nil {
		return err
	}
	found := encodeAccount(account)
	if at != nil || seq != nil {
		found.Held = nil
	}
	return answer(w, http.StatusOK, found)
}

// visibleAccount returns the account in the path, or ErrAccountNotFound also for one that the caller may not see.
func (a *API) visibleAccount(r *http.Request) (*ledger.Account, error) {
	account, err := pathID(r, id.Account, "account_id")
	if err != nil {
		return nil, err
	}
	found, err := a.Ledger.Account(r.Context(), account)
	if err == nil && !mayRead(principalOf(r.Context()), found) {
		err = ledger.ErrAccountNotFound
	}
	return found, err
}

func (a *API) listAccountPostings(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.numbered(math.MaxInt64)
	if err := q.err(); err != nil {
		return err
	}
	account, err := a.visibleAccount(r)
	if err != nil {
		return err
	}
	entries, err := a.Ledger.Statement(r.Context(), account.ID, p.beforeNumber(), p.more())
	if err != nil {
		return err
	}
	scale := money.Scale(account.Asset)
	data, next := cut(p, entries, func(e ledger.Entry) []byte { return numberPosition(e.Version) },
		func(e ledger.Entry) wire.AccountPosting { return encodeEntry(&e, scale) })
	return answer(w, http.StatusOK, wire.PostingPage{Data: data, NextCursor: next})
}

func (a *API) freezeAccount(w http.ResponseWriter, r *http.Request) error {
	return a.changeAccount(w, r, a.Ledger.Freeze)
}

func (a *API) unfreezeAccount(w http.ResponseWriter, r *http.Request) error {
	return a.changeAccount(w, r, a.Ledger.Unfreeze)
}

func (a *API) closeAccount(w http.ResponseWriter, r *http.Request) error {
	return a.changeAccount(w, r, a.Ledger.CloseAccount)
}

// accountChange is a change of an account's status.
type accountChange func(ctx context.Context, account uuid.UUID) (*ledger.Account, error)

func (a *API) changeAccount(w http.ResponseWriter, r *http.Request, change accountChange) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	account, err := pathID(r, id.Account, "account_id")
	if err != nil {
		return err
	}
	changed, err := change(r.Context(), account)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeAccount(changed))
}

func encodeAccount(a *ledger.Account) wire.Account {
	scale := money.Scale(a.Asset)
	held := money.Format(a.Held, scale)
	return wire.Account{
		ID: id.Format(id.Account, a.ID), HolderID: idOrNull(id.Holder, a.HolderID), ProviderID: idOrNull(id.Provider, a.ProviderID),
		PledgeID: idOrNull(id.Pledge, a.PledgeID), Asset: a.Asset, Kind: wire.AccountKind(a.Kind), Name: textOrNull(a.Name),
		Metadata: metadataOf(a.Metadata), Balance: money.Format(a.Balance, scale), Held: &held, Version: a.Version,
		Status: wire.AccountStatus(a.Status), CreatedAt: a.CreatedAt.UTC(),
	}
}

func encodeEntry(e *ledger.Entry, scale int) wire.AccountPosting {
	direction := wire.DirectionDebit
	if e.Credit {
		direction = wire.DirectionCredit
	}
	return wire.AccountPosting{
		Seq: e.Seq, TransactionID: id.Format(id.Txn, e.TransactionID), Kind: wire.TransactionKind(e.Kind), Direction: direction,
		Amount: money.Format(e.Amount, scale), Balance: money.Format(e.Balance, scale), Version: e.Version,
		CounterpartyAccount: id.Format(id.Account, e.Counterparty), Reference: textOrNull(e.Reference),
		Metadata: metadataOf(e.Metadata), CreatedAt: e.CreatedAt.UTC(),
	}
}
