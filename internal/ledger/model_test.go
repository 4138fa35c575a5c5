package ledger_test

import (
	"errors"
	"maps"
	"os"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// model is what the books should be: the rules of one account after another, in memory and in a few lines.
type model struct {
	*books
	accounts  []uuid.UUID
	balance   map[uuid.UUID]int64
	held      map[uuid.UUID]int64
	frozen    map[uuid.UUID]bool
	closed    map[uuid.UUID]bool
	versions  map[uuid.UUID]int64
	holds     []*modelHold
	transfers []*modelTransfer
	ops       *atomic.Int64
}

type modelHold struct {
	id, account uuid.UUID
	amount      int64
	settled     bool
}

type modelTransfer struct {
	ask      *ledger.Transfer
	made     *ledger.Transaction
	amount   int64
	reversed bool
}

// long says that tests take all the time they need.
func long() bool { return os.Getenv("BALLAST_LONG") == "1" }

// The database against the model, operation by operation: the same verdicts, and in the end the same books. Run it with
// BALLAST_LONG=1 for 100,000 operations; a failure prints the seed that repeats it.
func TestBooksAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	want := int64(2_000)
	if long() {
		want = 100_000
	}
	var ops atomic.Int64
	for ops.Load() < want && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) {
			if ops.Load() >= want {
				return
			}
			m := newModel(b, &ops)
			rt.Repeat(map[string]func(*rapid.T){
				"transfers": m.transferMany,
				"atomic":    m.transferAtomically,
				"repeat":    m.repeat,
				"hold":      m.place,
				"settle":    m.settle,
				"reverse":   m.reverse,
				"freeze":    m.freeze,
				"close":     m.close,
				"mint":      m.mintMore,
				"":          m.compare,
			})
		})
	}
	b.mustBalance()
	t.Logf("%d operations", ops.Load())
}

func newModel(b *books, ops *atomic.Int64) *model {
	m := &model{
		books: b, ops: ops, balance: map[uuid.UUID]int64{}, held: map[uuid.UUID]int64{},
		frozen: map[uuid.UUID]bool{}, closed: map[uuid.UUID]bool{}, versions: map[uuid.UUID]int64{},
	}
	for i := range 6 {
		account := b.account(int64(i) * sch(10))
		m.accounts = append(m.accounts, account)
		m.balance[account] = int64(i) * sch(10)
		m.versions[account] = min(int64(i), 1)
	}
	return m
}

func (m *model) pick(t *rapid.T, name string) uuid.UUID {
	return rapid.SampledFrom(m.accounts).Draw(t, name)
}

func amount(t *rapid.T) int64 {
	return rapid.OneOf(rapid.Int64Range(1, sch(5)), rapid.Int64Range(1, sch(60))).Draw(t, "amount")
}

// verdict is the model's rule of a transfer.
func (m *model) verdict(from, to uuid.UUID, micros int64) error {
	switch {
	case from == to:
		return ledger.ErrSameAccount
	case m.closed[from] || m.closed[to]:
		return ledger.ErrAccountClosed
	case m.frozen[from] || m.frozen[to]:
		return ledger.ErrAccountFrozen
	case m.balance[from] < micros:
		return ledger.ErrInsufficientFunds
	}
	return nil
}

func (m *model) move(from, to uuid.UUID, micros int64) {
	m.balance[from] -= micros
	m.balance[to] += micros
	m.versions[from]++
	m.versions[to]++
}

func (m *model) draw(t *rapid.T) *modelTransfer {
	micros := amount(t)
	return &modelTransfer{ask: transfer(m.pick(t, "from"), m.pick(t, "to"), micros), amount: micros}
}

func (m *model) transferMany(t *rapid.T) {
	n := rapid.IntRange(1, 40).Draw(t, "n")
	asked := make([]*modelTransfer, n)
	asks := make([]*ledger.Transfer, n)
	for i := range asked {
		asked[i] = m.draw(t)
		asks[i] = asked[i].ask
	}
	for i, v := range m.TransferBatch(m.t.Context(), asks, false) {
		m.ops.Add(1)
		a := asked[i]
		want := m.verdict(a.ask.From, a.ask.To, a.amount)
		if !errors.Is(v.Err, want) || v.Replayed {
			t.Fatalf("transfer %d: %v, want %v", i, v.Err, want)
		}
		if want == nil {
			m.move(a.ask.From, a.ask.To, a.amount)
			a.made = v.Transaction
			m.transfers = append(m.transfers, a)
			if p := v.Transaction.Postings[0]; p.FromBalance != m.balance[a.ask.From] || p.ToVersion != m.versions[a.ask.To] {
				t.Fatalf("transfer %d: %+v, want balance %d", i, p, m.balance[a.ask.From])
			}
		}
	}
}

func (m *model) transferAtomically(t *rapid.T) {
	n := rapid.IntRange(2, 6).Draw(t, "n")
	asked := make([]*modelTransfer, n)
	asks := make([]*ledger.Transfer, n)
	balance, versions := clone(m.balance), clone(m.versions)
	var culprit error
	failed := -1
	for i := range asked {
		asked[i] = m.draw(t)
		asks[i] = asked[i].ask
		if failed < 0 {
			if culprit = m.verdict(asks[i].From, asks[i].To, asked[i].amount); culprit != nil {
				failed = i
			} else {
				m.move(asks[i].From, asks[i].To, asked[i].amount)
			}
		}
	}
	if failed >= 0 {
		m.balance, m.versions = balance, versions
	}
	m.ops.Add(int64(n))
	for i, v := range m.TransferBatch(m.t.Context(), asks, true) {
		want := error(nil)
		if failed >= 0 {
			want = ledger.ErrBatchAborted
		}
		if i == failed {
			want = culprit
		}
		if !errors.Is(v.Err, want) {
			t.Fatalf("part %d: %v, want %v", i, v.Err, want)
		}
		if want == nil {
			asked[i].made = v.Transaction
			m.transfers = append(m.transfers, asked[i])
		}
	}
}

func clone(in map[uuid.UUID]int64) map[uuid.UUID]int64 {
	out := make(map[uuid.UUID]int64, len(in))
	maps.Copy(out, in)
	return out
}

func (m *model) repeat(t *rapid.T) {
	if len(m.transfers) == 0 {
		t.Skip("none made yet")
	}
	a := rapid.SampledFrom(m.transfers).Draw(t, "which")
	m.ops.Add(1)
	v := m.Transfer(m.t.Context(), a.ask)
	if v.Err != nil || !v.Replayed || v.Transaction.ID != a.made.ID || v.Transaction.Postings[0] != a.made.Postings[0] {
		t.Fatalf("repeated: %+v, first %+v", v, a.made)
	}
}

func (m *model) place(t *rapid.T) {
	account, micros := m.pick(t, "account"), amount(t)
	m.ops.Add(1)
	h, _, err := m.PlaceHold(m.t.Context(), ledger.NewHold{Call: freshCall(), AccountID: account, Amount: money.Micros(micros)})
	want := m.verdict(account, uuid.Max, micros)
	if !errors.Is(err, want) {
		t.Fatalf("hold: %v, want %v", err, want)
	}
	if want == nil {
		m.balance[account] -= micros
		m.versions[account]++
		m.held[account] += micros
		m.holds = append(m.holds, &modelHold{id: h.ID, account: account, amount: micros})
	}
}

func (m *model) settle(t *rapid.T) {
	if len(m.holds) == 0 {
		t.Skip("none placed yet")
	}
	h := rapid.SampledFrom(m.holds).Draw(t, "which")
	m.ops.Add(1)
	if rapid.Bool().Draw(t, "void") {
		_, _, err := m.Void(m.t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.id})
		if h.settled != errors.Is(err, ledger.ErrHoldSettled) || !h.settled && err != nil {
			t.Fatalf("void: %v, settled %v", err, h.settled)
		}
		m.returned(h, 0, uuid.Nil)
		return
	}
	to, part := m.pick(t, "to"), rapid.Int64Range(1, h.amount).Draw(t, "part")
	ask := money.Micros(part)
	_, _, err := m.Capture(m.t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.id, To: to, Amount: &ask})
	want := m.captureVerdict(h, to)
	if !errors.Is(err, want) {
		t.Fatalf("capture: %v, want %v", err, want)
	}
	if want == nil {
		m.returned(h, part, to)
	}
}

func (m *model) captureVerdict(h *modelHold, to uuid.UUID) error {
	switch {
	case h.settled:
		return ledger.ErrHoldSettled
	case to == h.account:
		return ledger.ErrSameAccount
	case m.frozen[h.account]:
		return ledger.ErrAccountFrozen
	case m.closed[to]:
		return ledger.ErrAccountClosed
	case m.frozen[to]:
		return ledger.ErrAccountFrozen
	}
	return nil
}

func (m *model) returned(h *modelHold, part int64, to uuid.UUID) {
	if h.settled {
		return
	}
	h.settled = true
	m.held[h.account] -= h.amount
	if part > 0 {
		m.balance[to] += part
		m.versions[to]++
	}
	if rest := h.amount - part; rest > 0 {
		m.balance[h.account] += rest
		m.versions[h.account]++
	}
}

func (m *model) reverse(t *rapid.T) {
	if len(m.transfers) == 0 {
		t.Skip("none made yet")
	}
	a := rapid.SampledFrom(m.transfers).Draw(t, "which")
	m.ops.Add(1)
	v := m.Reverse(m.t.Context(), freshCall(), a.made.ID, "model")
	var want error
	switch {
	case a.reversed:
		want = ledger.ErrAlreadyReversed
	case m.closed[a.ask.From] || m.closed[a.ask.To]:
		want = ledger.ErrAccountClosed
	case m.balance[a.ask.To] < a.amount:
		want = ledger.ErrInsufficientFunds
	}
	if !errors.Is(v.Err, want) {
		t.Fatalf("reversal: %v, want %v", v.Err, want)
	}
	if want == nil {
		m.move(a.ask.To, a.ask.From, a.amount)
		a.reversed = true
	}
}

func (m *model) freeze(t *rapid.T) {
	account := m.pick(t, "account")
	m.ops.Add(1)
	change, frozen := m.Freeze, true
	if m.frozen[account] {
		change, frozen = m.Unfreeze, false
	}
	_, err := change(m.t.Context(), account)
	if m.closed[account] != errors.Is(err, ledger.ErrAccountClosed) || !m.closed[account] && err != nil {
		t.Fatalf("freezing: %v, closed %v", err, m.closed[account])
	}
	m.frozen[account] = frozen && !m.closed[account]
}

func (m *model) close(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
		t.Skip("seldom")
	}
	account := m.pick(t, "account")
	m.ops.Add(1)
	empty := m.balance[account] == 0 && m.held[account] == 0
	_, err := m.CloseAccount(m.t.Context(), account)
	if empty != (err == nil) || !empty && !errors.Is(err, ledger.ErrAccountNotEmpty) {
		t.Fatalf("closing: %v, balance %d, held %d", err, m.balance[account], m.held[account])
	}
	if empty {
		m.closed[account], m.frozen[account] = true, false
	}
}

func (m *model) mintMore(t *rapid.T) {
	account, micros := m.pick(t, "account"), amount(t)
	if m.closed[account] || m.frozen[account] {
		t.Skip("not open")
	}
	m.ops.Add(1)
	m.mint(account, micros)
	m.balance[account] += micros
	m.versions[account]++
}

// compare is run after every operation.
func (m *model) compare(t *rapid.T) {
	for _, account := range m.accounts {
		a, err := m.Account(m.t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		if a.Balance != m.balance[account] || a.Held != m.held[account] || a.Version != m.versions[account] {
			t.Fatalf("account %s: %d + %d on hold at version %d, want %d + %d at %d", account,
				a.Balance, a.Held, a.Version, m.balance[account], m.held[account], m.versions[account])
		}
		if (a.Status == ledger.AccountClosed) != m.closed[account] || (a.Status == ledger.AccountFrozen) != m.frozen[account] {
			t.Fatalf("account %s is %s, want frozen %v, closed %v", account, a.Status, m.frozen[account], m.closed[account])
		}
	}
}
