package providers_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

// announceSunset ends a class: no mints in an hour, no hours in two.
func (w *world) announceSunset(class string, now time.Time) anchor.Sunset {
	w.t.Helper()
	ctx, policy := w.t.Context(), anchor.EpochPolicy{Notice: time.Hour, SunsetNotice: time.Hour}
	var s anchor.Sunset
	err := pg.InTx(ctx, w.App, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
		s, err = anchor.ProposeSunsetTx(ctx, tx, anchor.NewSunset{
			By: w.operator, GPUClass: class, NoMintsFrom: now.Add(time.Hour), SunsetAt: now.Add(2 * time.Hour), Reason: "r", Policy: policy,
		})
		if err == nil {
			s, err = anchor.ApproveSunsetTx(ctx, tx, class, s.ID, id.New(), policy)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestAClassIsSunset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := pgtest.NewClock(t, w.Database, time.Now())
	p, pending, other := w.active(mi300, 100*hour, "0"), w.pledge(mi300, hour), w.active(h100, 100*hour, "0")
	s := w.announceSunset(mi300, clock.Now())

	if _, err := w.store.CreatePledge(t.Context(), w.newPledge(mi300, hour)); !errors.Is(err, anchor.ErrClassSunset) {
		t.Errorf("a new pledge: %v", err)
	}
	if _, _, err := w.store.Verify(t.Context(), w.verification(pending.ID, "0")); !errors.Is(err, anchor.ErrClassSunset) {
		t.Errorf("a pledge that was pending: %v", err)
	}
	if _, err := w.store.CreatePledge(t.Context(), w.newPledge(h100, hour)); err != nil {
		t.Errorf("a pledge of another class: %v", err)
	}
	clock.Set(s.NoMintsFrom.Add(-time.Microsecond))
	if _, err := w.mint(p.ID, hour); err != nil {
		t.Errorf("before the end of mints: %v", err)
	}
	clock.Set(s.NoMintsFrom)
	if _, err := w.mint(p.ID, hour); !errors.Is(err, anchor.ErrClassSunset) {
		t.Errorf("at the end of mints: %v", err)
	}
	if _, err := w.mint(other.ID, hour); err != nil {
		t.Errorf("another class: %v", err)
	}
	w.sound()
}

// What the program does not refuse, since the announcement came too late for it, the database does.
func TestGuardsOfASunset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := pgtest.NewClock(t, w.Database, time.Now())
	p, pending := w.active(mi300, 100*hour, "0"), w.pledge(mi300, hour)
	if _, err := w.mint(p.ID, hour); err != nil {
		t.Fatal(err)
	}
	s := w.announceSunset(mi300, clock.Now())
	_, err := w.Pool.Exec(t.Context(), `INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, created_by)
		VALUES ($1, $2, $3, 1, 'r', now(), now() + interval '1 h', $2)`, id.New(), w.provider, mi300)
	refused(t, "a new pledge", err, "BL008", "pledges_are_of_classes_that_stay")
	_, err = w.Pool.Exec(t.Context(), `UPDATE pledges SET status = 'active', haircut = 0, verified_by = $2, verified_at = now() WHERE id = $1`, pending.ID, w.operator)
	refused(t, "a pledge that was pending", err, "BL008", "pledges_become_active_of_classes_that_stay")
	if err := w.submitUnknowing(p); err != nil {
		t.Errorf("before the end of mints: %v", err)
	}
	clock.Set(s.NoMintsFrom)
	err = w.submitUnknowing(p)
	refused(t, "a mint too late", err, "BL008", "mints_end_with_their_class")
}

// submitUnknowing mints by a step that does not know of the sunset.
func (w *world) submitUnknowing(p providers.Pledge) error {
	w.t.Helper()
	return w.ledger.Submit(w.t.Context(), &ledger.Command{
		Kind: ledger.KindMint, Call: call(w.provider), Subject: p.ID, Step: &unknowing{w: w, p: p},
	})[0].Err
}

type unknowing struct {
	w     *world
	p     providers.Pledge
	rates anchor.RateRead
	rate  anchor.Rate
}

func (s *unknowing) Lock() []uuid.UUID {
	return []uuid.UUID{s.p.Accounts.Issuance, s.w.account, s.p.Accounts.Available, s.p.Accounts.Backing}
}

func (s *unknowing) Read(r *ledger.Reads) { s.rates.Queue(r, s.p.GPUClass) }

func (s *unknowing) Decide(book *ledger.Book) (d ledger.Decision, err error) {
	s.rate, err = s.rates.At(book.At())
	d.Epoch = s.rate.Epoch
	d.Moves = []ledger.Move{
		{From: s.p.Accounts.Issuance, To: s.w.account, Amount: money.Micros(1)},
		{From: s.p.Accounts.Available, To: s.p.Accounts.Backing, Amount: money.Micros(hour)},
	}
	return d, err
}

func (s *unknowing) Write(b *ledger.Writes, t *ledger.Transaction) {
	b.Queue(`INSERT INTO mints (seq, transaction_id, pledge_id, account_id, amount, backing_hours, k, haircut, epoch_id)
		VALUES ($1, $2, $3, $4, 1, $5, $6, 0, $7)`, t.Seq, t.ID, s.p.ID, s.w.account, hour, s.rate.K, s.rate.Epoch)
}
