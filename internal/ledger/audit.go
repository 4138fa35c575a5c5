package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	// auditRest is how many times as long as an audit took its findings are reused: auditing takes at most a twentieth of a core,
	// and a small ledger is as good as always audited afresh.
	auditRest = 20
	// auditTimeout ends an audit that does not end by itself.
	auditTimeout = 30 * time.Minute
)

// Audit is what was found in one snapshot.
type Audit struct {
	// Checks name the snapshot in their details.
	Checks []Check
	// Seq is the last of the journal that was read, and At when.
	Seq int64
	At  time.Time
}

// Auditor recomputes the invariants of the whole journal when somebody asks, at a cost that stays small however large the
// journal grows and however many ask. It may be used from many goroutines.
type Auditor struct {
	pool   *pgxpool.Pool
	logger *slog.Logger
	checks []CheckFunc

	mu sync.Mutex
	// last is nil until an audit has ended well.
	last *Audit
	// rested is when the next one may begin.
	rested time.Time
	// running is closed when the audit under way ends; nil while there is none.
	running chan struct{}
}

// CheckFunc recomputes invariants, as CheckJournal does.
type CheckFunc func(ctx context.Context, db Querier) ([]Check, error)

// NewAuditor returns an auditor of the journal that pool reaches, which has not read anything yet. It makes the checks of
// CheckJournal, and others that are as dear.
func NewAuditor(pool *pgxpool.Pool, logger *slog.Logger, others ...CheckFunc) *Auditor {
	return &Auditor{pool: pool, logger: logger, checks: append([]CheckFunc{CheckJournal}, others...)}
}

// Findings returns the newest findings that there are within patience. It begins an audit if the last one is old enough, and
// all who ask meanwhile share it; it goes on when they leave. While none has ended yet, Findings returns nil.
func (a *Auditor) Findings(ctx context.Context, patience time.Duration) *Audit {
	if running := a.begin(ctx); running != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-running:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// begin returns what is closed at the end of the audit under way, or nil while the last one's findings are good enough.
func (a *Auditor) begin(ctx context.Context) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running == nil && time.Now().After(a.rested) {
		a.running = make(chan struct{})
		go a.run(context.WithoutCancel(ctx))
	}
	return a.running
}

func (a *Auditor) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	began := time.Now()
	found, err := a.audit(ctx)
	if err != nil {
		a.logger.ErrorContext(ctx, "the audit of the journal failed", slog.Any("error", err))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.last = found
	}
	a.rested = time.Now().Add(auditRest * time.Since(began))
	close(a.running)
	a.running = nil
}

// RunChecks makes several checks, one after another.
func RunChecks(ctx context.Context, db Querier, checks ...CheckFunc) ([]Check, error) {
	var all []Check
	for _, check := range checks {
		found, err := check(ctx, db)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (a *Auditor) audit(ctx context.Context) (*Audit, error) {
	var found *Audit
	err := pg.InTx(ctx, a.pool, Snapshot, func(tx pgx.Tx) (err error) {
		found = &Audit{}
		const read = `SELECT COALESCE((SELECT max(seq) FROM transactions), 0), ballast_now() FROM set_config('statement_timeout', '0', true)`
		if err := tx.QueryRow(ctx, read).Scan(&found.Seq, &found.At); err != nil {
			return err
		}
		found.Checks, err = RunChecks(ctx, tx, a.checks...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit the journal: %w", err)
	}
	found.At = found.At.UTC()
	for i := range found.Checks {
		c := &found.Checks[i]
		c.Detail = fmt.Sprintf("%s (read up to seq %d at %s)", c.Detail, found.Seq, found.At.Format(time.RFC3339))
	}
	return found, nil
}
