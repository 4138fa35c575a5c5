package redeem

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func farFuture() time.Time { return time.Now().Add(1000 * time.Hour) }

// lines returns how many millionths of an hour of which pledge a redemption has.
func (d *desk) lines(t testing.TB, redemption uuid.UUID) map[uuid.UUID]int64 {
	t.Helper()
	rows, err := d.db.App.Query(t.Context(), `SELECT pledge_id, hours FROM redemption_lines WHERE redemption_id = $1`, redemption)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	lines := map[uuid.UUID]int64{}
	for rows.Next() {
		var pledge uuid.UUID
		var hours int64
		if err := rows.Scan(&pledge, &hours); err != nil {
			t.Fatal(err)
		}
		lines[pledge] = hours
	}
	return lines
}

func TestHoursThatExpireFirstAreTakenFirst(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10*hour) // Its pledge expires in an hour.
	late := s.desk.pledge(t, s.provider, h100, 10*hour, time.Now().Add(30*time.Hour))
	soon := s.desk.pledge(t, s.provider, h100, 10*hour, time.Now().Add(2*time.Hour))
	empty := s.desk.pledge(t, s.provider, h100, 0, time.Now().Add(2*time.Minute))
	past := s.desk.pledge(t, s.provider, h100, 10*hour, time.Now().Add(-time.Minute))
	otherClass := s.desk.pledge(t, s.provider, "H200-SXM-141GB", 10*hour, time.Now().Add(time.Minute))
	rival, _ := s.desk.provider(t)
	others := s.desk.pledge(t, rival, h100, 10*hour, time.Now().Add(time.Minute))
	expired := s.desk.pledge(t, s.provider, h100, 10*hour, time.Now().Add(time.Minute))
	s.become(t, expired, "expired")
	s.mint(t, s.issuance, s.account, 100*hour)

	if diff := cmp.Diff(map[uuid.UUID]int64{s.pledge.id: 4 * hour}, s.lines(t, s.request(t, 4*hour).ID)); diff != "" {
		t.Error(diff)
	}
	r := s.request(t, 20*hour)
	want := map[uuid.UUID]int64{s.pledge.id: 6 * hour, soon.id: 10 * hour, late.id: 4 * hour}
	if diff := cmp.Diff(want, s.lines(t, r.ID)); diff != "" {
		t.Error(diff)
	}
	if _, _, err := s.Request(t.Context(), s.ask(6*hour+1)); !errors.Is(err, ErrNoCapacity) {
		t.Errorf("more than there is: %v", err)
	}
	for _, untouched := range []pledge{empty, past, otherClass, others, expired} {
		if got := s.balance(t, untouched.earmarked); got != 0 {
			t.Errorf("earmarked %d of a pledge that should not be", got)
		}
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(r, "g")); err != nil {
		t.Fatal(err)
	}
	if got := []int64{s.balance(t, s.pledge.delivered), s.balance(t, soon.delivered), s.balance(t, late.delivered), s.balance(t, late.backing)}; !cmp.Equal(got, []int64{6 * hour, 10 * hour, 4 * hour, 6 * hour}) {
		t.Errorf("delivered %v", got)
	}
	s.proveBooks(t)
}

func (d *desk) become(t testing.TB, p pledge, status string) {
	t.Helper()
	d.exec(t, `WITH e AS (INSERT INTO pledge_events (pledge_id, status, at, actor) VALUES ($1, $2, now(), $1))
		UPDATE pledges SET status = $2 WHERE id = $1`, p.id, status)
}

func TestHoursAreRoundedAgainstTheHolder(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	const class = "A100-SXM-80GB"
	_, k := s.k(t, class)
	s.desk.pledge(t, s.provider, class, 100*hour, farFuture())
	for _, amount := range []int64{1, 7, hour, 10*hour - 1} {
		ask := s.ask(amount)
		ask.GPUClass = class
		r, _, err := s.Request(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if want := money.Decimal(amount, 0).Div(k).Floor().IntPart(); r.Hours != want || !r.K.Equal(k) {
			t.Errorf("%d at %s is %d hours, want %d", amount, r.K, r.Hours, want)
		}
	}
	s.proveBooks(t)
}

// pledges makes pledges of the least that backs anything, each of which lapses a second after the one before.
func (s *scene) pledges(t *testing.T, n int) {
	t.Helper()
	var all []pledge
	for i := range n {
		all = append(all, s.unbacked(t, s.provider, h100, 1, farFuture().Add(time.Duration(i)*time.Second)))
	}
	s.back(t, 1, all...)
}

func TestRedemptionIsSpreadOverALimitedNumberOfPledges(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.pledges(t, maxLines)
	s.mint(t, s.issuance, s.account, 2*maxLines)
	if _, _, err := s.Request(t.Context(), s.ask(maxLines+1)); !errors.Is(err, ErrNoCapacity) {
		t.Errorf("more pledges than allowed: %v", err)
	}
	r := s.request(t, maxLines)
	if lines := s.lines(t, r.ID); len(lines) != maxLines {
		t.Errorf("%d lines", len(lines))
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(r, "g")); err != nil {
		t.Error(err)
	}
	s.proveBooks(t)
}

func TestEnoughTakesNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	candidates := []candidate{{hours: 5}, {hours: 3}, {hours: 8}}
	for _, tt := range []struct {
		hours int64
		want  int
		all   bool
	}{{1, 1, false}, {5, 1, false}, {6, 2, false}, {8, 2, false}, {9, 3, true}, {16, 3, true}, {17, 3, true}} {
		t.Run(fmt.Sprint(tt.hours), func(t *testing.T) {
			t.Parallel()
			if got, all := enough(candidates, tt.hours); len(got) != tt.want || all != tt.all {
				t.Errorf("%d of them, all %t", len(got), all)
			}
		})
	}
}

func TestPledgeIsExhaustedByItsLastDelivery(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	for _, tt := range []struct {
		amount int64
		want   string
	}{{60 * hour, "active"}, {40 * hour, "exhausted"}} {
		if _, _, err := s.Issue(t.Context(), s.issuanceOf(s.request(t, tt.amount), tt.want)); err != nil {
			t.Fatal(err)
		}
		var status, event string
		err := s.db.App.QueryRow(t.Context(), `SELECT status, (SELECT e.status FROM pledge_events e WHERE e.pledge_id = p.id ORDER BY event DESC LIMIT 1)
			FROM pledges p WHERE id = $1`, s.pledge.id).Scan(&status, &event)
		if err != nil || status != tt.want || event != tt.want {
			t.Errorf("after %d: %s, %s, %v; want %s", tt.amount, status, event, err, tt.want)
		}
	}
	s.proveBooks(t)
}

func TestHoursThatLapseMeanwhileAreNotTaken(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	clock := pgtest.NewClock(t, s.db, time.Now())
	ask := s.ask(hour)
	there, err := s.capacity(t.Context(), &ask)
	if err != nil || len(there.candidates) != 1 {
		t.Fatal(there.candidates, err)
	}
	clock.Advance(1000 * time.Hour) // The request has waited that long.
	step := &requestStep{ask: &ask, id: id.New(), issuance: there.issuance, candidates: there.candidates}
	v := s.books.Submit(t.Context(), &ledger.Command{Kind: ledger.KindRedemptionRequest, Call: ask.Call, Claims: step.claims(), Step: step})[0]
	if !errors.Is(v.Err, ErrNoCapacity) {
		t.Error(v.Err)
	}
}
