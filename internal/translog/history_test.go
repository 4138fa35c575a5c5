package translog

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

const manyProofsSQL = `
INSERT INTO liability_proofs (size, asset, root, total, minted, burned, collateral, accounts, created_at)
SELECT n, 'SCH', decode(repeat('00', 32), 'hex'), n, 2 * n, n,
       jsonb_build_array(jsonb_build_object('gpu_class', 'A', 'hours', '1', 'k', '1', 'sch', n::text), jsonb_build_object('gpu_class', 'B', 'hours', '1', 'k', '1', 'sch', '3')),
       1, '2026-11-01T00:00:00Z'::timestamptz + n * interval '1 minute'
FROM generate_series(1, 1000) AS n`

// However many proofs there are, a history has a bounded number of points: the last of each part of the span, and so the very last.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(manyProofsSQL)
	w.exec(`INSERT INTO log_positions (seq, first_index) SELECT seq, size + 5000 FROM liability_proofs WHERE size < 1000`)
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	minute := func(n int) *time.Time {
		at := begin.Add(time.Duration(n) * time.Minute)
		return &at
	}
	read := func(from, to *time.Time) History {
		t.Helper()
		h, err := ReadHistory(t.Context(), w.db.App, from, to)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	all := read(minute(0), minute(1000))
	if n := len(all.Points); n > HistoryPoints || n < HistoryPoints-1 {
		t.Errorf("%d points, want about %d", n, HistoryPoints)
	}
	for i, p := range all.Points {
		if i > 0 && p.Size <= all.Points[i-1].Size {
			t.Fatalf("point %d is of size %d, after %d", i, p.Size, all.Points[i-1].Size)
		}
		if p.Index != p.Size+5000 || p.Supply != p.Size || p.Minted != 2*p.Size || p.Burned != p.Size || !p.Collateral.Equal(decimal.NewFromInt(p.Size+3)) || !p.At.Equal(*minute(int(p.Size))) {
			t.Fatalf("point %d is %+v", i, p)
		}
	}
	// The thousandth is in no checkpoint yet.
	if last := all.Points[len(all.Points)-1]; last.Size != 999 {
		t.Errorf("the last point is of size %d", last.Size)
	}
	if some := read(minute(10), minute(20)).Points; len(some) != 10 || some[0].Size != 11 || some[9].Size != 20 {
		t.Errorf("from minute 10 to 20: %+v", some)
	}
	if none := read(minute(20), minute(20)); len(none.Points) != 0 || !none.From.Equal(none.To) {
		t.Errorf("at one moment: %+v", none)
	}
	if h := read(nil, minute(1000)); h.To.Sub(h.From) != 90*24*time.Hour || len(h.Points) == 0 {
		t.Errorf("without a beginning: from %s to %s, %d points", h.From, h.To, len(h.Points))
	}
}

func TestRatio(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		collateral, supply int64
		want               string
	}{{3, 2, "1.5"}, {2, 3, "0.666666"}, {1, 0, ""}, {0, 7, "0"}} {
		got := HistoryPoint{Supply: tt.supply, Collateral: decimal.NewFromInt(tt.collateral)}.Ratio()
		if got.Valid != (tt.want != "") || got.Valid && got.Decimal.String() != tt.want {
			t.Errorf("%d / %d is %v, want %q", tt.collateral, tt.supply, got, tt.want)
		}
	}
}
