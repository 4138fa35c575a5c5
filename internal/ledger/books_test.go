package ledger_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// books is a ledger on a database of its own, with an issuer and some holders.
type books struct {
	*ledger.Ledger
	t testing.TB
	// app has the rights of the API, owner those of the schema's owner.
	app, owner *pgxpool.Pool
	holder     uuid.UUID
	issuance   uuid.UUID
}

func newBooks(t testing.TB, opts ledger.Options) *books {
	t.Helper()
	db := pgtest.New(t)
	return openBooks(t, db.App, db.App, db.Pool, opts)
}

func openBooks(t testing.TB, reads, writes, owner *pgxpool.Pool, opts ledger.Options) *books {
	t.Helper()
	b := &books{Ledger: ledger.New(reads, writes, opts), t: t, app: reads, owner: owner, holder: id.New()}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Errorf("closing the ledger: %v", err)
		}
	})
	provider := id.New()
	b.exec(`INSERT INTO holders (id, name) VALUES ($1, 'holder')`, b.holder)
	b.exec(`INSERT INTO providers (id, name) VALUES ($1, 'provider')`, provider)
	b.issuance = b.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: provider})
	return b
}

func (b *books) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.owner.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

func (b *books) open(n ledger.NewAccount) uuid.UUID {
	b.t.Helper()
	a, err := ledger.OpenTx(b.t.Context(), b.app, n)
	if err != nil {
		b.t.Fatalf("opening an account: %v", err)
	}
	return a.ID
}

// account opens a holder's account in SCH with an amount of millionths in it.
func (b *books) account(micros int64) uuid.UUID {
	b.t.Helper()
	account := b.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: b.holder})
	if micros > 0 {
		b.mint(account, micros)
	}
	return account
}

func (b *books) mint(account uuid.UUID, micros int64) *ledger.Transaction {
	b.t.Helper()
	v := b.Submit(b.t.Context(), &ledger.Command{
		Kind: ledger.KindMint, Call: freshCall(),
		Moves: []ledger.Move{{From: b.issuance, To: account, Amount: money.Micros(micros)}},
	})[0]
	if v.Err != nil {
		b.t.Fatalf("minting: %v", v.Err)
	}
	return v.Transaction
}

// freshCall is a call under a key that nobody used before.
func freshCall() ledger.Call { return keyedCall(uuid.NewString()) }

// keyedCall is a call under a key, asking always for the same.
func keyedCall(key string) ledger.Call {
	sum := sha256.Sum256([]byte(key))
	return ledger.Call{Caller: uuid.Nil, Digest: uuid.UUID(sum[:16]), Request: uuid.UUID(sum[16:])}
}

func transfer(from, to uuid.UUID, micros int64) *ledger.Transfer {
	return &ledger.Transfer{Call: freshCall(), From: from, To: to, Amount: money.Micros(micros)}
}

func (b *books) balance(account uuid.UUID) int64 {
	b.t.Helper()
	a, err := b.Account(b.t.Context(), account)
	if err != nil {
		b.t.Fatalf("reading account %s: %v", account, err)
	}
	return a.Balance
}

// mustBalance recomputes every invariant of the ledger.
func (b *books) mustBalance() {
	b.t.Helper()
	for _, check := range b.checks() {
		if !check.OK {
			b.t.Errorf("%s: %s", check.Name, check.Detail)
		}
	}
}

func (b *books) checks() []ledger.Check {
	b.t.Helper()
	balances, err := ledger.CheckBalances(b.t.Context(), b.owner)
	if err != nil {
		b.t.Fatal(err)
	}
	journal, err := ledger.CheckJournal(b.t.Context(), b.owner)
	if err != nil {
		b.t.Fatal(err)
	}
	return append(balances, journal...)
}

func (b *books) count(sql string) int64 {
	b.t.Helper()
	var n int64
	if err := b.owner.QueryRow(b.t.Context(), sql).Scan(&n); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func sch(whole int64) int64 { return whole * 1_000_000 }

func describe(format string, args ...any) string { return fmt.Sprintf(format, args...) }
