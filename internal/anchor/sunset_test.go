package anchor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

const b200 = "B200-SXM-180GB"

func (d *desk) sunsetTx(do func(tx pgx.Tx) (anchor.Sunset, error)) (s anchor.Sunset, err error) {
	d.t.Helper()
	err = pg.InTx(d.t.Context(), d.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		s, err = do(tx)
		return err
	})
	return s, err
}

func (d *desk) newSunset(class string) anchor.NewSunset {
	now := d.clock.Now()
	return anchor.NewSunset{
		By: d.maker, GPUClass: class, NoMintsFrom: now.Add(d.policy.Notice + time.Hour), SunsetAt: now.Add(d.policy.SunsetNotice + time.Hour),
		Reason: "Nobody asks for it.", Policy: d.policy,
	}
}

func (d *desk) propose(n anchor.NewSunset) (anchor.Sunset, error) {
	return d.sunsetTx(func(tx pgx.Tx) (anchor.Sunset, error) { return anchor.ProposeSunsetTx(d.t.Context(), tx, n) })
}

func (d *desk) approveSunset(class string, sunset, by uuid.UUID) (anchor.Sunset, error) {
	return d.sunsetTx(func(tx pgx.Tx) (anchor.Sunset, error) {
		return anchor.ApproveSunsetTx(d.t.Context(), tx, class, sunset, by, d.policy)
	})
}

func (d *desk) withdrawSunset(class string, sunset uuid.UUID) (anchor.Sunset, error) {
	return d.sunsetTx(func(tx pgx.Tx) (anchor.Sunset, error) {
		return anchor.WithdrawSunsetTx(d.t.Context(), tx, class, sunset, d.other)
	})
}

func (d *desk) sunsetAt(class string) string {
	d.t.Helper()
	var at string
	if err := d.App.QueryRow(d.t.Context(), `SELECT class_sunset_at($1)::text`, class).Scan(&at); err != nil {
		d.t.Fatal(err)
	}
	return at
}

func TestASunsetIsAnnouncedByTwo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.newSunset(gh200)
	proposed, err := d.propose(n)
	if err != nil || proposed.Status != anchor.SunsetProposed || proposed.Proposed != (anchor.Signature{By: d.maker, At: d.clock.Now()}) {
		t.Fatalf("%+v, %v", proposed, err)
	}
	if got := d.sunsetAt(gh200); got != "infinity" {
		t.Errorf("only proposed, and the hours end %s", got)
	}
	if _, err := d.approveSunset(gh200, proposed.ID, d.maker); !errors.Is(err, anchor.ErrSamePerson) {
		t.Errorf("approved by its maker: %v", err)
	}
	if _, err := d.approveSunset(b200, proposed.ID, d.other); !errors.Is(err, anchor.ErrSunsetNotFound) {
		t.Errorf("of another class: %v", err)
	}
	if _, err := d.approveSunset(gh200, id.New(), d.other); !errors.Is(err, anchor.ErrSunsetNotFound) {
		t.Errorf("of none: %v", err)
	}
	if _, err := d.propose(n); !errors.Is(err, anchor.ErrSunsetStatus) {
		t.Errorf("proposed twice: %v", err)
	}
	toIt, err := d.draft(reference(gh200))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.approve(toIt.ID, d.other); err != nil {
		t.Fatal(err)
	}
	announced, err := d.approveSunset(gh200, proposed.ID, d.other)
	if err != nil || announced.Status != anchor.SunsetAnnounced || announced.Approved.By != d.other || !announced.SunsetAt.Equal(n.SunsetAt) {
		t.Fatalf("%+v, %v", announced, err)
	}
	if again, err := d.approveSunset(gh200, proposed.ID, id.New()); err != nil || again != announced {
		t.Errorf("approved again: %+v, %v", again, err)
	}
	if _, err := d.withdrawSunset(gh200, proposed.ID); !errors.Is(err, anchor.ErrSunsetStatus) {
		t.Errorf("withdrawn once announced: %v", err)
	}
	if _, err := d.propose(n); !errors.Is(err, anchor.ErrSunsetStatus) {
		t.Errorf("proposed once announced: %v", err)
	}
	sunsets, err := anchor.SunsetsTx(t.Context(), d.App)
	if err != nil || len(sunsets) != 1 || sunsets[gh200] != announced {
		t.Errorf("%+v, %v", sunsets, err)
	}
	if got := d.sunsetAt(gh200); !strings.HasPrefix(got, n.SunsetAt.Format("2006-01-02 15:04:05")) {
		t.Errorf("the hours end %s, not %s", got, n.SunsetAt)
	}
	if _, err := d.draft(reference(gh200)); !errors.Is(err, anchor.ErrClassSunset) {
		t.Errorf("the reference passes to a class on its way out: %v", err)
	}
	if _, err := d.announce(toIt.ID, time.Time{}); !errors.Is(err, anchor.ErrClassSunset) {
		t.Errorf("a draft of before passes the reference to it: %v", err)
	}
	err = pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`UPDATE epoch_drafts SET status = 'announced', announced_by = drafted_by, announced_at = ballast_now() WHERE id = $1`, toIt.ID)
		b.Queue(`INSERT INTO epochs (id, number, effective_at, reference_class, method, link, inputs, inputs_sha256)
			SELECT id, 2, ballast_now() + interval '1 hour', reference_class, method, link, inputs, inputs_sha256 FROM epoch_drafts WHERE id = $1`, toIt.ID)
		b.Queue(`INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality) VALUES ($1, 'GH200', 1, 1)`, toIt.ID)
		return tx.SendBatch(t.Context(), b).Close()
	})
	if pg.ConstraintName(err) != "epochs_have_a_reference_that_stays" {
		t.Errorf("in the database: %v", err)
	}
}

func TestSunsetsAreRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n := d.newSunset(gh200)
	s, err := d.propose(n)
	if err != nil {
		t.Fatal(err)
	}
	if rates := anchor.ReadRatesNow(t, d.App); true {
		if _, err := rates.ToMint(gh200, n.NoMintsFrom); err != nil {
			t.Errorf("only proposed: %v", err)
		}
		if _, announced := rates.SunsetAt(gh200); announced {
			t.Error("it was only proposed")
		}
	}
	if _, err := d.approveSunset(gh200, s.ID, d.other); err != nil {
		t.Fatal(err)
	}
	rates := anchor.ReadRatesNow(t, d.App)
	if at, announced := rates.SunsetAt(gh200); !announced || !at.Equal(n.SunsetAt) {
		t.Errorf("sunset at %s, %v", at, announced)
	}
	if r, err := rates.ToMint(gh200, n.NoMintsFrom.Add(-time.Microsecond)); err != nil || r.K.IsZero() {
		t.Errorf("before the end of mints: %v", err)
	}
	if _, err := rates.ToMint(gh200, n.NoMintsFrom); !errors.Is(err, anchor.ErrClassSunset) {
		t.Errorf("at the end of mints: %v", err)
	}
	if r, err := rates.At(gh200, n.SunsetAt); err != nil || r.K.IsZero() {
		t.Errorf("redemptions go on: %v", err)
	}
	if _, err := rates.ToMint(h100, n.SunsetAt); err != nil {
		t.Errorf("another class: %v", err)
	}
}

func TestASunsetNeedsItsNotice(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, tc := range map[string]struct {
		field, code string
		spoil       func(*anchor.NewSunset)
	}{
		"no reason":            {"reason", "invalid", func(n *anchor.NewSunset) { n.Reason = "" }},
		"a long reason":        {"reason", "invalid", func(n *anchor.NewSunset) { n.Reason = strings.Repeat("é", 501) }},
		"mints end too soon":   {"no_mints_from", "too_soon", func(n *anchor.NewSunset) { n.NoMintsFrom = n.NoMintsFrom.Add(-time.Hour - time.Microsecond) }},
		"it ends too soon":     {"sunset_at", "too_soon", func(n *anchor.NewSunset) { n.SunsetAt = n.SunsetAt.Add(-time.Hour - time.Microsecond) }},
		"it ends before mints": {"sunset_at", "too_soon", func(n *anchor.NewSunset) { n.NoMintsFrom = n.SunsetAt.Add(time.Microsecond) }},
	} {
		n := d.newSunset(gh200)
		tc.spoil(&n)
		_, err := d.propose(n)
		if e, ok := errors.AsType[*anchor.InvalidError](err); !ok || e.Field != tc.field || e.Code != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.propose(d.newSunset("X")); !errors.Is(err, anchor.ErrNoClass) {
		t.Errorf("an unknown class: %v", err)
	}
	if _, err := d.propose(d.newSunset(h100)); !errors.Is(err, anchor.ErrReferenceSunset) {
		t.Errorf("the reference: %v", err)
	}
	s, err := d.propose(d.newSunset(gh200))
	if err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(time.Hour + time.Microsecond)
	if _, err := d.approveSunset(gh200, s.ID, d.other); err == nil {
		t.Error("approved too late for its notice")
	}
	for range 2 {
		if s, err = d.withdrawSunset(gh200, s.ID); err != nil || s.Status != anchor.SunsetWithdrawn || s.Withdrawn.By != d.other {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if _, err := d.approveSunset(gh200, s.ID, d.other); !errors.Is(err, anchor.ErrSunsetStatus) {
		t.Errorf("approved once withdrawn: %v", err)
	}
	if _, err := d.propose(d.newSunset(gh200)); err != nil {
		t.Errorf("proposed anew: %v", err)
	}
	if of, err := anchor.SunsetOf(t.Context(), d.App, gh200); err != nil || of.Status != anchor.SunsetProposed || of.ID == s.ID {
		t.Errorf("the one that is open: %+v, %v", of, err)
	}
	if _, err := anchor.SunsetOf(t.Context(), d.App, b200); !errors.Is(err, anchor.ErrSunsetNotFound) {
		t.Errorf("of a class that stays: %v", err)
	}
	// The reference may go once it is none.
	d.publish(reference(b200))
	if _, err := d.propose(d.newSunset(h100)); err != nil {
		t.Errorf("a reference of before: %v", err)
	}
}

// Two seconds are left until mints end even where the policy asks for no notice, and who takes too long to announce it is told so.
func TestTheEndOfMintsIsAnnouncedAhead(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.policy.Notice, d.policy.SunsetNotice = 0, 0
	n := d.newSunset(gh200)
	n.NoMintsFrom = d.clock.Now().Add(2*time.Second - time.Microsecond)
	if _, err := d.propose(n); !tooSoon(err) {
		t.Errorf("proposed for a time that is near: %v", err)
	}
	n.NoMintsFrom = d.clock.Now().Add(2 * time.Second)
	s, err := d.propose(n)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.sunsetTx(func(tx pgx.Tx) (anchor.Sunset, error) {
		s, err := anchor.ApproveSunsetTx(t.Context(), tx, gh200, s.ID, d.other, d.policy)
		if err != nil {
			t.Errorf("approved in time: %v", err)
		}
		d.clock.Advance(time.Second + time.Microsecond)
		return s, err
	})
	if !tooSoon(anchor.Committed(err)) {
		t.Errorf("announced too slowly: %v", err)
	}
	if _, err := d.approveSunset(gh200, s.ID, d.other); !tooSoon(err) {
		t.Errorf("announced for a time that is near: %v", err)
	}
}

func tooSoon(err error) bool {
	bad, ok := errors.AsType[*anchor.InvalidError](err)
	return ok && bad.Field == "no_mints_from" && bad.Code == "too_soon"
}

// What the database refuses of sunsets, whoever asks.
func TestGuardsOfSunsets(t *testing.T) {
	t.Parallel()
	const announced = `UPDATE class_sunsets SET status = 'announced', approved_by = $2, announced_at = ballast_now() WHERE id = $1`
	for name, tc := range map[string]struct {
		statements []string
		guard      string
	}{
		"as it should be":      {[]string{announced}, ""},
		"by its maker":         {[]string{`UPDATE class_sunsets SET status = 'announced', approved_by = proposed_by, announced_at = ballast_now() WHERE id = $1`}, "class_sunsets_four_eyes"},
		"by nobody":            {[]string{`UPDATE class_sunsets SET status = 'announced' WHERE id = $1`}, "class_sunsets_have_their_signatures"},
		"another time":         {[]string{`UPDATE class_sunsets SET sunset_at = sunset_at + interval '1 s' WHERE id = $1`}, "class_sunsets_are_fixed"},
		"changed later":        {[]string{announced, `UPDATE class_sunsets SET approved_by = gen_random_uuid() WHERE id = $1`}, "class_sunsets_are_fixed"},
		"deleted":              {[]string{`DELETE FROM class_sunsets WHERE id = $1`}, "class_sunsets_is_append_only"},
		"a second one":         {[]string{`INSERT INTO class_sunsets SELECT gen_random_uuid(), gpu_class, no_mints_from, sunset_at, reason, status, proposed_by FROM class_sunsets WHERE id = $1`}, "class_sunsets_class_key"},
		"born announced":       {[]string{`INSERT INTO class_sunsets SELECT gen_random_uuid(), 'L4-24GB', no_mints_from, sunset_at, reason, 'announced', proposed_by, $2, NULL, created_at, created_at FROM class_sunsets WHERE id = $1`}, "class_sunsets_begin_as_proposals"},
		"ends before mints":    {[]string{`INSERT INTO class_sunsets SELECT gen_random_uuid(), 'L4-24GB', sunset_at, no_mints_from, reason, 'proposed', proposed_by FROM class_sunsets WHERE id = $1`}, "class_sunsets_end_in_order"},
		"mints end at once":    {[]string{`INSERT INTO class_sunsets VALUES ('00000000-0000-0000-0000-000000000001', 'L4-24GB', ballast_now() + interval '0.9 s', ballast_now() + interval '1 h', 'r', 'proposed', '00000000-0000-0000-0000-000000000001')`, `UPDATE class_sunsets SET status = 'announced', approved_by = $2, announced_at = ballast_now() WHERE id = '00000000-0000-0000-0000-000000000001' AND $1::uuid IS NOT NULL`}, "class_sunsets_are_announced_ahead"},
		"of the reference":     {[]string{`INSERT INTO class_sunsets VALUES ('00000000-0000-0000-0000-000000000001', 'H100-SXM-80GB', ballast_now() + interval '1 h', ballast_now() + interval '1 h', 'r', 'proposed', '00000000-0000-0000-0000-000000000001')`, `UPDATE class_sunsets SET status = 'announced', approved_by = $2, announced_at = ballast_now() WHERE id = '00000000-0000-0000-0000-000000000001' AND $1::uuid IS NOT NULL`}, "class_sunsets_spare_the_reference"},
		"taken back":           {[]string{announced, `UPDATE class_sunsets SET status = 'withdrawn', withdrawn_by = $2, withdrawn_at = now(), approved_by = NULL, announced_at = NULL WHERE id = $1`}, "class_sunsets_are_fixed"},
		"withdrawn by nobody":  {[]string{`UPDATE class_sunsets SET status = 'withdrawn' WHERE id = $1`}, "class_sunsets_have_their_signatures"},
		"announced at no time": {[]string{`UPDATE class_sunsets SET status = 'announced', approved_by = $2 WHERE id = $1`}, "class_sunsets_have_their_signatures"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			s, err := d.propose(d.newSunset(gh200))
			if err != nil {
				t.Fatal(err)
			}
			err = pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
				for _, sql := range tc.statements {
					args := []any{s.ID, d.other}
					if !strings.Contains(sql, "$2") {
						args = args[:1]
					}
					if !strings.Contains(sql, "$1") {
						args = nil
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

// That the reference passes to a class and that this class ends are announced at the same moment. The second waits for the first, and
// is refused, whichever it is.
func TestTheReferenceAndItsSunsetAreAnnouncedInTurn(t *testing.T) {
	t.Parallel()
	for _, epochFirst := range []bool{true, false} {
		d := newDesk(t)
		e, err := d.draft(reference(gh200))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.approve(e.ID, d.other); err != nil {
			t.Fatal(err)
		}
		s, err := d.propose(d.newSunset(gh200))
		if err != nil {
			t.Fatal(err)
		}
		announce := func(tx pgx.Tx) error {
			_, err := anchor.AnnounceTx(t.Context(), tx, anchor.Announcement{Epoch: e.ID, By: d.maker, Policy: d.policy})
			return err
		}
		end := func(tx pgx.Tx) error {
			_, err := anchor.ApproveSunsetTx(t.Context(), tx, gh200, s.ID, d.other, d.policy)
			return err
		}
		first, second, refusal := announce, end, anchor.ErrReferenceSunset
		if !epochFirst {
			first, second, refusal = end, announce, anchor.ErrClassSunset
		}
		refused := make(chan error, 1)
		err = pg.InTx(t.Context(), d.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if err := first(tx); err != nil {
				return err
			}
			go func() { refused <- anchor.Committed(pg.InTx(t.Context(), d.App, pgx.TxOptions{}, second)) }()
			return d.waits(refused)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, refusal) {
			t.Errorf("epoch first %v: the second: %v", epochFirst, err)
		}
	}
}

// waits returns once a transaction waits for its turn, or nil at once if it has ended, which puts its error back.
func (d *desk) waits(ended chan error) error {
	for {
		var waiting bool
		err := d.Pool.QueryRow(d.t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waiting)
		if err != nil || waiting {
			return err
		}
		select {
		case err := <-ended:
			ended <- err
			return nil
		default:
		}
	}
}
