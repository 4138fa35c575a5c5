package redeem

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/idempotency"
)

// atOnce runs n functions at the same time.
func atOnce(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// twin is a second process on the scene's database.
func (s *scene) twin(t testing.TB) *Redemptions {
	t.Helper()
	return New(s.db.App, openBooks(t, s.db))
}

func TestRacingCallersBringARedemptionToOneEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	var issued, refunded int64
	for round := range 10 {
		r := s.request(t, 10*hour)
		var ends, other atomic.Int64
		atOnce(40, func(i int) {
			var err error
			var replayed bool
			at := desks[i%2]
			switch i % 4 {
			case 0:
				_, replayed, err = at.Reject(t.Context(), s.rejectionOf(r))
			case 1:
				_, replayed, err = at.Cancel(t.Context(), s.cancellationOf(r))
			default:
				_, replayed, err = at.Issue(t.Context(), s.issuanceOf(r, fmt.Sprintf("grant-%d-%d", round, i)))
			}
			switch {
			case err == nil && !replayed:
				ends.Add(1)
			case !errors.Is(err, ErrConflict):
				other.Add(1)
				t.Error(err)
			}
		})
		if ends.Load() != 1 || other.Load() != 0 {
			t.Fatalf("round %d: %d ends", round, ends.Load())
		}
		after, err := s.Get(t.Context(), r.ID, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if after.Status == Issued {
			issued++
		} else {
			refunded++
		}
	}
	s.expect(t, 100-10*issued, 0, 100-10*issued, 100-10*issued, 0, 10*issued)
	s.proveBooks(t)
	t.Logf("%d issued, %d refunded", issued, refunded)
}

func TestRacingRedemptionsNeverTakeMoreThanThereIs(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10*hour)
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	for i := range 9 {
		s.desk.pledge(t, s.provider, h100, 10*hour, time.Now().Add(time.Duration(i+2)*time.Hour))
	}
	s.mint(t, s.issuance, s.account, 1000*hour)
	var accepted, refused atomic.Int64
	atOnce(300, func(i int) {
		switch _, _, err := desks[i%2].Request(t.Context(), s.ask(hour)); {
		case err == nil:
			accepted.Add(1)
		case errors.Is(err, ErrNoCapacity):
			refused.Add(1)
		default:
			t.Error(err)
		}
	})
	// Nor fewer: whoever found the pledge of its plan empty found another.
	if accepted.Load() != 100 || refused.Load() != 200 {
		t.Errorf("%d accepted and %d refused of 300 for 100 hours", accepted.Load(), refused.Load())
	}
	s.proveBooks(t)
}

func TestRacingGrantEndsOneRedemption(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	redemptions := make([]*Redemption, 40)
	for i := range redemptions {
		if i%2 == 0 { // Redemptions of different accounts do not wait for each other's escrow.
			s.holder, s.account = s.desk.holder(t, "SCH")
			s.mint(t, s.issuance, s.account, 2*hour)
		}
		redemptions[i] = s.request(t, hour)
	}
	var issued, refused atomic.Int64
	atOnce(len(redemptions), func(i int) {
		switch _, _, err := desks[i%2].Issue(t.Context(), s.issuanceOf(redemptions[i], "the one")); {
		case err == nil:
			issued.Add(1)
		case errors.Is(err, ErrGrantUsed):
			refused.Add(1)
		default:
			t.Error(err)
		}
	})
	if issued.Load() != 1 || refused.Load() != 39 {
		t.Errorf("one grant: issued %d, refused %d", issued.Load(), refused.Load())
	}
	s.proveBooks(t)
}

func TestRacingOneKeyRequestsOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	ask := s.ask(10 * hour)
	var mu sync.Mutex
	answers := map[uuid.UUID]int{}
	var first atomic.Int64
	atOnce(40, func(i int) {
		r, replayed, err := desks[i%2].Request(t.Context(), ask)
		for errors.Is(err, idempotency.ErrInProgress) {
			r, replayed, err = desks[i%2].Request(t.Context(), ask)
		}
		if err != nil {
			t.Error(err)
			return
		}
		if !replayed {
			first.Add(1)
		}
		mu.Lock()
		defer mu.Unlock()
		answers[r.ID]++
	})
	if len(answers) != 1 || first.Load() != 1 {
		t.Errorf("one key made %d redemptions, %d of them first", len(answers), first.Load())
	}
	s.expect(t, 90, 10, 100, 90, 10, 0)
}
