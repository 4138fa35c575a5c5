package ledger_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

func TestThePastIsAsItWas(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	before := time.Now().Add(-time.Hour)
	accounts := []uuid.UUID{b.account(sch(1000)), b.account(sch(1000)), b.account(0)}
	type moment struct {
		seq      int64
		at       time.Time
		balances [3]int64
	}
	var past []moment
	random := rand.New(rand.NewPCG(1, 2)) // Repeatable.
	for range 40 {
		from := random.IntN(2)
		v := b.Transfer(t.Context(), transfer(accounts[from], accounts[(from+1+random.IntN(2))%3], 1+random.Int64N(sch(10))))
		if v.Err != nil {
			t.Fatal(v.Err)
		}
		m := moment{seq: v.Transaction.Seq, at: v.Transaction.CreatedAt}
		for i := range accounts {
			m.balances[i] = b.balance(accounts[i])
		}
		past = append(past, m)
	}
	for _, m := range past {
		for i, account := range accounts {
			bySeq, err := b.AccountAtSeq(t.Context(), account, m.seq)
			if err != nil || bySeq.Balance != m.balances[i] {
				t.Fatalf("at seq %d account %d had %d, not %+v (%v)", m.seq, i, m.balances[i], bySeq, err)
			}
			byTime, err := b.AccountAt(t.Context(), account, m.at)
			if err != nil || byTime.Balance != m.balances[i] || byTime.Version != bySeq.Version {
				t.Fatalf("at %s account %d had %d, not %+v (%v)", m.at, i, m.balances[i], byTime, err)
			}
		}
		tb, err := b.TrialBalance(t.Context(), &m.at)
		if err != nil || tb.Seq != m.seq || tb.Totals[0].Debit != tb.Totals[0].Credit {
			t.Fatalf("trial balance at seq %d: %+v, %v", m.seq, tb, err)
		}
		var held int64
		for _, r := range tb.Rows {
			if r.Kind == ledger.AccountHolder {
				held = r.Balance
			}
		}
		if held != m.balances[0]+m.balances[1]+m.balances[2] {
			t.Fatalf("trial balance at seq %d: holders have %d", m.seq, held)
		}
	}
	if _, err := b.AccountAt(t.Context(), accounts[0], before); !errors.Is(err, ledger.ErrAccountNotFound) {
		t.Errorf("before it was opened: %v", err)
	}
	if _, err := b.AccountAtSeq(t.Context(), accounts[0], past[len(past)-1].seq+1); !errors.Is(err, ledger.ErrSeqNotReached) {
		t.Errorf("what is yet to come: %v", err)
	}
	if a, err := b.AccountAtSeq(t.Context(), accounts[0], 0); err != nil || a.Balance != 0 || a.Version != 0 {
		t.Errorf("before the journal: %+v, %v", a, err)
	}
}

func TestStatementsPageWithoutGaps(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(100)), b.account(0)
	for i := range 25 {
		from, to := alice, bob
		if i%5 == 4 {
			from, to = bob, alice
		}
		if v := b.Transfer(t.Context(), transfer(from, to, sch(1))); v.Err != nil {
			t.Fatal(v.Err)
		}
	}
	var entries []ledger.Entry
	for before := int64(0); ; {
		page, err := b.Statement(t.Context(), alice, before, 7)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, page...)
		if len(page) < 7 {
			break
		}
		before = page[len(page)-1].Version
	}
	balance := int64(0)
	for i, e := range slices.Backward(entries) {
		if e.Credit {
			balance += e.Amount
		} else {
			balance -= e.Amount
		}
		if e.Version != int64(len(entries)-i) || e.Balance != balance {
			t.Fatalf("entry %d: %+v, running balance %d", i, e, balance)
		}
	}
	if len(entries) != 26 || balance != b.balance(alice) {
		t.Errorf("%d entries ending at %d", len(entries), balance)
	}
}

func TestTransactionsAreListedByParty(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob, carol := b.account(sch(100)), b.account(sch(100)), b.account(0)
	var want []int64
	for i := range 30 {
		from, to := alice, carol
		if i%3 == 0 {
			from = bob
		}
		v := b.Transfer(t.Context(), transfer(from, to, sch(1)))
		if v.Err != nil {
			t.Fatal(v.Err)
		}
		if from == alice {
			want = append([]int64{v.Transaction.Seq}, want...)
		}
	}
	var got []int64
	for before := int64(0); ; {
		page, err := b.Transactions(t.Context(), ledger.TransactionFilter{Accounts: []uuid.UUID{alice}, Kind: ledger.KindTransfer, Before: before, Limit: 6})
		if err != nil {
			t.Fatal(err)
		}
		for _, tx := range page {
			got = append(got, tx.Seq)
		}
		if len(page) < 6 {
			break
		}
		before = page[len(page)-1].Seq
	}
	if len(got) != len(want) {
		t.Fatalf("%d transactions, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("transaction %d has seq %d, want %d", i, got[i], want[i])
		}
	}
	none, err := b.Transactions(t.Context(), ledger.TransactionFilter{Accounts: []uuid.UUID{}, Limit: 5})
	if err != nil || len(none) != 0 {
		t.Errorf("of no accounts: %d, %v", len(none), err)
	}
}
