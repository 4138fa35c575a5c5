package redeem

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func (s *scene) lease() NewLease {
	return NewLease{Caller: s.provider, ProviderID: s.provider, Limit: 10, For: time.Minute}
}

// Pollers of two processes empty a queue together: each redemption is leased once, whichever holder's it is.
func TestPollersNeverGetTheSame(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1000*hour)
	second := s.open(t, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: s.holder})
	s.mint(t, s.issuance, second, 100*hour)
	const waiting = 60
	for i := range waiting {
		ask := s.ask(hour)
		if i%2 == 0 {
			ask.AccountID = second
		}
		if _, _, err := s.Request(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
	}
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	var mu sync.Mutex
	times := map[uuid.UUID]int{}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(times)
	}
	atOnce(8, func(i int) {
		for count() < waiting {
			n := s.lease()
			n.Limit = 1 + i%4
			_, leased, err := desks[i%2].Lease(t.Context(), n)
			if err != nil || len(leased) > n.Limit {
				t.Errorf("%d leased: %v", len(leased), err)
				return
			}
			mu.Lock()
			for _, r := range leased {
				times[r.ID]++
			}
			mu.Unlock()
		}
	})
	for r, n := range times {
		if n != 1 {
			t.Errorf("%s was leased %d times", r, n)
		}
	}
	if _, leased, err := s.Lease(t.Context(), s.lease()); err != nil || len(leased) != 0 {
		t.Errorf("there are %d more: %v", len(leased), err)
	}
}

func TestLeaseLapses(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	clock := pgtest.NewClock(t, s.db, time.Now().Add(time.Minute))
	older, newer := s.request(t, 10*hour), s.request(t, 10*hour)
	n := s.lease()
	n.Limit = 1
	take := func(want *Redemption) (lease uuid.UUID) {
		t.Helper()
		lease, leased, err := s.Lease(t.Context(), n)
		if err != nil || len(leased) != 1 || leased[0].ID != want.ID || !leased[0].LeasedUntil.Equal(clock.Now().Add(time.Minute)) {
			t.Fatalf("%+v, %v", leased, err)
		}
		return lease
	}
	first := take(older)
	if now := s.now(t, older); !now.LeasedUntil.Equal(clock.Now().Add(time.Minute)) || len(now.Timeline) != 3 {
		t.Errorf("leased: %+v", now)
	}
	clock.Advance(30 * time.Second)
	take(newer)
	clock.Advance(30 * time.Second)
	if now := s.now(t, older); !now.LeasedUntil.IsZero() {
		t.Errorf("it is leased until %s, at %s", now.LeasedUntil, clock.Now())
	}
	second := take(older) // Oldest first, and again once the lease has lapsed.
	under := func(lease uuid.UUID) Issuance {
		i := s.issuanceOf(older, "g")
		i.LeaseID = lease
		return i
	}
	for _, lease := range []uuid.UUID{first, id.New()} {
		rejection := s.rejectionOf(older)
		rejection.LeaseID = lease
		_, _, err1 := s.Issue(t.Context(), under(lease))
		_, _, err2 := s.Reject(t.Context(), rejection)
		if !errors.Is(err1, ErrLeased) || !errors.Is(err2, ErrLeased) {
			t.Errorf("under another lease: %v, %v", err1, err2)
		}
	}
	clock.Advance(2 * time.Minute) // It has lapsed, and nobody else took it.
	if _, _, err := s.Issue(t.Context(), under(second)); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Reject(t.Context(), s.rejectionOf(newer)); err != nil { // No lease need be named.
		t.Error(err)
	}
	if _, leased, err := s.Lease(t.Context(), n); err != nil || len(leased) != 0 {
		t.Errorf("what has ended is leased: %v, %v", leased, err)
	}
	s.proveBooks(t)
}

func TestLeaseIsOfOnesOwnQueue(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	rival, _ := s.desk.provider(t)
	s.at(t, TransportPush, Dispatched)
	s.at(t, TransportPull, Unknown)
	s.at(t, TransportPull, Dispatched)
	n := s.lease()
	n.ProviderID = rival
	if _, leased, err := s.Lease(t.Context(), n); err != nil || len(leased) != 0 {
		t.Errorf("another's: %v, %v", leased, err)
	}
	if _, leased, err := s.Lease(t.Context(), s.lease()); err != nil || len(leased) != 1 || leased[0].Transport != TransportPull {
		t.Errorf("%v, %v", leased, err)
	}
	var invalid *InvalidError
	for _, change := range []func(*NewLease){
		func(n *NewLease) { n.Limit = 0 }, func(n *NewLease) { n.Limit = 101 }, func(n *NewLease) { n.For = time.Second }, func(n *NewLease) { n.For = 2 * time.Hour },
	} {
		n := s.lease()
		change(&n)
		if _, _, err := s.Lease(t.Context(), n); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
}

// A holder's cancellation and a poller race: either the poller has it, or the holder has the tokens.
func TestLeaseOrCancelNotBoth(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	other := s.twin(t)
	for range 15 {
		r := s.request(t, hour)
		var leased []*Redemption
		var leaseErr, cancelErr error
		atOnce(2, func(i int) {
			if i == 0 {
				_, leased, leaseErr = other.Lease(t.Context(), s.lease())
			} else {
				_, _, cancelErr = s.Cancel(t.Context(), s.cancellationOf(r))
			}
		})
		switch {
		case leaseErr != nil || cancelErr != nil && !errors.Is(cancelErr, ErrConflict):
			t.Fatal(leaseErr, cancelErr)
		case (len(leased) == 1) == (cancelErr == nil):
			t.Errorf("leased %d, cancelled: %v", len(leased), cancelErr)
		}
	}
	s.proveBooks(t)
}

func TestGuardsOfLeases(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	pushed, open := s.at(t, TransportPush, Dispatched), s.at(t, TransportPull, Dispatched)
	if _, _, err := s.Lease(t.Context(), s.lease()); err != nil {
		t.Fatal(err)
	}
	const insert = `INSERT INTO redemption_leases VALUES ($1, gen_random_uuid(), now(), now() + interval '1 min', $1)`
	for _, tt := range []struct {
		constraint, sql string
		of              *Redemption
	}{
		{"redemption_leases_are_one_at_a_time", insert, open},
		{"redemption_leases_are_one_at_a_time", insert, pushed},
		{"redemption_leases_end_after_they_begin", `INSERT INTO redemption_leases VALUES ($1, gen_random_uuid(), now(), now(), $1)`, open},
		{"redemption_leases_is_append_only", `UPDATE redemption_leases SET expires_at = now() WHERE redemption_id = $1`, open},
		{"redemption_leases_is_append_only", `DELETE FROM redemption_leases WHERE redemption_id = $1`, open},
	} {
		if _, err := s.db.Pool.Exec(t.Context(), tt.sql, tt.of.ID); pg.ConstraintName(err) != tt.constraint {
			t.Errorf("%s: %v", tt.sql, err)
		}
	}
}
