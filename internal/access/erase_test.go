package access

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// leaver is a holder with an account that has a hold account, both closed unless they are to be left open, and an API key.
type leaver struct {
	t       *testing.T
	pool    *pgxpool.Pool
	store   *Store
	holder  Holder
	account uuid.UUID
}

func newLeaver(t *testing.T) *leaver {
	t.Helper()
	db := pgtest.New(t)
	l := &leaver{t: t, pool: db.Pool, store: NewStore(db.App), account: id.New()}
	var err error
	if l.holder, err = l.store.CreateHolder(t.Context(), NewHolder{Name: "Zoë", ExternalRef: "crm-7", Metadata: map[string]string{"tier": "a"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.store.CreateKey(t.Context(), NewKey{Role: RoleHolder, HolderID: l.holder.ID, Name: "k"}); err != nil {
		t.Fatal(err)
	}
	l.exec(`INSERT INTO accounts (id, asset, kind, holder_id, may_go_negative) VALUES ($1, 'SCH', 'holder', $2, false)`, l.account, l.holder.ID)
	l.exec(`INSERT INTO accounts (id, asset, kind, holder_id, parent_id, may_go_negative) VALUES ($1, 'SCH', 'hold', $2, $3, false)`, id.New(), l.holder.ID, l.account)
	return l
}

func (l *leaver) exec(sql string, args ...any) {
	l.t.Helper()
	if _, err := l.pool.Exec(l.t.Context(), sql, args...); err != nil {
		l.t.Fatalf("%s: %v", sql, err)
	}
}

func (l *leaver) close() { l.exec(`UPDATE accounts SET status = 'closed' WHERE id = $1`, l.account) }

func (l *leaver) count(sql string) (n int) {
	l.t.Helper()
	if err := l.pool.QueryRow(l.t.Context(), sql, l.holder.ID).Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

const keysLeftSQL = `SELECT count(*) FROM account_keys k JOIN accounts a ON a.id = k.account_id WHERE a.holder_id = $1`

func TestErasingAHolder(t *testing.T) {
	t.Parallel()
	l := newLeaver(t)
	other := newLeaver(t)
	text := id.Format(id.Holder, l.holder.ID)
	kept := `{"id":"` + text + `","name":"Zoë","external_ref":"crm-7","metadata":{"tier":"a"}}`
	l.exec(`INSERT INTO idempotency (digest, request_digest, caller, status, body) VALUES ($1, $1, $1, 201, $2), ($3, $3, $3, 201, $4)`,
		uuid.New(), []byte(kept), uuid.New(), []byte(strings.ReplaceAll(kept, text, id.Format(id.Holder, other.holder.ID))))
	if _, _, err := l.store.EraseHolder(t.Context(), l.holder.ID); !errors.Is(err, ErrAccountsOpen) || l.count(keysLeftSQL) != 2 {
		t.Errorf("with an open account: %v", err)
	}
	if _, _, err := l.store.EraseHolder(t.Context(), id.New()); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	l.close()
	first, accounts, err := l.store.EraseHolder(t.Context(), l.holder.ID)
	if err != nil || len(accounts) != 2 || first.Status != HolderErased || first.Name != "erased" || first.ExternalRef != "" || len(first.Metadata) != 0 || first.ErasedAt == nil {
		t.Fatalf("%+v, %v, %v", first, accounts, err)
	}
	if n := l.count(keysLeftSQL); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	if n := l.count(`SELECT count(*) FROM api_keys WHERE holder_id = $1 AND revoked_at IS NULL`); n != 0 {
		t.Errorf("%d API keys are left", n)
	}
	if n := l.count(`SELECT count(*) FROM idempotency WHERE $1::uuid IS NOT NULL AND convert_from(body, 'UTF8') LIKE '%Zoë%'`); n != 1 {
		t.Errorf("%d answers have the name, want the other holder's", n)
	}
	again, same, err := l.store.EraseHolder(t.Context(), l.holder.ID)
	if err != nil || len(same) != 2 || !again.ErasedAt.Equal(*first.ErasedAt) {
		t.Errorf("again: %+v, %v, %v", again, same, err)
	}
	if _, _, err := l.store.CreateKey(t.Context(), NewKey{Role: RoleHolder, HolderID: l.holder.ID, Name: "k"}); !errors.Is(err, ErrErased) {
		t.Errorf("a new key: %v", err)
	}
	if _, err := l.store.CreateHolder(t.Context(), NewHolder{Name: "n", ExternalRef: "crm-7"}); err != nil {
		t.Errorf("the reference is free again: %v", err)
	}
}

// What the database refuses to everybody.
func TestGuardsOfErasure(t *testing.T) {
	t.Parallel()
	l := newLeaver(t)
	refused := func(what, constraint, sql string, args ...any) {
		t.Helper()
		_, err := l.pool.Exec(t.Context(), sql, args...)
		if pg.ConstraintName(err) != constraint {
			t.Errorf("%s: %v, want %s", what, err, constraint)
		}
	}
	const erase = `UPDATE holders SET status = 'erased', erased_at = now(), name = 'erased', external_ref = NULL, metadata = '{}' WHERE id = $1`
	refused("a new name", "holders_identity_is_fixed", `UPDATE holders SET name = 'x' WHERE id = $1`, l.holder.ID)
	refused("other metadata", "holders_identity_is_fixed", `UPDATE holders SET metadata = '{}' WHERE id = $1`, l.holder.ID)
	refused("the key of an open account", "account_keys_go_after_their_account", `DELETE FROM account_keys WHERE account_id = $1`, l.account)
	refused("the key of its hold", "account_keys_go_after_their_account", `DELETE FROM account_keys USING accounts a WHERE a.id = account_id AND a.parent_id = $1`, l.account)
	refused("open accounts", "holders_erased_have_closed_accounts", erase, l.holder.ID)
	l.close()
	refused("keys that open", "holders_erased_have_no_keys", erase, l.holder.ID)
	l.exec(`DELETE FROM account_keys`)
	refused("an API key", "holders_erased_have_no_access", erase, l.holder.ID)
	l.exec(`UPDATE api_keys SET revoked_at = now()`)
	refused("a name that stays", "holders_erased_are_blank", `UPDATE holders SET status = 'erased', erased_at = now() WHERE id = $1`, l.holder.ID)
	l.exec(erase, l.holder.ID)
	refused("back to life", "holders_erased_stay_erased", `UPDATE holders SET status = 'active', erased_at = NULL WHERE id = $1`, l.holder.ID)
	refused("another account", "accounts_are_of_holders_who_are_there",
		`INSERT INTO accounts (id, asset, kind, holder_id, may_go_negative) VALUES ($1, 'SCH', 'holder', $2, false)`, id.New(), l.holder.ID)
	refused("another hold", "accounts_are_of_holders_who_are_there",
		`INSERT INTO accounts (id, asset, kind, holder_id, parent_id, may_go_negative) VALUES ($1, 'SCH', 'escrow', $2, $3, false)`, id.New(), l.holder.ID, l.account)
}

// However accounts that are opened and an erasure race, nobody who was erased has an account that is open, or one that can be opened.
func TestErasureRacesNewAccounts(t *testing.T) {
	t.Parallel()
	l := newLeaver(t)
	erased := 0
	for range 40 {
		h, err := l.store.CreateHolder(t.Context(), NewHolder{Name: "n"})
		if err != nil {
			t.Fatal(err)
		}
		var opening sync.WaitGroup
		for range 2 {
			opening.Go(func() {
				_, err := l.store.db.Exec(t.Context(), `INSERT INTO accounts (id, asset, kind, holder_id, may_go_negative) VALUES ($1, 'SCH', 'holder', $2, false)`, id.New(), h.ID)
				if err != nil && pg.ConstraintName(err) != "accounts_are_of_holders_who_are_there" {
					t.Error(err)
				}
			})
		}
		_, _, err = l.store.EraseHolder(t.Context(), h.ID)
		opening.Wait()
		switch {
		case err == nil:
			erased++
			l.holder = h
			if n := l.count(`SELECT count(*) FROM accounts WHERE holder_id = $1`); n != 0 {
				t.Errorf("a holder was erased and has %d accounts", n)
			}
		case !errors.Is(err, ErrAccountsOpen):
			t.Error(err)
		}
	}
	t.Logf("%d of 40 were erased", erased)
}
