package anchor_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// desk is a database with the first epoch, a clock that stands still, and operators. It acts with the rights of the API.
type desk struct {
	*pgtest.Database
	t            testing.TB
	clock        *pgtest.Clock
	maker, other uuid.UUID
	policy       anchor.EpochPolicy
	// index is what drafts are made from: at first, the prices of the first epoch.
	index anchor.IndexInputs
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{Database: seeded(t), t: t, maker: id.New(), other: id.New(), policy: anchor.DefaultEpochPolicy()}
	d.clock = pgtest.NewClock(t, d.Database, time.Now().Add(time.Minute))
	first, err := anchor.InForce(t.Context(), d.App)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("a fixing"))
	d.index = anchor.IndexInputs{Fixing: "1", At: d.clock.Now().Format(time.RFC3339Nano), InputsSHA256: hex.EncodeToString(hash[:])}
	for _, f := range first.Factors {
		d.index.Values = append(d.index.Values, anchor.IndexInput{GPUClass: f.GPUClass, PriceUSD: f.PriceUSD.Decimal.String(), Status: "fresh"})
	}
	return d
}

// price changes what the index says of a class.
func (d *desk) price(class, usd, status string) {
	for i, v := range d.index.Values {
		if v.GPUClass == class {
			d.index.Values[i].PriceUSD, d.index.Values[i].Status = usd, status
		}
	}
}

func (d *desk) tx(do func(tx pgx.Tx) (anchor.Epoch, error)) (e anchor.Epoch, err error) {
	d.t.Helper()
	err = pg.InTx(d.t.Context(), d.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		e, err = do(tx)
		return err
	})
	return e, err
}

func (d *desk) draft(change ...func(*anchor.NewDraft)) (anchor.Epoch, error) {
	d.t.Helper()
	n := anchor.NewDraft{By: d.maker, Policy: d.policy}
	for _, c := range change {
		c(&n)
	}
	return d.tx(func(tx pgx.Tx) (anchor.Epoch, error) { return anchor.DraftFromTx(d.t.Context(), tx, n, d.index) })
}

func (d *desk) approve(epoch, by uuid.UUID) (anchor.Epoch, error) {
	return d.tx(func(tx pgx.Tx) (anchor.Epoch, error) { return anchor.ApproveTx(d.t.Context(), tx, epoch, by) })
}

func (d *desk) withdraw(epoch uuid.UUID) (anchor.Epoch, error) {
	return d.tx(func(tx pgx.Tx) (anchor.Epoch, error) { return anchor.WithdrawTx(d.t.Context(), tx, epoch, d.other) })
}

func (d *desk) announce(epoch uuid.UUID, at time.Time) (anchor.Epoch, error) {
	return d.tx(func(tx pgx.Tx) (anchor.Epoch, error) {
		return anchor.AnnounceTx(d.t.Context(), tx, anchor.Announcement{Epoch: epoch, By: d.maker, EffectiveAt: at, Policy: d.policy})
	})
}

// publish brings a new draft all the way, and the clock to its time.
func (d *desk) publish(change ...func(*anchor.NewDraft)) anchor.Epoch {
	d.t.Helper()
	e, err := d.draft(change...)
	if err == nil {
		_, err = d.approve(e.ID, d.other)
	}
	if err == nil {
		e, err = d.announce(e.ID, time.Time{})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.clock.Set(e.EffectiveAt)
	return e
}

// sound fails the test unless every epoch can be computed again. What the index has stored is not asked: the test says what it says.
func (d *desk) sound() {
	d.t.Helper()
	checks, err := anchor.Checks(d.t.Context(), d.App)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, c := range checks {
		if !c.OK && c.Name != "epochs_rest_on_the_index" {
			d.t.Errorf("%s: %s", c.Name, c.Detail)
		}
	}
}

func reference(class string) func(*anchor.NewDraft) {
	return func(n *anchor.NewDraft) { n.ReferenceClass = class }
}

func TestAnEpochFromDraftToForce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first, err := anchor.InForce(t.Context(), d.App)
	if err != nil {
		t.Fatal(err)
	}
	drafted, err := d.draft()
	if err != nil {
		t.Fatal(err)
	}
	// With the prices of the first epoch its k comes out again, to a millionth: those prices were rounded.
	for i, f := range drafted.Factors {
		if was := first.Factors[i]; f.GPUClass != was.GPUClass || f.K.Sub(was.K).Abs().GreaterThan(decimal.New(1, -6)) {
			t.Errorf("%s: k was %s and is %s", f.GPUClass, was.K, f.K)
		}
	}
	if drafted.Status != anchor.EpochDraft || drafted.Number != 0 || drafted.ReferenceClass != h100 || drafted.Follows != first.ID ||
		!drafted.EffectiveAt.IsZero() || drafted.Drafted != (anchor.Signature{By: d.maker, At: d.clock.Now()}) ||
		drafted.InputsSHA256 != sha256.Sum256(drafted.Inputs) || !drafted.Link.Equal(decimal.NewFromInt(1)) || drafted.Method != anchor.LinkedMethod {
		t.Errorf("drafted %+v", drafted)
	}
	d.clock.Advance(time.Hour)
	approved, err := d.approve(drafted.ID, d.other)
	if err != nil || approved.Status != anchor.EpochApproved || approved.Approved != (anchor.Signature{By: d.other, At: d.clock.Now()}) {
		t.Fatalf("approved %+v, %v", approved, err)
	}
	d.clock.Advance(time.Hour)
	announced, err := d.announce(drafted.ID, time.Time{})
	if err != nil || announced.Status != anchor.EpochAnnounced || announced.Number != 2 || !announced.EffectiveAt.Equal(d.clock.Now().Add(7*24*time.Hour)) {
		t.Fatalf("announced %+v, %v", announced, err)
	}
	if diff := cmp.Diff(drafted.Factors, announced.Factors); diff != "" {
		t.Errorf("published otherwise than drafted: %s", diff)
	}
	if now, err := anchor.InForce(t.Context(), d.App); err != nil || now.ID != first.ID {
		t.Errorf("in force before its time: epoch %d, %v", now.Number, err)
	}
	d.clock.Set(announced.EffectiveAt)
	if now, err := anchor.InForce(t.Context(), d.App); err != nil || now.ID != announced.ID || now.Status != anchor.EpochEffective {
		t.Errorf("in force at its time: epoch %d, %v", now.Number, err)
	}
	d.sound()
}

// What is drafted on the real data, as it was computed once and must be for ever: with the standard that there is, and with the B200
// as the new one. Classes whose index is thin keep their k. Those that quality bound are worth less next to a B200, which does more
// work for its price.
func TestGoldenEpochsOnTheRealData(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		reference, link string
		want            []string
	}{
		{h100, "1", []string{
			"A100-PCIE-80GB k=0.476398 q=0.476398 p=0.587141 usd=1.948465 by quality",
			"A100-SXM-40GB k=0.388399 q=0.388399 p=0.395849 usd=1.313651 by quality",
			"A100-SXM-80GB k=0.483939 q=0.483939 p=0.601458 usd=1.995977 by quality",
			"B200-SXM-180GB k=2.202838 q=2.303261 p=2.202838 usd=7.310255 by price",
			"GH200 k=0.531903 q=1.094360 p=none usd=none by held",
			"H100-PCIE-80GB k=0.748959 q=0.748959 p=0.791381 usd=2.626248 by quality",
			"H100-SXM-80GB k=1.000000 q=1.000000 p=1.000000 usd=3.318561 by quality",
			"H200-SXM-141GB k=1.247626 q=1.247626 p=1.411552 usd=4.684323 by quality",
			"L4-24GB k=0.133303 q=0.133303 p=0.149182 usd=0.495072 by quality",
			"L40S-48GB k=0.363770 q=0.363770 p=0.382545 usd=1.269501 by quality",
			"MI300X-192GB k=0.742990 q=1.571633 p=none usd=none by held",
			"RTX-4090-24GB k=0.223919 q=0.223919 p=none usd=none by quality",
		}},
		{b200, "2.2028388208021488832057027127", []string{
			"A100-PCIE-80GB k=0.455627 q=0.206836 p=0.266538 usd=1.948465 by quality",
			"A100-SXM-40GB k=0.371465 q=0.168630 p=0.179699 usd=1.313651 by quality",
			"A100-SXM-80GB k=0.462839 q=0.210110 p=0.273037 usd=1.995977 by quality",
			"B200-SXM-180GB k=2.202838 q=1.000000 p=1.000000 usd=7.310255 by quality",
			"GH200 k=0.531903 q=0.475135 p=none usd=none by held",
			"H100-PCIE-80GB k=0.716304 q=0.325173 p=0.359255 usd=2.626248 by quality",
			"H100-SXM-80GB k=0.956399 q=0.434167 p=0.453959 usd=3.318561 by quality",
			"H200-SXM-141GB k=1.193230 q=0.541678 p=0.640787 usd=4.684323 by quality",
			"L4-24GB k=0.127491 q=0.057876 p=0.067722 usd=0.495072 by quality",
			"L40S-48GB k=0.347909 q=0.157937 p=0.173660 usd=1.269501 by quality",
			"MI300X-192GB k=0.742990 q=0.682351 p=none usd=none by held",
			"RTX-4090-24GB k=0.214157 q=0.097218 p=none usd=none by quality",
		}},
	} {
		d := newDesk(t)
		e, err := d.tx(func(tx pgx.Tx) (anchor.Epoch, error) {
			return anchor.DraftTx(t.Context(), tx, anchor.NewDraft{By: d.maker, ReferenceClass: tc.reference, Policy: d.policy})
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.approve(e.ID, d.other); err != nil {
			t.Fatal(err)
		}
		if _, err := d.announce(e.ID, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, printed(e.Factors)); diff != "" || e.Link.String() != tc.link {
			t.Errorf("%s: link %s %s", tc.reference, e.Link, diff)
		}
		checks, err := anchor.Checks(t.Context(), d.App)
		if err != nil || slices.ContainsFunc(checks, func(c ledger.Check) bool { return !c.OK }) {
			t.Errorf("%+v, %v", checks, err)
		}
		d.tampered(`UPDATE index_values SET twap_7d_usd = twap_7d_usd + 0.000001 WHERE gpu_class = 'L4-24GB'`)
		if checks, err = anchor.Checks(t.Context(), d.App); err != nil || !checks[0].OK || !checks[1].OK || checks[2].OK {
			t.Errorf("with another price in the index: %+v, %v", checks, err)
		}
		d.tampered(`UPDATE index_values SET twap_7d_usd = twap_7d_usd - 0.000001 WHERE gpu_class = 'L4-24GB'`)
		d.tampered(`UPDATE index_fixings SET inputs_sha256 = sha256('')`)
		if checks, err = anchor.Checks(t.Context(), d.App); err != nil || checks[2].OK {
			t.Errorf("with another hash in the index: %+v, %v", checks, err)
		}
	}
}

func printed(factors []anchor.Factor) []string {
	lines := make([]string, len(factors))
	for i, f := range factors {
		p, usd := "none", "none"
		if f.PriceRatio.Valid {
			p, usd = f.PriceRatio.Decimal.StringFixed(6), f.PriceUSD.Decimal.StringFixed(6)
		}
		lines[i] = f.GPUClass + " k=" + f.K.StringFixed(6) + " q=" + f.Quality.StringFixed(6) + " p=" + p + " usd=" + usd + " by " + string(f.Bound)
	}
	return lines
}

// Every pair of statuses is tried in the program's table and in the database's.
func TestTransitionsAreTheDatabasesToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if _, err := d.Pool.Exec(t.Context(), `ALTER TABLE epoch_drafts DISABLE TRIGGER epoch_drafts_are_published`); err != nil {
		t.Fatal(err)
	}
	stored := []anchor.EpochStatus{anchor.EpochDraft, anchor.EpochApproved, anchor.EpochAnnounced, anchor.EpochWithdrawn}
	const set = `UPDATE epoch_drafts SET status = $2,
		approved_by = CASE WHEN $2 = 'approved' OR $2 = 'announced' THEN COALESCE(approved_by, $3) ELSE approved_by END,
		approved_at = CASE WHEN $2 = 'approved' OR $2 = 'announced' THEN COALESCE(approved_at, now()) ELSE approved_at END,
		announced_by = CASE WHEN $2 = 'announced' THEN COALESCE(announced_by, $3) END, announced_at = CASE WHEN $2 = 'announced' THEN COALESCE(announced_at, now()) END,
		withdrawn_by = CASE WHEN $2 = 'withdrawn' THEN COALESCE(withdrawn_by, $3) END, withdrawn_at = CASE WHEN $2 = 'withdrawn' THEN COALESCE(withdrawn_at, now()) END
		WHERE id = $1`
	allowed := 0
	for _, from := range stored {
		for _, to := range stored {
			e, err := d.draft()
			if err != nil {
				t.Fatal(err)
			}
			err = pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), set, e.ID, from, d.other)
				return err
			})
			if err != nil {
				t.Fatal(from, err)
			}
			_, err = d.Pool.Exec(t.Context(), set, e.ID, to, d.other)
			switch {
			case from == to || from.MayBecome(to):
				if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			case pg.IsCheckViolation(err, ""): // Back to a draft, with the signatures that stay.
			case pg.ConstraintName(err) != "epoch_drafts_change_status_by_the_rules" && pg.ConstraintName(err) != "epoch_drafts_are_fixed":
				t.Errorf("%s to %s: %v", from, to, err)
			}
			if from.MayBecome(to) {
				allowed++
			}
		}
	}
	if allowed != 4 {
		t.Errorf("%d transitions are allowed", allowed)
	}
}

func TestStepsInAnotherOrderAreRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	drafted, err := d.draft()
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	_, err = d.announce(drafted.ID, time.Time{})
	want("announced without approval", err, anchor.ErrEpochStatus)
	_, err = d.approve(drafted.ID, d.maker)
	want("approved by its maker", err, anchor.ErrSamePerson)
	first, err := d.approve(drafted.ID, d.other)
	want("approved", err, nil)
	d.clock.Advance(time.Second)
	again, err := d.approve(drafted.ID, id.New())
	want("approved again", err, nil)
	if again.Approved != first.Approved {
		t.Errorf("the second approval changed the first: %+v", again.Approved)
	}
	_, err = d.approve(drafted.ID, d.maker)
	want("approved again by its maker", err, anchor.ErrSamePerson)

	gone, err := d.draft()
	want("drafted", err, nil)
	for range 2 {
		got, err := d.withdraw(gone.ID)
		want("withdrawn", err, nil)
		if got.Status != anchor.EpochWithdrawn || got.Withdrawn.By != d.other {
			t.Errorf("withdrawn: %+v", got)
		}
	}
	_, err = d.approve(gone.ID, d.other)
	want("approved once withdrawn", err, anchor.ErrEpochStatus)
	_, err = d.announce(gone.ID, time.Time{})
	want("announced once withdrawn", err, anchor.ErrEpochStatus)

	announced, err := d.announce(drafted.ID, time.Time{})
	want("announced", err, nil)
	d.clock.Advance(time.Second)
	for _, at := range []time.Time{{}, announced.EffectiveAt} {
		again, err := d.announce(drafted.ID, at)
		want("announced again", err, nil)
		if diff := cmp.Diff(announced, again); diff != "" {
			t.Error(diff)
		}
	}
	_, err = d.announce(drafted.ID, announced.EffectiveAt.Add(time.Hour))
	want("announced again for another time", err, anchor.ErrEpochStatus)
	_, err = d.approve(drafted.ID, d.other)
	want("approved once announced", err, anchor.ErrEpochStatus)
	_, err = d.withdraw(drafted.ID)
	want("withdrawn once announced", err, anchor.ErrEpochStatus)
	first1, err := anchor.InForce(t.Context(), d.App)
	want("in force", err, nil)
	_, err = d.approve(first1.ID, d.other)
	want("approval of the first epoch", err, anchor.ErrEpochStatus)
	_, err = d.withdraw(id.New())
	want("of none", err, anchor.ErrEpochNotFound)
	d.sound()
}

func TestDraftsAreForTheEpochThatTheyFollow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, two := mustDraft(d), mustDraft(d)
	for _, e := range []anchor.Epoch{one, two} {
		if _, err := d.approve(e.ID, d.other); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.announce(one.ID, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.announce(two.ID, time.Time{}); !errors.Is(err, anchor.ErrEpochOutdated) {
		t.Errorf("a second epoch after the first: %v", err)
	}
	// A draft that is made now follows the announced one, not that in force, so that the cap cannot be had twice.
	if e := mustDraft(d); e.Follows != one.ID {
		t.Errorf("it follows %s", e.Follows)
	}
	d = newDesk(t)
	old := mustDraft(d)
	if _, err := d.approve(old.ID, d.other); err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(d.policy.DraftLife + time.Microsecond)
	if _, err := d.announce(old.ID, time.Time{}); !errors.Is(err, anchor.ErrEpochOutdated) {
		t.Errorf("old prices: %v", err)
	}
}

func mustDraft(d *desk) anchor.Epoch {
	d.t.Helper()
	e, err := d.draft()
	if err != nil {
		d.t.Fatal(err)
	}
	return e
}

// Of epochs that are announced at once, one is.
func TestRacingAnnouncements(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var drafts []anchor.Epoch
	for range 8 {
		e := mustDraft(d)
		if _, err := d.approve(e.ID, d.other); err != nil {
			t.Fatal(err)
		}
		drafts = append(drafts, e)
	}
	var all sync.WaitGroup
	errs := make([]error, len(drafts))
	for i, e := range drafts {
		all.Go(func() { _, errs[i] = d.announce(e.ID, time.Time{}) })
	}
	all.Wait()
	announced := 0
	for _, err := range errs {
		if err == nil {
			announced++
		} else if !errors.Is(err, anchor.ErrEpochOutdated) {
			t.Error(err)
		}
	}
	if announced != 1 {
		t.Errorf("%d were announced", announced)
	}
	d.sound()
}

func TestNoticeIsGiven(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	tooSoon := func(what string, err error, code string) {
		t.Helper()
		if invalid, ok := errors.AsType[*anchor.InvalidError](err); !ok || invalid.Field != "effective_at" || invalid.Code != code {
			t.Errorf("%s: %v", what, err)
		}
	}
	effective := func(at time.Time) func(*anchor.NewDraft) { return func(n *anchor.NewDraft) { n.EffectiveAt = at } }
	soonest := d.clock.Now().Add(d.policy.Notice)
	_, err := d.draft(effective(soonest.Add(-time.Microsecond)))
	tooSoon("a draft for too soon", err, "too_soon")
	dated, err := d.draft(effective(soonest))
	if err != nil || !dated.EffectiveAt.Equal(soonest) {
		t.Fatal(dated.EffectiveAt, err)
	}
	if _, err := d.approve(dated.ID, d.other); err != nil {
		t.Fatal(err)
	}
	_, err = d.announce(dated.ID, soonest.Add(time.Hour))
	tooSoon("another time than was approved", err, "not_as_approved")
	d.clock.Advance(time.Microsecond)
	_, err = d.announce(dated.ID, time.Time{})
	tooSoon("the approved time came too near", err, "too_soon")

	open := mustDraft(d)
	if _, err := d.approve(open.ID, d.other); err != nil {
		t.Fatal(err)
	}
	_, err = d.announce(open.ID, soonest)
	tooSoon("announced for too soon", err, "too_soon")
	if _, err := d.announce(open.ID, soonest.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	// The next one cannot come before that.
	d.policy.Notice = time.Hour
	next := mustDraft(d)
	if _, err := d.approve(next.ID, d.other); err != nil {
		t.Fatal(err)
	}
	_, err = d.announce(next.ID, soonest.Add(time.Hour))
	tooSoon("with the one before", err, "too_soon")
	_, err = d.draft(effective(soonest))
	tooSoon("a draft for before that", err, "too_soon")
	if e, err := d.announce(next.ID, soonest.Add(time.Hour+time.Microsecond)); err != nil || e.Number != 3 {
		t.Errorf("after it: %d, %v", e.Number, err)
	}
	d.sound()
}

func TestDraftsOfWhatCannotBe(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, err := d.draft(reference("NO-SUCH-GPU"))
	if invalid, ok := errors.AsType[*anchor.InvalidError](err); !ok || invalid.Field != "reference_class" || invalid.Code != "unknown" {
		t.Errorf("an unknown class: %v", err)
	}
	d.price(b200, "6", "thin")
	if _, err := d.draft(reference(b200)); !errors.Is(err, anchor.ErrReferenceUnpriced) {
		t.Errorf("a thin reference: %v", err)
	}
	d.index.Values = nil
	if _, err := d.draft(); !errors.Is(err, anchor.ErrReferenceUnpriced) {
		t.Errorf("without an index: %v", err)
	}
	empty := pgtest.New(t)
	err = pg.InTx(t.Context(), empty.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := anchor.DraftFromTx(t.Context(), tx, anchor.NewDraft{By: d.maker, Policy: d.policy}, d.index)
		return err
	})
	if !errors.Is(err, anchor.ErrNoEpoch) {
		t.Errorf("without a first epoch: %v", err)
	}
}

// A fall from 1.237091 to a fifth of that takes eight epochs of a fifth each, and then stays.
func TestADecreaseIsSpreadOverEpochs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.policy.Notice = time.Hour
	d.price("H200-SXM-141GB", "0.822500", "fresh") // A quarter of what an H100 costs.
	var got []string
	for range 9 {
		e := d.publish()
		at := slices.IndexFunc(e.Factors, func(f anchor.Factor) bool { return f.GPUClass == "H200-SXM-141GB" })
		got = append(got, e.Factors[at].K.StringFixed(6)+" by "+string(e.Factors[at].Bound))
	}
	want := []string{
		"0.989673 by cap", "0.791739 by cap", "0.633392 by cap", "0.506714 by cap", "0.405372 by cap", "0.324298 by cap", "0.259439 by cap",
		"0.250000 by price", "0.250000 by price",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	d.sound()
}

// A list has what was published for everybody, and the drafts for those who may see them.
func TestEpochsAreListed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	second := d.publish()
	third := mustDraft(d)
	list := func(f anchor.EpochFilter) (ids []uuid.UUID) {
		t.Helper()
		f.Limit = 10
		found, err := anchor.Epochs(t.Context(), d.App, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			ids = append(ids, e.ID)
		}
		return ids
	}
	first := list(anchor.EpochFilter{Status: anchor.EpochSuperseded})[0]
	for name, tc := range map[string]struct {
		filter anchor.EpochFilter
		want   []uuid.UUID
	}{
		"all":       {anchor.EpochFilter{}, []uuid.UUID{third.ID, second.ID, first}},
		"published": {anchor.EpochFilter{Published: true}, []uuid.UUID{second.ID, first}},
		"drafts":    {anchor.EpochFilter{Status: anchor.EpochDraft}, []uuid.UUID{third.ID}},
		"effective": {anchor.EpochFilter{Status: anchor.EpochEffective}, []uuid.UUID{second.ID}},
		"older":     {anchor.EpochFilter{Before: second.ID}, []uuid.UUID{first}},
		"none":      {anchor.EpochFilter{Published: true, Status: anchor.EpochDraft}, nil},
	} {
		if diff := cmp.Diff(tc.want, list(tc.filter)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := anchor.EpochByID(t.Context(), d.App, id.New()); !errors.Is(err, anchor.ErrEpochNotFound) {
		t.Errorf("none: %v", err)
	}
}

// tampered runs a statement as somebody who has switched the guards off.
func (d *desk) tampered(sql string, args ...any) {
	d.t.Helper()
	err := pg.InTx(d.t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(d.t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(d.t.Context(), sql, args...)
		return err
	})
	if err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
}

// Whatever is changed in what was published, computing it again finds it.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	other := func(of string) string {
		return `replace(convert_from(inputs, 'UTF8'), ` + of + `)::bytea`
	}
	for name, tc := range map[string]struct{ sql, check string }{
		"a k":                 {`UPDATE epoch_factors SET k = k + 0.000001 WHERE epoch_id = $1 AND gpu_class = 'GH200'`, "epochs_follow_from_their_inputs"},
		"what bound it":       {`UPDATE epoch_factors SET bound_by = 'held' WHERE epoch_id = $1 AND gpu_class = 'GH200'`, "epochs_follow_from_their_inputs"},
		"a quality":           {`UPDATE epoch_factors SET quality = 2 WHERE epoch_id = $1 AND gpu_class = 'GH200'`, "epochs_follow_from_their_inputs"},
		"the link":            {`UPDATE epochs SET link = 2 WHERE id = $1`, "epochs_follow_from_their_inputs"},
		"the reference":       {`UPDATE epochs SET reference_class = 'GH200' WHERE id = $1`, "epochs_follow_from_their_inputs"},
		"the method":          {`UPDATE epochs SET method = 'another' WHERE id = $1`, "epochs_follow_from_their_inputs"},
		"a class taken out":   {`DELETE FROM epoch_factors WHERE epoch_id = $1 AND gpu_class = 'GH200'`, "epochs_follow_from_their_inputs"},
		"a price":             {`UPDATE epochs SET inputs = ` + other(`'"1.749962"', '"1.649962"'`) + `, inputs_sha256 = sha256(` + other(`'"1.749962"', '"1.649962"'`) + `) WHERE id = $1`, "epochs_follow_from_their_inputs"},
		"the cap":             {`UPDATE epochs SET inputs = ` + other(`'"0.2"}', '"0.20"}'`) + ` WHERE id = $1`, "epochs_follow_from_their_inputs"},
		"a class's figures":   {`UPDATE gpu_classes SET memory_gb = memory_gb + 1 WHERE gpu_class = 'GH200' AND $1 <> gen_random_uuid()`, "epochs_weigh_published_figures"},
		"who signed the last": {`UPDATE epochs SET inputs = ` + other(`'"number":"1"', '"number":"7"'`) + `, inputs_sha256 = sha256(` + other(`'"number":"1"', '"number":"7"'`) + `) WHERE id = $1`, "epochs_succeed_each_other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			e := d.publish()
			d.sound()
			if name == "the cap" {
				d.tampered(`ALTER TABLE epochs DROP CONSTRAINT epochs_inputs_have_their_hash`)
			}
			d.tampered(tc.sql, e.ID)
			checks, err := anchor.Checks(t.Context(), d.App)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range checks {
				if c.OK == (c.Name == tc.check) && c.Name != "epochs_rest_on_the_index" {
					t.Errorf("%s: %v, %s", c.Name, c.OK, c.Detail)
				}
			}
		})
	}
}

// A draft that somebody changed behind the guards is not published: it is computed again first.
func TestATamperedDraftIsNotPublished(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		`UPDATE epoch_drafts SET factors = jsonb_set(factors, '{4,k}', '"0.9"') WHERE id = $1`,
		`UPDATE epoch_drafts SET link = 1.1 WHERE id = $1`,
		`UPDATE epoch_drafts SET inputs = '{}', inputs_sha256 = sha256('{}') WHERE id = $1`,
	} {
		d := newDesk(t)
		e := mustDraft(d)
		if _, err := d.approve(e.ID, d.other); err != nil {
			t.Fatal(err)
		}
		d.tampered(sql, e.ID)
		if _, err := d.announce(e.ID, time.Time{}); !errors.Is(err, anchor.ErrInputs) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Each guard of the database against publishing what two operators did not sign, by the run-time role and by everybody else.
func TestNothingIsPublishedButWhatWasApproved(t *testing.T) {
	t.Parallel()
	const (
		announced = `UPDATE epoch_drafts SET status = 'announced', announced_by = drafted_by, announced_at = ballast_now() WHERE id = $1`
		approved  = `UPDATE epoch_drafts SET status = 'approved', approved_by = $2, approved_at = ballast_now() WHERE id = $1`
		published = `INSERT INTO epochs (id, number, effective_at, reference_class, method, link, inputs, inputs_sha256)
			SELECT id, 2, ballast_now() + interval '1 hour', reference_class, method, link, inputs, inputs_sha256 FROM epoch_drafts WHERE id = $1`
		factors = `INSERT INTO epoch_factors SELECT $1, f.gpu_class, f.k, f.quality, f.price_ratio, f.price_usd, f.bound_by FROM epoch_drafts d,
			jsonb_to_recordset(d.factors) AS f (gpu_class text, k numeric, quality numeric, price_ratio numeric, price_usd numeric, bound_by text) WHERE d.id = $1`
	)
	change := func(sql, from, to string) string {
		if !strings.Contains(sql, from) {
			t.Fatalf("%s is not in %s", from, sql)
		}
		return strings.Replace(sql, from, to, 1)
	}
	for name, tc := range map[string]struct {
		statements []string
		guard      string
	}{
		"as it should be":             {[]string{approved, announced, published, factors}, ""},
		"without approval":            {[]string{change(announced, "announced_by", "approved_by = $2, approved_at = ballast_now(), announced_by")}, "epoch_drafts_change_status_by_the_rules"},
		"approved by its maker":       {[]string{change(approved, "$2", "COALESCE(drafted_by, $2)")}, "epoch_drafts_four_eyes"},
		"approved by nobody":          {[]string{change(approved, ", approved_by = $2, approved_at = ballast_now()", "")}, "epoch_drafts_have_their_signatures"},
		"signed at no time":           {[]string{change(approved, ", approved_at = ballast_now()", "")}, "epoch_drafts_say_who_and_when"},
		"not announced":               {[]string{approved, published, factors}, "epochs_are_as_approved"},
		"announced, not published":    {[]string{approved, announced}, "epoch_drafts_are_published"},
		"another link":                {[]string{approved, announced, change(published, "method, link, inputs, inputs_sha256 FROM", "method, 2, inputs, inputs_sha256 FROM"), factors}, "epochs_are_as_approved"},
		"another method":              {[]string{approved, announced, change(published, "class, method, link, inputs, inputs_sha256 FROM", "class, 'm', link, inputs, inputs_sha256 FROM"), factors}, "epochs_are_as_approved"},
		"another reference":           {[]string{approved, announced, change(published, "reference_class, method, link, inputs, inputs_sha256 FROM", "'GH200', method, link, inputs, inputs_sha256 FROM"), factors}, "epochs_are_as_approved"},
		"other inputs":                {[]string{approved, announced, change(published, "inputs, inputs_sha256 FROM", "'', sha256('') FROM"), factors}, "epochs_are_as_approved"},
		"another number":              {[]string{approved, announced, change(published, "2,", "3,"), factors}, "epochs_are_as_approved"},
		"another id":                  {[]string{approved, announced, change(published, "SELECT id", "SELECT gen_random_uuid()"), factors}, "epochs_are_as_approved"},
		"another time":                {[]string{approved, announced, change(published, "ballast_now() + interval '1 hour'", "ballast_now() + interval '1 hour 1 second'"), factors}, "epochs_are_as_approved"},
		"a factor left out":           {[]string{approved, announced, published, factors + ` AND f.gpu_class <> 'GH200'`}, "epochs_have_the_factors_approved"},
		"another k":                   {[]string{approved, announced, published, change(factors, "f.k", "f.k + CASE f.gpu_class WHEN 'GH200' THEN 0.000001 ELSE 0 END")}, "epochs_have_the_factors_approved"},
		"another bound":               {[]string{approved, announced, published, change(factors, "f.bound_by", "NULL")}, "epochs_have_the_factors_approved"},
		"the draft changed":           {[]string{`UPDATE epoch_drafts SET factors = '[]' WHERE id = $1`}, "epoch_drafts_are_fixed"},
		"the maker changed":           {[]string{`UPDATE epoch_drafts SET drafted_by = $2 WHERE id = $1`}, "epoch_drafts_are_fixed"},
		"a signature changed":         {[]string{approved, `UPDATE epoch_drafts SET approved_by = gen_random_uuid() WHERE id = $1`}, "epoch_drafts_are_fixed"},
		"a draft deleted":             {[]string{`DELETE FROM epoch_drafts WHERE id = $1`}, "epoch_drafts_is_append_only"},
		"born approved":               {[]string{`INSERT INTO epoch_drafts SELECT gen_random_uuid(), follows, effective_at, reference_class, method, link, inputs, inputs_sha256, factors, 'approved', drafted_by, $2, NULL, NULL, created_at, created_at FROM epoch_drafts WHERE id = $1`}, "epoch_drafts_begin_as_drafts"},
		"a draft with another hash":   {[]string{`INSERT INTO epoch_drafts SELECT gen_random_uuid(), follows, effective_at, reference_class, method, link, inputs, sha256('x'), factors, 'draft', $2 FROM epoch_drafts WHERE id = $1`}, "epoch_drafts_inputs_have_their_hash"},
		"nobody knows what bound a k": {[]string{approved, announced, published, change(factors, "f.bound_by", "'whim'")}, "epoch_factors_bound_by_is_known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			e, err := d.draft(func(n *anchor.NewDraft) { n.EffectiveAt, n.Policy.Notice = d.clock.Now().Add(time.Hour), time.Hour })
			if err != nil {
				t.Fatal(err)
			}
			err = pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
				for _, sql := range tc.statements {
					args := []any{e.ID, d.other}
					if !strings.Contains(sql, "$2") {
						args = args[:1]
					}
					if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
						return err
					}
				}
				return nil
			})
			if got := pg.ConstraintName(err); got != tc.guard || (tc.guard == "") != (err == nil) {
				t.Errorf("%v", err)
			}
		})
	}
}

// What commits less than a second before its time may already be too late for a group that has read the rates. So two seconds are left
// even where the policy asks for no notice, and an announcement that takes longer than that is told so.
func TestEpochsAreAnnouncedAhead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		notice, asked, takes time.Duration
		ahead                time.Duration
	}{
		"without notice":            {ahead: 2 * time.Second},
		"with a second's":           {notice: time.Second, ahead: 2 * time.Second},
		"with three":                {notice: 3 * time.Second, ahead: 3 * time.Second},
		"for a time that is near":   {asked: 2*time.Second - time.Microsecond},
		"slowly":                    {takes: time.Second, ahead: 2 * time.Second},
		"too slowly":                {takes: time.Second + time.Microsecond},
		"for two seconds from now":  {asked: 2 * time.Second, ahead: 2 * time.Second},
		"nearer than its notice is": {notice: time.Hour, asked: time.Minute},
	} {
		d := newDesk(t)
		d.policy.Notice = tc.notice
		e := mustDraft(d)
		if _, err := d.approve(e.ID, d.other); err != nil {
			t.Fatal(err)
		}
		a := anchor.Announcement{Epoch: e.ID, By: d.maker, Policy: d.policy}
		start := d.clock.Now()
		if tc.asked > 0 {
			a.EffectiveAt = start.Add(tc.asked)
		}
		e, err := d.tx(func(tx pgx.Tx) (anchor.Epoch, error) {
			e, err := anchor.AnnounceTx(t.Context(), tx, a)
			d.clock.Advance(tc.takes)
			return e, err
		})
		if tc.ahead > 0 {
			if err != nil || !e.EffectiveAt.Equal(start.Add(tc.ahead)) {
				t.Errorf("%s: %s, %v", name, e.EffectiveAt.Sub(start), err)
			}
			continue
		}
		if bad, ok := errors.AsType[*anchor.InvalidError](anchor.Committed(err)); !ok || bad.Field != "effective_at" || bad.Code != "too_soon" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A draft that was computed when policy let k fall further says what nobody may announce any more.
func TestADraftKeepsToThePolicyOfItsAnnouncement(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		drafted, announced string
		outdated           bool
	}{{"0.9", "0.1", true}, {"0.2", "0.199999", true}, {"0.2", "0.2", false}, {"0.1", "0.9", false}} {
		d := newDesk(t)
		d.price(b200, "0.9", "fresh")
		d.policy.MaxDecrease = decimal.RequireFromString(tc.drafted)
		e := mustDraft(d)
		if _, err := d.approve(e.ID, d.other); err != nil {
			t.Fatal(err)
		}
		d.policy.MaxDecrease = decimal.RequireFromString(tc.announced)
		if _, err := d.announce(e.ID, time.Time{}); errors.Is(err, anchor.ErrEpochOutdated) != tc.outdated || (err != nil) != tc.outdated {
			t.Errorf("drafted with %s and announced with %s: %v", tc.drafted, tc.announced, err)
		}
	}
}

// What the inputs of an epoch say of a fixing is compared with it: the time, and how far each price is to be believed.
func TestEpochsRestOnTheIndexAsItWas(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		later time.Duration
		spoil func(in *anchor.IndexInputs)
		sound bool
	}{
		"as it was":            {spoil: func(*anchor.IndexInputs) {}, sound: true},
		"thin is called fresh": {spoil: func(in *anchor.IndexInputs) { in.Values[4].Status = "fresh" }},
		"fresh is called thin": {spoil: func(in *anchor.IndexInputs) { in.Values[0].Status = "thin" }},
		"stale before its day": {spoil: func(in *anchor.IndexInputs) { in.Values[0].Status = "stale" }},
		"stale after its day":  {later: a24h + time.Hour, spoil: func(in *anchor.IndexInputs) { in.Values[0].Status = "stale" }, sound: true},
		"another time":         {spoil: func(in *anchor.IndexInputs) { in.At = "1999-01-01T00:00:00Z" }},
		"another fixing":       {spoil: func(in *anchor.IndexInputs) { in.Fixing = "2" }},
		"a price left out":     {spoil: func(in *anchor.IndexInputs) { in.Values = in.Values[:11] }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			index, err := anchor.CurrentIndex(t.Context(), d.App)
			if err != nil {
				t.Fatal(err)
			}
			d.index.At, d.index.InputsSHA256, d.index.Values = index.At.UTC().Format(time.RFC3339Nano), hex.EncodeToString(index.InputsSHA256[:]), nil
			for _, v := range index.Values {
				d.index.Values = append(d.index.Values, anchor.IndexInput{GPUClass: v.GPUClass, PriceUSD: v.TWAP7.Decimal.String(), Status: string(v.Status)})
			}
			tc.spoil(&d.index)
			d.clock.Advance(tc.later)
			d.publish()
			checks, err := anchor.Checks(t.Context(), d.App)
			if err != nil || checks[2].Name != "epochs_rest_on_the_index" || checks[2].OK != tc.sound {
				t.Errorf("%+v, %v", checks, err)
			}
		})
	}
}

// The canonical inputs hold everything: what a stranger computes from them alone is the epoch.
func TestInputsHoldEverything(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.publish()
	d.price("GH200", "1.5", "stale")
	e := d.publish(reference(b200))
	var in anchor.LinkedInputs
	if err := json.Unmarshal(e.Inputs, &in); err != nil {
		t.Fatal(err)
	}
	if len(in.Classes) != 12 || len(in.Index.Values) != 12 || len(in.Previous.Factors) != 12 || in.Previous.Number != "2" || in.Previous.ReferenceClass != h100 ||
		in.ReferenceClass != b200 || in.Gates.MaxDecrease != "0.2" || in.Previous.Link != "1" || len(in.Previous.InputsSHA256) != 64 {
		t.Errorf("inputs %+v", in)
	}
	if in.Index.At != d.index.At || in.Index.InputsSHA256 != d.index.InputsSHA256 || in.Index.Fixing != "1" {
		t.Errorf("index %+v", in.Index)
	}
	for _, v := range in.Index.Values {
		if (v.Status == "stale") != (v.GPUClass == "GH200") {
			t.Errorf("index %+v", v)
		}
	}
	factors, link, err := anchor.ComputeLinked(in)
	if err != nil || !link.Equal(e.Link) {
		t.Fatal(link, err)
	}
	if diff := cmp.Diff(e.Factors, factors); diff != "" {
		t.Error(diff)
	}
	again, err := e.Recompute()
	if err != nil || !again.Same() || len(again.Lines) != 12 {
		t.Errorf("%+v, %v", again, err)
	}
	e.Factors = e.Factors[1:]
	e.Factors[0].K = e.Factors[0].K.Add(decimal.New(1, -6))
	if again, err = e.Recompute(); err != nil || again.Same() || len(again.Lines) != 12 {
		t.Fatalf("%+v, %v", again, err)
	}
	for i, l := range again.Lines {
		if l.Same() != (i > 1) || l.Stored.Valid != (i > 0) || !l.K.Valid {
			t.Errorf("line %+v", l)
		}
	}
}
