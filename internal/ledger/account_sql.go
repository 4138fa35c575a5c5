package ledger

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// NewAccount is what an account is opened with. Which owner it needs depends on its kind.
type NewAccount struct {
	ID         uuid.UUID
	Asset      string
	Kind       AccountKind
	HolderID   uuid.UUID
	ProviderID uuid.UUID
	PledgeID   uuid.UUID
	ParentID   uuid.UUID
	Name       string
	// Metadata is a JSON object, or nil.
	Metadata []byte
}

const (
	insertAccountSQL = `
INSERT INTO accounts (id, asset, kind, holder_id, provider_id, pledge_id, parent_id, name, metadata, may_go_negative)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $3 IN ('issuance', 'pledge_commitment'))
RETURNING created_at`

	insertChildSQL = `
INSERT INTO accounts (id, asset, kind, holder_id, parent_id, may_go_negative)
SELECT $1, asset, $2, holder_id, id, false FROM accounts WHERE id = $3
ON CONFLICT (parent_id, kind) WHERE parent_id IS NOT NULL DO NOTHING`

	selectAccountSQL = `
SELECT a.id, a.asset, a.kind, a.holder_id, a.provider_id, a.pledge_id, a.parent_id, a.name, a.metadata, a.status,
       a.balance, COALESCE(h.balance, 0), a.version, a.created_at
FROM accounts a LEFT JOIN accounts h ON h.parent_id = a.id AND h.kind = 'hold'`

	listAccountsSQL = selectAccountSQL + `
WHERE ($1::uuid IS NULL OR a.holder_id = $1) AND ($2::text IS NULL OR a.asset = $2) AND ($3::text IS NULL OR a.status = $3)
  AND ($4::uuid IS NULL OR a.provider_id = $4) AND ($5::uuid IS NULL OR a.id < $5)
  AND ($6::text IS NULL OR a.kind = $6)
ORDER BY a.id DESC LIMIT $7`

	// An account is closed only with nothing in it, on hold in it or in redemption from it. The children are locked too, so that
	// nothing arrives there meanwhile.
	lockFamilySQL = `SELECT id, kind, status, balance FROM accounts WHERE id = $1 OR parent_id = $1 ORDER BY id FOR NO KEY UPDATE`
	setStatusSQL  = `UPDATE accounts SET status = $2 WHERE id = $1`
)

// ofHoldersWhoAreThere is the guard by which nobody who was erased gets another account.
const ofHoldersWhoAreThere = "accounts_are_of_holders_who_are_there"

// OpenTx opens an account, empty and at version 0. It returns ErrAssetUnknown for an asset that is not defined, and ErrHolderErased.
func OpenTx(ctx context.Context, tx Querier, n NewAccount) (*Account, error) {
	if n.ID == uuid.Nil {
		n.ID = id.New()
	}
	a := &Account{
		ID: n.ID, Asset: n.Asset, Kind: n.Kind, HolderID: n.HolderID, ProviderID: n.ProviderID, PledgeID: n.PledgeID,
		ParentID: n.ParentID, Name: n.Name, Metadata: n.Metadata, Status: AccountOpen,
	}
	err := tx.QueryRow(ctx, insertAccountSQL, n.ID, n.Asset, string(n.Kind), orNull(n.HolderID), orNull(n.ProviderID), orNull(n.PledgeID),
		orNull(n.ParentID), orNull(n.Name), n.Metadata).Scan(&a.CreatedAt)
	switch pg.ConstraintName(err) {
	case "accounts_asset_fkey":
		return nil, ErrAssetUnknown
	case ofHoldersWhoAreThere:
		return nil, ErrHolderErased
	}
	if err != nil {
		return nil, err
	}
	a.CreatedAt = a.CreatedAt.UTC()
	return a, nil
}

// Child returns the hold or escrow account of a holder's account, for a call that will move an amount there. It is opened for the
// first call that can succeed: one that is refused already now leaves nothing behind. It returns ErrAccountNotFound,
// idempotency.ErrReused, or the verdict that the call would have.
func Child(ctx context.Context, db Querier, parent *Account, kind AccountKind, call Call, amount money.Quantity) (uuid.UUID, error) {
	const find = `SELECT id FROM accounts WHERE parent_id = $1 AND kind = $2`
	var child uuid.UUID
	err := db.QueryRow(ctx, find, parent.ID, string(kind)).Scan(&child)
	if !errors.Is(err, pgx.ErrNoRows) {
		return child, err
	}
	if err := mayBegin(ctx, db, parent, call, amount); err != nil {
		return uuid.Nil, err
	}
	_, err = db.Exec(ctx, insertChildSQL, id.New(), string(kind), parent.ID)
	if pg.ConstraintName(err) == ofHoldersWhoAreThere {
		return uuid.Nil, ErrAccountClosed // All of theirs are.
	}
	if err != nil {
		return uuid.Nil, err
	}
	err = db.QueryRow(ctx, find, parent.ID, string(kind)).Scan(&child)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, ErrAccountNotFound
	}
	return child, err
}

// mayBegin is the rules of a first posting into a child account, asked ahead. Without the child, no call like this one took effect
// before, so that a digest which is known belongs to another.
func mayBegin(ctx context.Context, db Querier, parent *Account, call Call, amount money.Quantity) error {
	used, err := HasDigest(ctx, db, call.Digest)
	if err != nil {
		return err
	}
	minor, err := amount.Minor(money.Scale(parent.Asset))
	switch {
	case used:
		return idempotency.ErrReused
	case parent.Status == AccountClosed:
		return ErrAccountClosed
	case parent.Status == AccountFrozen:
		return ErrAccountFrozen
	case errors.Is(err, money.ErrRange):
		return ErrAmountOutOfRange
	case err != nil:
		return err
	case minor > parent.Balance:
		return ErrInsufficientFunds
	}
	return nil
}

// Account returns an account as it is now, or ErrAccountNotFound.
func (l *Ledger) Account(ctx context.Context, account uuid.UUID) (*Account, error) {
	return AccountTx(ctx, l.pool, account)
}

// AccountTx returns an account as a transaction sees it, or ErrAccountNotFound.
func AccountTx(ctx context.Context, db Querier, account uuid.UUID) (*Account, error) {
	rows, err := db.Query(ctx, selectAccountSQL+` WHERE a.id = $1`, account)
	if err != nil {
		return nil, err
	}
	a, err := pgx.CollectExactlyOneRow(rows, scanAccount)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrAccountNotFound
	}
	return a, err
}

// AccountFilter narrows a list; a zero field does not.
type AccountFilter struct {
	HolderID   uuid.UUID
	ProviderID uuid.UUID
	Asset      string
	Status     AccountStatus
	Kind       AccountKind
	// Before is the id of the last account of the page before.
	Before uuid.UUID
	Limit  int
}

// Accounts returns up to Limit accounts, newest first.
func (l *Ledger) Accounts(ctx context.Context, f AccountFilter) ([]*Account, error) {
	rows, err := l.pool.Query(ctx, listAccountsSQL, orNull(f.HolderID), orNull(f.Asset), orNull(string(f.Status)),
		orNull(f.ProviderID), orNull(f.Before), orNull(string(f.Kind)), f.Limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanAccount)
}

func scanAccount(row pgx.CollectableRow) (*Account, error) {
	a := &Account{}
	var holder, provider, pledge, parent *uuid.UUID
	var name *string
	err := row.Scan(&a.ID, &a.Asset, &a.Kind, &holder, &provider, &pledge, &parent, &name, &a.Metadata, &a.Status,
		&a.Balance, &a.Held, &a.Version, &a.CreatedAt)
	a.HolderID, a.ProviderID, a.PledgeID = orZero(holder), orZero(provider), orZero(pledge)
	a.ParentID, a.Name, a.CreatedAt = orZero(parent), orZero(name), a.CreatedAt.UTC()
	return a, err
}

// orNull returns nil, which is NULL, for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
