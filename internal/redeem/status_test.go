package redeem

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestTransitionsAreThoseOfTheDatabase(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	rows, err := d.db.App.Query(t.Context(), `SELECT from_status, to_status FROM redemption_transitions`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var want, got []string
	for rows.Next() {
		var from, to string
		if err := rows.Scan(&from, &to); err != nil {
			t.Fatal(err)
		}
		got = append(got, from+" "+to)
	}
	for from, next := range transitions {
		for _, to := range next {
			want = append(want, string(from)+" "+string(to))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || rows.Err() != nil {
		t.Error(diff, rows.Err())
	}
}

func TestEveryWayEnds(t *testing.T) {
	t.Parallel()
	// The one circle is of a redemption that is sent again, as often as the provider does not know it.
	var walk func(s Status, unsent bool, steps int)
	walk = func(s Status, unsent bool, steps int) {
		if steps > len(transitions)+4 {
			t.Fatalf("there is a circle through %s", s)
		}
		if len(transitions[s]) == 0 && s != Acknowledged && s != Refunded {
			t.Errorf("nothing follows on %s", s)
		}
		for _, next := range transitions[s] {
			if again := s == Unknown && next == Dispatched; !again || !unsent {
				walk(next, unsent || again, steps+1)
			}
		}
	}
	walk(Requested, false, 1)
	if Issued.MayBecome(Refunded) || Unknown.MayBecome(Cancelled) || Unknown.MayBecome(Expired) || !Dispatched.MayBecome(Issued) {
		t.Error("the table is wrong")
	}
}

func TestAsOfTakesBackLaterSteps(t *testing.T) {
	t.Parallel()
	issued := Redemption{
		Status: Acknowledged, ProviderGrantID: "g", SettledBy: uuid.UUID{1},
		Timeline: []Event{{Status: Requested}, {Status: Reserved}, {Status: Dispatched}, {Status: Issued}, {Status: Acknowledged}},
	}
	rejected := Redemption{
		Status: Refunded, Reason: "no", SettledBy: uuid.UUID{1},
		Timeline: []Event{{Status: Requested}, {Status: Reserved}, {Status: Dispatched}, {Status: Rejected}, {Status: Refunded}},
	}
	for _, tt := range []struct {
		of    Redemption
		steps int
		want  Redemption
	}{
		{issued, 5, issued},
		{issued, 4, Redemption{Status: Issued, ProviderGrantID: "g", SettledBy: uuid.UUID{1}, Timeline: issued.Timeline[:4]}},
		{issued, 3, Redemption{Status: Dispatched, Timeline: issued.Timeline[:3]}},
		{rejected, 5, rejected},
		{rejected, 3, Redemption{Status: Dispatched, Timeline: issued.Timeline[:3]}},
	} {
		got := tt.of
		got.asOf(tt.steps)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s after %d steps: %s", tt.of.Status, tt.steps, diff)
		}
	}
}
