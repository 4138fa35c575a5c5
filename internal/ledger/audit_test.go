package ledger_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func TestAuditIsSharedAndReused(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	a := ledger.NewAuditor(pgtest.New(t).App, slog.New(slog.DiscardHandler), func(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
		runs.Add(1)
		_, err := db.Exec(ctx, `SELECT pg_sleep(0.2)`) // It then rests for four seconds.
		return []ledger.Check{{Name: "other", OK: true, Detail: "slow"}}, err
	})
	var asked sync.WaitGroup
	for range 20 {
		asked.Go(func() {
			found := a.Findings(t.Context(), time.Minute)
			if found == nil || len(found.Checks) < 6 || found.Checks[len(found.Checks)-1].Name != "other" {
				t.Errorf("the findings are %+v", found)
				return
			}
			for _, c := range found.Checks {
				if !c.OK || !strings.Contains(c.Detail, "read up to seq 0 at ") {
					t.Errorf("a check says %+v", c)
				}
			}
		})
	}
	asked.Wait()
	a.Findings(t.Context(), time.Minute)
	if n := runs.Load(); n != 1 {
		t.Errorf("the journal was read %d times", n)
	}
}

// While the first audit is under way nobody waits for longer than they want, and what it finds later is kept.
func TestAuditUnderWayHasNoFindings(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	a := ledger.NewAuditor(pgtest.New(t).App, slog.New(slog.DiscardHandler), func(context.Context, ledger.Querier) ([]ledger.Check, error) {
		<-held
		return nil, nil
	})
	if found := a.Findings(t.Context(), 10*time.Millisecond); found != nil {
		t.Errorf("there are findings already: %+v", found)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if found := a.Findings(gone, time.Hour); found != nil {
		t.Errorf("there are findings already: %+v", found)
	}
	close(held)
	if found := a.Findings(t.Context(), time.Minute); found == nil {
		t.Error("the audit was lost when the one who asked for it left")
	}
}

// An audit that failed is not taken for one that found nothing wrong, and is not tried again at once.
func TestFailedAuditHasNoFindings(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	a := ledger.NewAuditor(pgtest.New(t).App, slog.New(slog.DiscardHandler), func(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
		runs.Add(1)
		_, err := db.Exec(ctx, `SELECT pg_sleep(0.1)`)
		return nil, errors.Join(err, errors.New("boom"))
	})
	for range 3 {
		if found := a.Findings(t.Context(), time.Minute); found != nil {
			t.Errorf("there are findings: %+v", found)
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("it was tried %d times", n)
	}
}
