package providers_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// A class of which too few sources tell the price mints for a time, and then no more, while others go on.
func TestAThinIndexStopsMints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	well, thin := w.active(h100, 10*hour, "0"), w.active(mi300, 10*hour, "0")
	var since time.Time
	if err := w.App.QueryRow(t.Context(), `SELECT stale_since FROM index_values WHERE gpu_class = $1`, mi300).Scan(&since); err != nil {
		t.Fatal(err)
	}
	clock := pgtest.NewClock(t, w.Database, time.Now())
	limit := anchor.DefaultIndexPolicy().MintStopAfter
	for _, tc := range []struct {
		at   time.Time
		want error
	}{{since.Add(limit), nil}, {since.Add(limit + time.Microsecond), anchor.ErrIndexStale}} {
		clock.Set(tc.at)
		if _, err := anchor.UpdateIndex(t.Context(), w.App, anchor.DefaultIndexPolicy()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.mint(thin.ID, hour); !errors.Is(err, tc.want) {
			t.Errorf("thin since %s, at %s: %v, want %v", since, tc.at, err, tc.want)
		}
		if _, err := w.mint(well.ID, hour); err != nil {
			t.Errorf("a class with a fresh index, at %s: %v", tc.at, err)
		}
	}
	w.sound()
}

func TestNothingIsMintedWithoutAnIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0")
	w.tamper(`DELETE FROM index_values`)
	if _, err := w.mint(p.ID, hour); !errors.Is(err, anchor.ErrIndexStale) {
		t.Errorf("%v", err)
	}
}
