package simulation_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
)

const (
	manyProviders = 5
	manyHolders   = 12
	// manyPledges is how many of the newest pledges of a world are chosen from.
	manyPledges = 40
)

// world is the whole of the domain on one database, whose clock stands still between the steps.
type world struct {
	ctx       context.Context //nolint:containedctx // of the one test that it lives in
	db        *pgtest.Database
	clock     *pgtest.Clock
	books     *ledger.Ledger
	providers *providers.Store
	redeem    *redeem.Redemptions
	coverage  *coverage.Store
	replay    *replay

	classes []string
	// listed is the real data's quotes.
	listed    []anchor.Quote
	issuers   []uuid.UUID
	holders   []account
	pledges   []pledged
	open      []opened
	operators [2]uuid.UUID
	// day is how much the clock goes on in one advance, at most.
	day time.Duration
	// count numbers the steps, and last repeats the last call that took effect.
	began time.Time
	count uint64
	last  func() (replayed bool, err error)
	// tally counts what became of the actions, reasons why some were refused, and checks the answers of the program's own checks.
	tally, reasons map[string]int
	checks         int
	// sunsets is how many classes were ended.
	sunsets int
}

type account struct{ holder, id uuid.UUID }

type pledged struct {
	id, provider uuid.UUID
	class        string
}

type opened struct{ id, provider, holder uuid.UUID }

// A world's database makes each plan once, and lets the disk wait: nothing here is about the one or the other.
const ofManyStepsSQL = `
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET plan_cache_mode = force_generic_plan', current_database());
    EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
END $$`

func newWorld(t testing.TB, day time.Duration) *world {
	t.Helper()
	db := pgtest.New(t, pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) }))
	if _, err := db.Pool.Exec(t.Context(), ofManyStepsSQL); err != nil {
		t.Fatal(err)
	}
	books := ledger.New(db.App, db.App, ledger.Options{})
	t.Cleanup(func() {
		if err := books.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		ctx: t.Context(), db: db, clock: pgtest.NewClock(t, db, time.Now()), books: books,
		providers: providers.NewStore(db.App, books), redeem: redeem.New(db.App, books), coverage: coverage.NewStore(db.App), replay: newReplay(db.App),
		day: day, tally: make(map[string]int), reasons: make(map[string]int), operators: [2]uuid.UUID{id.New(), id.New()},
	}
	w.began = w.clock.Now()
	if err := w.people(); err != nil {
		t.Fatal(err)
	}
	return w
}

// people makes the providers and the holders, who stay the same.
func (w *world) people() error {
	classes, err := anchor.Classes(w.ctx, w.db.App)
	if err != nil {
		return err
	}
	for _, c := range classes {
		w.classes = append(w.classes, c.Name)
	}
	inputs, err := anchor.FirstInputs()
	if err != nil {
		return err
	}
	w.listed = inputs.Quotes
	for i := range manyProviders {
		p, err := w.providers.CreateProvider(w.ctx, providers.NewProvider{Name: fmt.Sprintf("provider %d", i)})
		if err != nil {
			return err
		}
		w.issuers = append(w.issuers, p.ID)
	}
	for range manyHolders {
		holder := id.New()
		if _, err := w.db.Pool.Exec(w.ctx, `INSERT INTO holders (id, name) VALUES ($1, 'holder')`, holder); err != nil {
			return err
		}
		a, err := ledger.OpenTx(w.ctx, w.db.Pool, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: holder})
		if err != nil {
			return err
		}
		w.holders = append(w.holders, account{holder: holder, id: a.ID})
	}
	return nil
}

// call is one caller's, with an idempotency key of the step.
func (w *world) call(caller uuid.UUID) ledger.Call {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("simulation"), w.count))
	return ledger.Call{Caller: caller, Digest: uuid.UUID(sum[:16]), Request: uuid.UUID(sum[16:])}
}

// refusals are what a step may be answered with, as the books, the pledges or the times may be.
var refusals = []error{
	ledger.ErrInsufficientFunds, ledger.ErrSameAccount, ledger.ErrAmountOutOfRange,
	providers.ErrInsufficientBacking, providers.ErrBackingLapsed, anchor.ErrClassSunset, anchor.ErrSunsetStatus, anchor.ErrReferenceSunset,
	providers.ErrPledgeNotActive, providers.ErrPledgeNotPending, providers.ErrPledgeLapsed, providers.ErrInsufficientCollateral, providers.ErrSubstituteLapses,
	redeem.ErrNoCapacity, redeem.ErrConflict, anchor.ErrNoFactor,
	coverage.ErrCoverageTooLow, anchor.ErrIndexStale, anchor.ErrReferenceUnpriced, anchor.ErrEpochOutdated,
}

// take does steps that are taken together, and holds what they left to the invariants. It returns how many were taken before one broke
// something, and what.
func (w *world) take(steps []step) (done int, err error) {
	if trades[steps[0].Do] != nil {
		return w.trade(steps)
	}
	w.count++
	before := w.replay.seq
	refusal := w.do(steps[0])
	if err := w.judge(steps[0], refusal); err != nil {
		return 0, err
	}
	if err := w.replay.catchUp(w.ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", steps[0], err)
	}
	if refusal != nil && w.replay.seq != before {
		return 0, fmt.Errorf("%s was refused (%w), and left something in the journal", steps[0], refusal)
	}
	return 1, nil
}

// judge counts what a step was answered with, and returns it if nothing may be answered with that.
func (w *world) judge(s step, answer error) error {
	switch {
	case answer == nil:
		w.tally[s.Do.String()]++
	case !w.refused(answer):
		return fmt.Errorf("%s: %w", s, answer)
	default:
		w.tally[s.Do.String()+" refused"]++
		w.reasons[answer.Error()]++
	}
	return nil
}

func (w *world) refused(err error) bool {
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return true
		}
	}
	// Two epochs or policies cannot begin at one moment, and a pledge that lapses sooner cannot stand in for one that lapses later.
	_, anchored := errors.AsType[*anchor.InvalidError](err)
	_, covered := errors.AsType[*coverage.InvalidError](err)
	_, provided := errors.AsType[*providers.InvalidError](err)
	return anchored || covered || provided || errors.Is(err, errNobody)
}

// errNobody means that there is nothing yet with which the step could be taken.
var errNobody = errors.New("there is nothing to do it with")

func choose[T any](from []T, n uint32) (chosen T, err error) {
	if len(from) == 0 {
		return chosen, errNobody
	}
	return from[int(n)%len(from)], nil
}

// prove asks every check that the program has, but for that of the index.
func (w *world) prove() error {
	return w.ask(ledger.CheckBalances, ledger.CheckJournal, anchor.Checks, coverage.Checks, providers.Checks, redeem.Checks, redeem.CheckJournal)
}

// proveIndex has the index computed again from its first fixing on, which takes as long as it took to compute it.
func (w *world) proveIndex() error { return w.ask(anchor.CheckIndex) }

func (w *world) ask(questions ...ledger.CheckFunc) error {
	checks, err := ledger.RunChecks(w.ctx, w.db.App, questions...)
	if err != nil {
		return err
	}
	for _, c := range checks {
		if !c.OK {
			return fmt.Errorf("check %s: %s", c.Name, c.Detail)
		}
		w.checks++
	}
	return nil
}
