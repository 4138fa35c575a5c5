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
	// tally counts what became of the actions.
	tally map[string]int
}

type account struct{ holder, id uuid.UUID }

type pledged struct {
	id, provider uuid.UUID
	class        string
}

type opened struct{ id, provider, holder uuid.UUID }

func newWorld(t testing.TB, day time.Duration) *world {
	t.Helper()
	db := pgtest.New(t, pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) }))
	books := ledger.New(db.App, db.App, ledger.Options{})
	t.Cleanup(func() {
		if err := books.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		ctx: t.Context(), db: db, clock: pgtest.NewClock(t, db, time.Now()), books: books,
		providers: providers.NewStore(db.App, books), redeem: redeem.New(db.App, books), coverage: coverage.NewStore(db.App), replay: newReplay(db.App),
		day: day, tally: make(map[string]int), operators: [2]uuid.UUID{id.New(), id.New()},
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

// take does a step, and holds what it left to the invariants. Its error is of a step that broke one.
func (w *world) take(s step) error {
	w.count++
	before := w.replay.seq
	err := w.do(s)
	switch {
	case err == nil:
		w.tally[s.Do.String()]++
	case !w.refused(err):
		return fmt.Errorf("%s: %w", s, err)
	default:
		w.tally[s.Do.String()+" refused"]++
	}
	if err := w.replay.catchUp(w.ctx); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	if err != nil && w.replay.seq != before {
		return fmt.Errorf("%s was refused (%w), and left something in the journal", s, err)
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

// prove asks every check that the program has, and a few of the whole state.
func (w *world) prove() error {
	checks, err := ledger.RunChecks(w.ctx, w.db.App, ledger.CheckBalances, ledger.CheckJournal, anchor.Checks, anchor.CheckIndex, coverage.Checks, providers.Checks, redeem.Checks, redeem.CheckJournal)
	if err != nil {
		return err
	}
	for _, c := range checks {
		if !c.OK {
			return fmt.Errorf("check %s: %s", c.Name, c.Detail)
		}
	}
	return nil
}
