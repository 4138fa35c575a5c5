package redeem

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// by sets how the scene's provider gets to know of redemptions.
func (s *scene) by(t testing.TB, transport Transport) {
	t.Helper()
	n := NewDelivery{Caller: s.provider, ProviderID: s.provider, Transport: transport, SLA: time.Minute}
	if transport == TransportPush {
		n.Endpoint = "https://northwind.example/ballast"
	}
	if _, err := s.SetDelivery(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// at brings a new redemption of ten hours to a status, by a transport.
func (s *scene) at(t testing.TB, transport Transport, status Status) *Redemption {
	t.Helper()
	s.by(t, transport)
	r := s.request(t, 10*hour)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case status == Reserved:
		return r
	case transport == TransportPush:
		must(s.MarkDispatched(t.Context(), r.ID, "It is sent."))
	}
	switch status {
	case Unknown:
		must(s.MarkUnknown(t.Context(), r.ID, "There was no answer."))
	case Issued, Acknowledged:
		_, _, err := s.Issue(t.Context(), s.issuanceOf(r, r.ID.String()))
		must(err)
		if status == Acknowledged {
			_, err := s.Acknowledge(t.Context(), r.ID, s.holder, s.holder)
			must(err)
		}
	case Refunded:
		_, _, err := s.Reject(t.Context(), s.rejectionOf(r))
		must(err)
	default: // It is there.
	}
	return s.now(t, r)
}

func (s *scene) now(t testing.TB, r *Redemption) *Redemption {
	t.Helper()
	now, err := s.Get(t.Context(), r.ID, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// Each mark, from each status: what it does, that it does it once, and that it is harmless when it comes late.
func TestMarks(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1000*hour)
	mark := map[Status]func(uuid.UUID) error{
		Reserved:   func(r uuid.UUID) error { return s.MarkDispatched(t.Context(), r, "It is sent.") },
		Dispatched: func(r uuid.UUID) error { return s.MarkUnknown(t.Context(), r, "There was no answer.") },
		Unknown:    func(r uuid.UUID) error { return s.MarkUnsent(t.Context(), r, "The provider does not know it.") },
	}
	for _, tt := range []struct {
		from, by Status
		want     Status
		err      error
	}{
		{Reserved, Reserved, Dispatched, nil},
		{Dispatched, Reserved, Dispatched, nil},
		{Unknown, Reserved, Unknown, ErrConflict},
		{Issued, Reserved, Issued, ErrConflict},
		{Refunded, Reserved, Refunded, ErrConflict},
		{Reserved, Dispatched, Reserved, ErrConflict},
		{Dispatched, Dispatched, Unknown, nil},
		{Unknown, Dispatched, Unknown, nil},
		{Issued, Dispatched, Issued, ErrConflict},
		{Acknowledged, Dispatched, Acknowledged, ErrConflict},
		{Refunded, Dispatched, Refunded, ErrConflict},
		{Reserved, Unknown, Reserved, ErrConflict},
		{Dispatched, Unknown, Dispatched, nil},
		{Unknown, Unknown, Dispatched, nil},
		{Issued, Unknown, Issued, ErrConflict},
		{Refunded, Unknown, Refunded, ErrConflict},
	} {
		r := s.at(t, TransportPush, tt.from)
		steps := len(r.Timeline)
		for range 2 {
			err := mark[tt.by](r.ID)
			if now := s.now(t, r); !errors.Is(err, tt.err) || now.Status != tt.want {
				t.Errorf("from %s by the mark of %s: %s, %v", tt.from, tt.by, now.Status, err)
			}
		}
		now := s.now(t, r)
		if tt.want != tt.from {
			steps++
		}
		if last := now.Timeline[len(now.Timeline)-1]; len(now.Timeline) != steps || tt.want != tt.from && (last.Detail == "" || last.Actor != uuid.Nil) {
			t.Errorf("from %s by the mark of %s: %+v", tt.from, tt.by, now.Timeline)
		}
	}
	for _, by := range mark {
		if err := by(id.New()); !errors.Is(err, ErrNotFound) {
			t.Errorf("a redemption that there is not: %v", err)
		}
	}
	var invalid *InvalidError
	for _, cause := range []string{"", "a\x00b", strings.Repeat("x", 1001)} {
		if err := s.MarkDispatched(t.Context(), id.New(), cause); !errors.As(err, &invalid) {
			t.Errorf("the cause %.5q: %v", cause, err)
		}
	}
	s.proveBooks(t)
}

// A provider may say what it did after it was unknown, and what it did not know is sent again.
func TestUnknownEndsByWhatTheProviderSays(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	issued := s.at(t, TransportPush, Unknown)
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(issued, "g")); err != nil {
		t.Error(err)
	}
	rejected := s.at(t, TransportPush, Unknown)
	if _, _, err := s.Reject(t.Context(), s.rejectionOf(rejected)); err != nil {
		t.Error(err)
	}
	again := s.at(t, TransportPush, Unknown)
	for range 2 {
		if err := errors.Join(s.MarkUnsent(t.Context(), again.ID, "Not known."), s.MarkUnknown(t.Context(), again.ID, "No answer.")); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(again, "h")); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		r    *Redemption
		want []Status
	}{
		{issued, []Status{Requested, Reserved, Dispatched, Unknown, Issued}},
		{rejected, []Status{Requested, Reserved, Dispatched, Unknown, Rejected, Refunded}},
		{again, []Status{Requested, Reserved, Dispatched, Unknown, Dispatched, Unknown, Dispatched, Unknown, Issued}},
	} {
		if diff := cmp.Diff(tt.want, path(s.now(t, tt.r))); diff != "" {
			t.Error(diff)
		}
	}
	s.expect(t, 80, 0, 80, 80, 0, 20)
	s.proveBooks(t)
}

// Tokens go back to the holder, or for the clock, only while the provider cannot have granted anything.
func TestOnlyWhatIsUntouchedIsCancelledOrExpires(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1000*hour)
	s.onDelay = Refund
	clock := pgtest.NewClock(t, s.db, time.Now())
	for _, tt := range []struct {
		transport Transport
		status    Status
		leased    bool
		may       bool
	}{
		{TransportPush, Reserved, false, true},
		{TransportPush, Dispatched, false, false},
		{TransportPush, Unknown, false, false},
		{TransportPull, Dispatched, false, true},
		{TransportPull, Dispatched, true, false},
		{TransportPull, Unknown, false, false},
		{TransportPull, Issued, false, false},
		{TransportPull, Refunded, false, false},
	} {
		for what, end := range map[string]func(r *Redemption) error{
			"cancelled": func(r *Redemption) error {
				_, _, err := s.Cancel(t.Context(), s.cancellationOf(r))
				return err
			},
			"expired": func(r *Redemption) error {
				clock.Advance(time.Minute)
				s.exec(t, `INSERT INTO redemption_escalations (redemption_id, escalated_at) VALUES ($1, ballast_now())`, r.ID)
				_, _, err := s.Expire(t.Context(), Expiry{Call: ledger.SystemCall("expire", r.ID), RedemptionID: r.ID, Cause: "The time is over."})
				return err
			},
		} {
			r := s.at(t, tt.transport, tt.status)
			if tt.leased {
				if _, leased, err := s.Lease(t.Context(), s.lease()); err != nil || !slices.ContainsFunc(leased, func(l *Redemption) bool { return l.ID == r.ID }) {
					t.Fatalf("%v, %v", leased, err)
				}
			}
			err := end(r)
			now := s.now(t, r)
			if may := err == nil; may != tt.may || !may && !errors.Is(err, ErrConflict) || !may && now.Status != tt.status {
				t.Errorf("%s, leased %t, is %s when it is %s: %v, %s", tt.transport, tt.leased, what, tt.status, err, now.Status)
			}
			if tt.may && (now.Timeline[len(now.Timeline)-2].Status != Status(what) || now.Status != Refunded || now.RefundedAmount() != now.Amount) {
				t.Errorf("%s: %+v", what, now.Timeline)
			}
		}
	}
	s.proveBooks(t)
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	open, issued := s.at(t, TransportPull, Dispatched), s.at(t, TransportPull, Issued)
	stranger, _ := s.desk.holder(t, "SCH")
	for _, tt := range []struct {
		of    *Redemption
		owner uuid.UUID
		want  error
	}{
		{open, s.holder, ErrConflict},
		{issued, stranger, ErrNotFound},
		{issued, uuid.Nil, ErrNotFound},
		{issued, s.holder, nil},
		{issued, s.holder, nil},
		{&Redemption{ID: id.New()}, s.holder, ErrNotFound},
	} {
		got, err := s.Acknowledge(t.Context(), tt.of.ID, tt.owner, tt.owner)
		if !errors.Is(err, tt.want) || err == nil && (got.Status != Acknowledged || len(got.Timeline) != 5 || got.Timeline[4].Actor != s.holder) {
			t.Errorf("%+v, %v, want %v", got, err, tt.want)
		}
	}
	s.proveBooks(t)
}

// The system is the actor, and the answer to a repeated request is the first one, whatever came after.
func TestRepeatedRequestOfWhatIsPushed(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	s.by(t, TransportPush)
	ask := s.ask(10 * hour)
	first, _, err := s.Request(t.Context(), ask)
	if err != nil || first.Status != Reserved || first.Transport != TransportPush {
		t.Fatalf("%+v, %v", first, err)
	}
	s.by(t, TransportPull) // What is under way goes on as it began.
	if err := errors.Join(s.MarkDispatched(t.Context(), first.ID, "Sent."), s.MarkUnknown(t.Context(), first.ID, "No answer.")); err != nil {
		t.Fatal(err)
	}
	again, replayed, err := s.Request(t.Context(), ask)
	if diff := cmp.Diff(first, again); diff != "" || !replayed || err != nil {
		t.Error(diff, replayed, err)
	}
}

// What is unknown is refunded only as two operators say: the database refuses it to everybody else.
func TestUnknownIsNotRefundedByOne(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r := s.at(t, TransportPush, Unknown)
	_, _, err := s.refundOf(t.Context(), r, ledger.SystemCall("guess", r.ID), &settleStep{steps: []Event{refunded}})
	if pg.ConstraintName(err) != "redemption_events_follow_the_rules" {
		t.Errorf("a refund that nobody proposed: %v", err)
	}
	s.propose(t, NewResolution{By: id.New(), RedemptionID: r.ID, Outcome: Refunded, Evidence: "A ticket"})
	_, _, err = s.refundOf(t.Context(), r, ledger.SystemCall("guess", r.ID), &settleStep{steps: []Event{refunded}})
	if pg.ConstraintName(err) != "redemption_events_follow_the_rules" {
		t.Errorf("a refund that nobody approved: %v", err)
	}
	s.expect(t, 90, 10, 100, 90, 10, 0)
}

// What was to be sent comes back as long as every attempt surely failed to reach the provider, and none is under way.
func TestWhatNeverArrivedMayBeTakenBack(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1000*hour)
	const attempted = `INSERT INTO redemption_attempts (redemption_id, phase, outcome, milliseconds) SELECT $1, 'send', unnest($2::text[]), 1`
	for name, tt := range map[string]struct {
		outcomes []string
		dispatch string
		may      bool
	}{
		"it never arrived":              {[]string{"not_sent", "not_sent"}, "", true},
		"it was turned away unseen":     {[]string{"not_accepted", "gone"}, "", true},
		"nothing was tried yet":         {nil, "", false},
		"one attempt may have":          {[]string{"not_sent", "unclear"}, "", false},
		"one was cut off":               {[]string{"cut_off"}, "", false},
		"the provider accepted":         {[]string{"accepted"}, "", false},
		"another is under way":          {[]string{"not_sent"}, `lease_id = gen_random_uuid(), leased_until = ballast_now() + interval '1 minute'`, false},
		"one was, and nobody knows":     {[]string{"not_sent"}, `lease_id = gen_random_uuid(), leased_until = ballast_now() - interval '1 minute'`, false},
		"it is asked what became of it": {[]string{"not_sent"}, `phase = 'query'`, false},
	} {
		r := s.at(t, TransportPush, Dispatched)
		s.exec(t, attempted, r.ID, tt.outcomes)
		if tt.dispatch != "" {
			s.exec(t, `UPDATE redemption_dispatches SET `+tt.dispatch+` WHERE redemption_id = $1`, r.ID)
		}
		_, _, err := s.Cancel(t.Context(), s.cancellationOf(r))
		if may := err == nil; may != tt.may || !may && !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.proveBooks(t)
}

// A cancellation and an attempt that begins at the same moment: one of them finds that the other was first.
func TestTakingBackAndSendingRace(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1000*hour)
	r := s.at(t, TransportPush, Dispatched)
	s.exec(t, `INSERT INTO redemption_attempts (redemption_id, phase, outcome, milliseconds) VALUES ($1, 'send', 'not_sent', 1)`, r.ID)
	tx, err := s.db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE redemption_dispatches SET lease_id = gen_random_uuid(), leased_until = ballast_now() + interval '1 minute'
		WHERE redemption_id = $1`, r.ID); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := s.Cancel(t.Context(), s.cancellationOf(r))
		done <- err
	}()
	for waiting := false; !waiting; {
		if err := s.db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			t.Fatalf("it did not wait for the attempt: %v", err)
		default:
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrConflict) {
		t.Errorf("cancelled although it is being sent: %v", err)
	}
}
