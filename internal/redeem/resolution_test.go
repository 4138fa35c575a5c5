package redeem

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

func (s *scene) tryResolution(t testing.TB, n NewResolution) (p Resolution, err error) {
	t.Helper()
	err = pg.InTx(t.Context(), s.db.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		p, err = ProposeResolutionTx(t.Context(), tx, n)
		return err
	})
	return p, err
}

func (s *scene) propose(t testing.TB, n NewResolution) Resolution {
	t.Helper()
	p, err := s.tryResolution(t, n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *scene) approve(t testing.TB, by uuid.UUID, r *Redemption, n int) error {
	t.Helper()
	_, err := s.ApproveResolution(t.Context(), Approval{By: by, RedemptionID: r.ID, N: n})
	return err
}

// Each outcome, by two operators: one of them is not enough, and it happens once.
func TestResolutions(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	maker, checker := id.New(), id.New()
	for _, tt := range []struct {
		outcome Status
		grant   string
		hours   int64
		want    []Status
	}{
		{Issued, "g-all", 0, []Status{Requested, Reserved, Dispatched, Unknown, Issued}},
		{Issued, "g-part", 4 * hour, []Status{Requested, Reserved, Dispatched, Unknown, Issued}},
		{Refunded, "", 0, []Status{Requested, Reserved, Dispatched, Unknown, Refunded}},
		{Dispatched, "", 0, []Status{Requested, Reserved, Dispatched, Unknown, Dispatched}},
	} {
		r := s.at(t, TransportPush, Unknown)
		n := NewResolution{By: maker, RedemptionID: r.ID, Outcome: tt.outcome, GrantID: tt.grant, Hours: tt.hours, Evidence: "Ticket 5512"}
		p := s.propose(t, n)
		if p.N != 1 || p.Outcome != tt.outcome || p.ProposedBy != maker || p.ApprovedBy != uuid.Nil {
			t.Errorf("%+v", p)
		}
		if err := s.approve(t, maker, r, 1); !errors.Is(err, ErrSamePerson) {
			t.Errorf("%s, by who proposed it: %v", tt.outcome, err)
		}
		if now := s.now(t, r); now.Status != Unknown {
			t.Errorf("%s by one: it is %s", tt.outcome, now.Status)
		}
		for range 2 { // The second changes nothing.
			if err := s.approve(t, checker, r, 1); err != nil {
				t.Errorf("%s: %v", tt.outcome, err)
			}
		}
		if err := s.approve(t, id.New(), r, 1); !errors.Is(err, ErrConflict) {
			t.Errorf("%s, by a third: %v", tt.outcome, err)
		}
		now := s.now(t, r)
		if diff := cmp.Diff(tt.want, path(now)); diff != "" {
			t.Error(diff)
		}
		last := now.Timeline[4]
		if last.Actor != checker || !strings.Contains(last.Detail, "Ticket 5512") || now.ProviderGrantID != tt.grant {
			t.Errorf("%+v", now)
		}
		all, err := s.Resolutions(t.Context(), r.ID)
		if err != nil || len(all) != 1 || all[0].ApprovedBy != checker || all[0].ApprovedAt.IsZero() {
			t.Errorf("%+v, %v", all, err)
		}
	}
	s.expect(t, 76, 10, 86, 76, 10, 14)
	s.proveBooks(t)
}

func TestOnlyTheLastProposalOfAnUnknownRedemptionIsApproved(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	maker, checker := id.New(), id.New()
	r := s.at(t, TransportPush, Unknown)
	n := NewResolution{By: maker, RedemptionID: r.ID, Outcome: Refunded, Evidence: "x"}
	s.propose(t, n)
	n.Outcome, n.GrantID = Issued, "g"
	s.propose(t, n)
	if err := s.approve(t, checker, r, 1); !errors.Is(err, ErrConflict) {
		t.Errorf("an earlier one: %v", err)
	}
	if err := s.approve(t, checker, r, 3); !errors.Is(err, ErrNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
	s.at(t, TransportPush, Issued) // Its grant is its id.
	n.GrantID = s.at(t, TransportPush, Issued).ProviderGrantID
	s.propose(t, n)
	if err := s.approve(t, checker, r, 3); !errors.Is(err, ErrGrantUsed) {
		t.Errorf("another's grant: %v", err)
	}
	// The provider speaks first.
	if _, _, err := s.Reject(t.Context(), s.rejectionOf(r)); err != nil {
		t.Fatal(err)
	}
	if err := s.approve(t, checker, r, 3); !errors.Is(err, ErrConflict) {
		t.Errorf("what is known: %v", err)
	}
	for _, status := range []Status{Reserved, Dispatched, Issued, Refunded} {
		n.RedemptionID = s.at(t, TransportPush, status).ID
		if _, err := s.tryResolution(t, n); !errors.Is(err, ErrConflict) {
			t.Errorf("a proposal for what is %s: %v", status, err)
		}
	}
	n.RedemptionID = id.New()
	if _, err := s.tryResolution(t, n); !errors.Is(err, ErrNotFound) {
		t.Errorf("a proposal for nothing: %v", err)
	}
	s.proveBooks(t)
}

// What its provider had time for and did not end is ended by two operators: leased and never answered, or sent and accepted for ever. Until then
// the provider may still speak, and before it is late, nobody else decides.
func TestOperatorsEndWhatItsProviderIsLateWith(t *testing.T) {
	t.Parallel()
	s, clock := newLateScene(t)
	leased := s.asks(t, 10*hour, Refund)
	if _, got, err := s.Lease(t.Context(), s.lease()); err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	spoken := s.at(t, TransportPush, Dispatched)
	sent := s.at(t, TransportPush, Dispatched)
	n := NewResolution{By: id.New(), Outcome: Refunded, Evidence: "It is bankrupt."}
	conflicts := func(what string, r *Redemption) {
		t.Helper()
		n.RedemptionID = r.ID
		if _, err := s.tryResolution(t, n); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
		if now := s.now(t, r); now.Status != Dispatched {
			t.Errorf("%s: it is %s", what, now.Status)
		}
	}
	conflicts("in time, leased", leased)
	conflicts("in time, sent", sent)
	clock.Advance(time.Hour)
	s.followUp(t, 3)
	const take = `UPDATE redemption_dispatches SET lease_id = gen_random_uuid(), leased_until = ballast_now() + interval '1 minute' WHERE redemption_id = $1`
	if _, err := s.db.Pool.Exec(t.Context(), take, sent.ID); err != nil {
		t.Fatal(err)
	}
	conflicts("being sent", sent)
	clock.Advance(time.Minute)

	for _, r := range []*Redemption{leased, sent, spoken} {
		n.RedemptionID = r.ID
		s.propose(t, n)
		now := s.now(t, r)
		if last := now.Timeline[len(now.Timeline)-1]; last.Status != Unknown || last.Actor != n.By || last.Detail != "The provider is late, and operators look into it." {
			t.Errorf("%+v", last)
		}
	}
	var next time.Time
	if err := s.db.Pool.QueryRow(t.Context(), `SELECT next_at FROM redemption_dispatches WHERE redemption_id = $1`, sent.ID).Scan(&next); err != nil || !next.Equal(clock.Now().Add(24*time.Hour)) {
		t.Errorf("it is asked at %s (%v), and takes it from under the proposal", next, err)
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(spoken, "late")); err != nil {
		t.Errorf("the provider speaks after all: %v", err)
	}
	if err := s.approve(t, id.New(), spoken, 1); !errors.Is(err, ErrConflict) {
		t.Errorf("what it said is overruled: %v", err)
	}
	for _, r := range []*Redemption{leased, sent} {
		if err := s.approve(t, id.New(), r, 1); err != nil || s.now(t, r).Status != Refunded {
			t.Errorf("%s, %v", s.now(t, r).Status, err)
		}
	}
	s.proveBooks(t)
}

func TestMalformedResolutions(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r := s.at(t, TransportPush, Unknown)
	var invalid *InvalidError
	for _, change := range []func(*NewResolution){
		func(n *NewResolution) { n.Outcome = Rejected },
		func(n *NewResolution) { n.GrantID = "" },
		func(n *NewResolution) { n.Hours = 10*hour + 1 },
		func(n *NewResolution) { n.Hours = -1 },
		func(n *NewResolution) { n.Evidence = "" },
		func(n *NewResolution) { n.Outcome = Refunded },
		func(n *NewResolution) { n.Outcome, n.GrantID, n.Hours = Dispatched, "", 1 },
	} {
		n := NewResolution{By: id.New(), RedemptionID: r.ID, Outcome: Issued, GrantID: "g", Evidence: "x"}
		change(&n)
		if _, err := s.tryResolution(t, n); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
}

// Operators and the provider speak at the same moment, in two processes: there is one end.
func TestResolutionsRace(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	other := s.twin(t)
	for i := range 8 {
		r := s.at(t, TransportPush, Unknown)
		outcome := []Status{Refunded, Dispatched}[i%2]
		s.propose(t, NewResolution{By: id.New(), RedemptionID: r.ID, Outcome: outcome, Evidence: "x"})
		var approved, issued atomic.Int64
		atOnce(6, func(i int) {
			var err error
			if i%3 == 0 {
				if _, _, err = other.Issue(t.Context(), s.issuanceOf(r, r.ID.String())); err == nil {
					issued.Add(1)
				}
			} else if _, err = s.ApproveResolution(t.Context(), Approval{By: id.New(), RedemptionID: r.ID, N: 1}); err == nil {
				approved.Add(1)
			}
			if err != nil && !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
		now := s.now(t, r)
		if approved.Load() > 1 || approved.Load() == 1 && outcome == Refunded && issued.Load() > 0 || approved.Load() == 0 && now.Status != Issued {
			t.Errorf("approved %d and issued %d times: %+v", approved.Load(), issued.Load(), path(now))
		}
	}
	s.proveBooks(t)
}

func TestGuardsOfResolutions(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r, open := s.at(t, TransportPush, Unknown), s.at(t, TransportPush, Dispatched)
	s.propose(t, NewResolution{By: id.New(), RedemptionID: r.ID, Outcome: Issued, GrantID: "g", Evidence: "x"})
	const insert = `INSERT INTO redemption_resolutions (redemption_id, n, outcome, provider_grant_id, hours, evidence, proposed_by) VALUES `
	for _, tt := range []struct {
		constraint, sql string
		of              *Redemption
	}{
		{"redemption_resolutions_are_of_the_unknown", insert + `($1, 1, 'refunded', NULL, NULL, 'x', $1)`, open},
		{"redemption_resolutions_are_of_the_unknown", insert + `($1, 3, 'refunded', NULL, NULL, 'x', $1)`, r},
		{"redemption_resolutions_are_of_the_unknown", insert + `($1, 2, 'issued', 'g', 10000001, 'x', $1)`, r},
		{"redemption_resolutions_issued_name_their_grant", insert + `($1, 2, 'issued', NULL, NULL, 'x', $1)`, r},
		{"redemption_resolutions_issued_name_their_grant", insert + `($1, 2, 'refunded', NULL, 1, 'x', $1)`, r},
		{"redemption_resolutions_outcome_check", insert + `($1, 2, 'rejected', NULL, NULL, 'x', $1)`, r},
		{"redemption_resolutions_four_eyes", `UPDATE redemption_resolutions SET approved_by = proposed_by, approved_at = now() WHERE redemption_id = $1`, r},
		{"redemption_resolutions_approved_when", `UPDATE redemption_resolutions SET approved_by = $1 WHERE redemption_id = $1`, r},
		{"redemption_resolutions_are_fixed", `UPDATE redemption_resolutions SET outcome = 'refunded', provider_grant_id = NULL WHERE redemption_id = $1`, r},
		{"redemption_resolutions_is_append_only", `DELETE FROM redemption_resolutions WHERE redemption_id = $1`, r},
	} {
		if _, err := s.db.Pool.Exec(t.Context(), tt.sql, tt.of.ID); pg.ConstraintName(err) != tt.constraint {
			t.Errorf("%s: %v, want %s", tt.sql, err, tt.constraint)
		}
	}
}
