package simulation_test

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/money"
)

// replay is an auditor that believes nothing but the journal. It reads what each step added, in the order of seq, does the
// double entry again in memory, and holds it to the invariants.
type replay struct {
	db       *pgxpool.Pool
	accounts map[uuid.UUID]*replayed
	digests  map[uuid.UUID]bool
	seq      int64
	at       time.Time
	// In millionths of SCH.
	minted, burned, held int64
	// pledged is what the accounts of each pledge add up to: nothing, whenever a transaction is whole.
	pledged map[uuid.UUID]int64
	escrow  int64
	// open is the redemptions that have no end yet.
	open      map[uuid.UUID]redeemed
	openTotal int64
	// pledges are those of whom an account was seen, by provider.
	pledges map[uuid.UUID]map[uuid.UUID]*collateral
	issued  map[uuid.UUID]int64
	// transactions counts them by kind, and entered counts all.
	transactions map[string]int
	entered      int
}

// redeemed is a redemption on its way: what it has in escrow, and who is to give credits for it.
type redeemed struct {
	escrowed int64
	provider uuid.UUID
}

type replayed struct {
	kind, asset string
	pledge      uuid.UUID
	provider    uuid.UUID
	balance     int64
	version     int64
}

func (a *replayed) contra() bool { return a.kind == "issuance" || a.kind == "pledge_commitment" }

// ofTokens tells whether the account's tokens are out.
func (a *replayed) ofTokens() bool {
	return a.asset == money.SCH && (a.kind == "holder" || a.kind == "hold" || a.kind == "escrow")
}

func newReplay(db *pgxpool.Pool) *replay {
	return &replay{
		db: db, accounts: make(map[uuid.UUID]*replayed), digests: make(map[uuid.UUID]bool),
		pledged: make(map[uuid.UUID]int64), open: make(map[uuid.UUID]redeemed), transactions: make(map[string]int),
		pledges: make(map[uuid.UUID]map[uuid.UUID]*collateral), issued: make(map[uuid.UUID]int64),
	}
}

// entry is one posting with its transaction.
type entry struct {
	seq                      int64
	line, lines              int16
	kind                     string
	digest                   uuid.UUID
	subject                  *uuid.UUID
	at                       time.Time
	from, to                 uuid.UUID
	asset                    string
	amount                   int64
	fromBalance, fromVersion int64
	toBalance, toVersion     int64
}

// readAtOnce is how many transactions are read at a time, each of which has a posting at least.
const readAtOnce = 500

// Each transaction is found by its seq, and its postings by theirs, whatever the planner thinks: there is a plan for all of the steps.
const newEntriesSQL = `
SELECT t.seq, p.line, t.lines, t.kind, t.idempotency_digest, t.subject_id, t.created_at,
       p.from_account, p.to_account, p.asset, p.amount, p.from_balance, p.from_version, p.to_balance, p.to_version
FROM (SELECT * FROM transactions WHERE seq > $1 ORDER BY seq LIMIT $2) AS t
CROSS JOIN LATERAL (SELECT * FROM postings WHERE seq = t.seq ORDER BY line OFFSET 0) AS p`

// catchUp reads what was added, and says what in it breaks an invariant. There is one process and one step at a time, so that
// whatever is above the last seq is new.
func (r *replay) catchUp(ctx context.Context) error {
	for {
		rows, err := r.db.Query(ctx, newEntriesSQL, r.seq, readAtOnce)
		if err != nil {
			return err
		}
		entries, err := pgx.CollectRows(rows, scanEntry)
		if err == nil {
			err = r.enterAll(ctx, entries)
		}
		if err != nil || len(entries) < readAtOnce {
			return err
		}
	}
}

func scanEntry(row pgx.CollectableRow) (e entry, err error) {
	err = row.Scan(&e.seq, &e.line, &e.lines, &e.kind, &e.digest, &e.subject, &e.at, &e.from, &e.to, &e.asset, &e.amount,
		&e.fromBalance, &e.fromVersion, &e.toBalance, &e.toVersion)
	return e, err
}

func (r *replay) enterAll(ctx context.Context, entries []entry) error {
	for len(entries) > 0 {
		lines := int(entries[0].lines)
		if len(entries) < lines || entries[lines-1].seq != entries[0].seq {
			return fmt.Errorf("transaction %d has not its %d lines", entries[0].seq, lines)
		}
		err := r.enter(ctx, entries[:lines])
		if err == nil {
			err = r.check()
		}
		if err != nil {
			return fmt.Errorf("transaction %d (%s): %w", entries[0].seq, entries[0].kind, err)
		}
		entries = entries[lines:]
	}
	return nil
}

// enter replays one transaction.
func (r *replay) enter(ctx context.Context, lines []entry) error {
	first := lines[0]
	switch {
	case r.digests[first.digest]:
		return fmt.Errorf("invariant 7: its idempotency key had an effect before")
	case first.at.Before(r.at):
		return fmt.Errorf("its time is before that of the one before it")
	}
	r.digests[first.digest], r.seq, r.at = true, first.seq, first.at
	r.transactions[first.kind]++
	r.entered++
	for i := range lines {
		if err := r.post(ctx, &lines[i]); err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
	}
	for i := range lines {
		if pledge := r.accounts[lines[i].from].pledge; r.pledged[pledge] != 0 {
			return fmt.Errorf("invariant 5: the hours of pledge %s are off by %d", pledge, r.pledged[pledge])
		}
	}
	return r.rules(ctx, lines)
}

func (r *replay) post(ctx context.Context, e *entry) error {
	from, err := r.account(ctx, e.from)
	if err != nil {
		return err
	}
	to, err := r.account(ctx, e.to)
	if err != nil {
		return err
	}
	if from.asset != e.asset || to.asset != e.asset || e.amount <= 0 {
		return fmt.Errorf("invariant 1: %d of %s between an account of %s and one of %s", e.amount, e.asset, from.asset, to.asset)
	}
	r.count(from, to, e.amount)
	from.balance, from.version = from.balance-e.amount, from.version+1
	to.balance, to.version = to.balance+e.amount, to.version+1
	if from.balance != e.fromBalance || to.balance != e.toBalance || from.version != e.fromVersion || to.version != e.toVersion {
		return fmt.Errorf("invariant 1: the posting says %d v%d and %d v%d, its past %d v%d and %d v%d",
			e.fromBalance, e.fromVersion, e.toBalance, e.toVersion, from.balance, from.version, to.balance, to.version)
	}
	if from.balance < 0 && !from.contra() {
		return fmt.Errorf("invariant 2: a %s account holds %d", from.kind, from.balance)
	}
	return nil
}

// count keeps the totals of invariant 3.
func (r *replay) count(from, to *replayed, amount int64) {
	if from.kind == "issuance" {
		r.minted += amount
		r.issued[from.provider] += amount
	}
	if to.kind == "issuance" {
		r.burned += amount
		r.issued[to.provider] -= amount
	}
	if from.ofTokens() {
		r.held -= amount
	}
	if to.ofTokens() {
		r.held += amount
	}
	if from.kind == "escrow" {
		r.escrow -= amount
	}
	if to.kind == "escrow" {
		r.escrow += amount
	}
	if from.pledge != uuid.Nil {
		r.pledged[from.pledge] -= amount
	}
	if to.pledge != uuid.Nil {
		r.pledged[to.pledge] += amount
	}
}

// rules follows the escrow of invariant 6, and asks invariant 4 of every mint.
func (r *replay) rules(ctx context.Context, lines []entry) error {
	first := lines[0]
	switch first.kind {
	case "redemption_request":
		if _, known := r.open[*first.subject]; known {
			return fmt.Errorf("invariant 6: redemption %s was requested before", first.subject)
		}
		giver, err := r.account(ctx, lines[1].from)
		if err != nil {
			return err
		}
		r.open[*first.subject] = redeemed{escrowed: first.amount, provider: giver.provider}
		r.openTotal += first.amount
	case "redemption_issue", "redemption_refund":
		was, open := r.open[*first.subject]
		if !open || was.escrowed != first.amount {
			return fmt.Errorf("invariant 6: redemption %s ends with %d, and had %d in escrow", first.subject, first.amount, was.escrowed)
		}
		delete(r.open, *first.subject)
		r.openTotal -= was.escrowed
	case "mint":
		return r.backed(ctx, lines)
	}
	return nil
}

// check holds the state after a transaction to the invariants that are about sums.
func (r *replay) check() error {
	if r.minted-r.burned != r.held {
		return fmt.Errorf("invariant 3: minted %d less burned %d is not what is held, %d", r.minted, r.burned, r.held)
	}
	if r.escrow != r.openTotal {
		return fmt.Errorf("invariant 6: %d in escrow, and %d in redemptions under way", r.escrow, r.openTotal)
	}
	return nil
}

const accountSQL = `
SELECT kind, asset, COALESCE(pledge_id, '00000000-0000-0000-0000-000000000000'), COALESCE(provider_id, '00000000-0000-0000-0000-000000000000')
FROM accounts WHERE id = $1`

func (r *replay) account(ctx context.Context, account uuid.UUID) (*replayed, error) {
	if a, known := r.accounts[account]; known {
		return a, nil
	}
	a := &replayed{}
	if err := r.db.QueryRow(ctx, accountSQL, account).Scan(&a.kind, &a.asset, &a.pledge, &a.provider); err != nil {
		return nil, fmt.Errorf("account %s: %w", account, err)
	}
	r.accounts[account] = a
	r.belong(a)
	return a, nil
}
