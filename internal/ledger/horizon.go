package ledger

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxMarks bounds how many marks wait at once. While a writer does not end, later marks would wait for it as well.
const maxMarks = 32

const (
	// A sequence is not a row that snapshots see: this is the last value that anybody has drawn, committed or not.
	lastDrawnSQL = `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_seq`

	// nextval() takes this lock before it draws, and keeps it until its transaction has ended for all who look. Nobody else takes it.
	// pg_locks shows it to everybody, and in the order in which things happen, whatever the reader's snapshot.
	drawersSQL = `
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'journal_seq'::regclass AND mode = 'RowExclusiveLock'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
)

// Horizon tells up to which seq everything that will ever be in the journal, and in the tables that share its order, is there to be
// read. Transactions commit in another order than they draw seq in, and some that drew one roll back; whoever reads what is new in the
// order of seq reads up to the horizon, and so never passes over a transaction that commits later.
//
// Each process has its own, in memory: a mark is the last seq that was drawn at some moment, with the transactions that had drawn one
// and had not ended. When all of those have ended, the horizon is the mark. It depends on nothing else that goes on in the
// database, and on no clock. It may be used from many goroutines.
type Horizon struct {
	pool *pgxpool.Pool

	mu    sync.Mutex
	seq   int64
	marks []mark
}

// mark is a seq that becomes the horizon once its drawers have ended.
type mark struct {
	seq     int64
	drawers []string
	// made is when, by this process's clock.
	made time.Time
}

// NewHorizon returns a horizon of the database of pool, which is 0 until it is moved.
func NewHorizon(pool *pgxpool.Pool) *Horizon { return &Horizon{pool: pool} }

// Seq returns the horizon as it was last found.
func (h *Horizon) Seq() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seq
}

// Lag returns for how long what this process has seen drawn has not been reached, as of the last Move; 0 where nothing waits. It grows while a
// transaction that has drawn a seq does not end. It is for those who watch: nothing is decided by it.
func (h *Horizon) Lag() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.marks) == 0 {
		return 0
	}
	return time.Since(h.marks[0].made)
}

// Move looks how far the horizon has come, and returns it. It never goes back. While transactions that have drawn a seq are under way, it
// takes another call, after they have ended, to see beyond them.
func (h *Horizon) Move(ctx context.Context) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	drawn, drawers, err := h.look(ctx)
	if err != nil {
		return h.seq, fmt.Errorf("ledger: move the horizon: %w", err)
	}
	h.add(drawn, drawers)
	h.pass(drawers)
	return h.seq, nil
}

// look reads the last seq first, and only then who has drawn: whoever drew up to it, and has not ended, is among them.
func (h *Horizon) look(ctx context.Context) (drawn int64, drawers []string, err error) {
	b := &pgx.Batch{}
	b.Queue(lastDrawnSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&drawn) })
	b.Queue(drawersSQL).Query(func(rows pgx.Rows) error {
		drawers, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	err = h.pool.SendBatch(ctx, b).Close()
	return drawn, drawers, err
}

// add notes a mark, unless it is no news or too many wait.
func (h *Horizon) add(drawn int64, drawers []string) {
	if drawn <= h.seq || len(h.marks) == maxMarks {
		return
	}
	if n := len(h.marks); n > 0 && h.marks[n-1].seq == drawn {
		return
	}
	h.marks = append(h.marks, mark{drawn, slices.Clone(drawers), time.Now()})
}

// pass takes from the marks the drawers that have ended, and moves the horizon to the last mark that has none left.
func (h *Horizon) pass(drawing []string) {
	passed := 0
	for i := range h.marks {
		m := &h.marks[i]
		m.drawers = slices.DeleteFunc(m.drawers, func(d string) bool { return !slices.Contains(drawing, d) })
		if len(m.drawers) == 0 {
			h.seq, passed = m.seq, i+1
		}
	}
	h.marks = slices.Delete(h.marks, 0, passed)
}
