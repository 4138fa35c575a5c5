package ledger

import "github.com/jackc/pgx/v5"

// Reads is what the steps of one group read in the first round trip.
type Reads struct {
	batch    *pgx.Batch
	once     map[any]any
	together []Questions
}

// Queue queues a read of one step, as [pgx.Batch.Queue] does.
func (r *Reads) Queue(sql string, args ...any) *pgx.QueuedQuery { return r.batch.Queue(sql, args...) }

// ReadOnce calls queue for the first step of a group that asks for key, and gives each further one the same result. The
// result is filled by the callbacks of what queue queued, before any step decides. Steps do not change it.
func ReadOnce[T any](r *Reads, key any, queue func(*Reads) T) T {
	if kept, ok := r.once[key]; ok {
		return kept.(T) //nolint:forcetypeassert // the same key is used for the same type: else it is a defect, which fails alone
	}
	kept := queue(r)
	r.once[key] = kept
	return kept
}

// Questions are what several steps ask of one table, and one statement answers.
type Questions interface {
	// Queue queues that statement. It is called once, after every step has had its Read.
	Queue(r *Reads)
}

// ReadTogether returns the questions that the steps of a group ask together under key, those of begin for the first of them. What each
// step adds to them is answered as that of ReadOnce is.
func ReadTogether[T Questions](r *Reads, key any, begin func() T) T {
	return ReadOnce(r, key, func(r *Reads) T {
		q := begin()
		r.together = append(r.together, q)
		return q
	})
}

func (r *Reads) queueQuestions() {
	for i := 0; i < len(r.together); i++ { // What queues its questions may have some of its own.
		r.together[i].Queue(r)
	}
}

// Writes is what the steps of one group write beside the journal, in the second round trip.
type Writes struct {
	batch *pgx.Batch
	once  map[any]Rows
	order []Rows
}

// Queue queues a statement of one step, as [pgx.Batch.Queue] does. It runs after the journal and the balances are written.
func (w *Writes) Queue(sql string, args ...any) *pgx.QueuedQuery { return w.batch.Queue(sql, args...) }

// Rows are rows of several steps that one statement writes.
type Rows interface {
	// Queue queues that statement. It is called once, after every step has had its Write.
	Queue(b *pgx.Batch)
}

// WriteOnce returns the rows that the steps of a group write together under key, those of begin for the first of them.
func WriteOnce[T Rows](w *Writes, key any, begin func() T) T {
	if kept, ok := w.once[key]; ok {
		return kept.(T) //nolint:forcetypeassert // as in ReadOnce
	}
	rows := begin()
	w.once[key] = rows
	w.order = append(w.order, rows)
	return rows
}

func (w *Writes) queueRows() {
	for _, rows := range w.order {
		rows.Queue(w.batch)
	}
}
