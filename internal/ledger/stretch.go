package ledger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// longestStretch is how many groups follow one another on one connection before the pool may replace it.
	longestStretch = 1000
	// rollbackTimeout bounds a rollback, for which others wait: past it the connection is closed, which rolls back too.
	rollbackTimeout = 250 * time.Millisecond
)

// errMistaken is the error of a group that was refused since what it assumed was not so: it is tried again by what is.
var errMistaken = errors.New("ledger: a group was assumed wrongly")

// stretch is groups of one worker that follow one another on one connection, for as long as commands wait.
type stretch struct {
	w    *writer
	conn *pgxpool.Conn
	// known are the accounts as the worker's groups left them.
	known *known
	// drawn is what was drawn behind the last commit, in a transaction that has begun there; nil, if none has.
	drawn *order
	// untold is a group that was committed, and whose callers have not been told yet.
	untold *group
}

// run commits a group, and those that wait behind it meanwhile.
func (w *writer) run(g *group, k *known) {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	s := &stretch{w: w, conn: conn, known: k}
	if err != nil {
		s.fail(g, &applyError{phase: phaseReading, err: err}, false)
		return
	}
	k.throughConn(conn.Conn().PgConn().PID())
	for n := 1; g != nil && s.conn != nil; n++ {
		g = s.next(g, n < longestStretch)
	}
	if s.drawn != nil { // Before anybody is told, so that the horizon does not wait for it when he looks.
		s.rollback()
	}
	s.tell()
	s.release()
}

// next brings a group to its verdicts, and returns the one that follows on the same connection, if there is one.
func (s *stretch) next(g *group, more bool) *group {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	a, err := s.begin(ctx, g)
	if err != nil {
		s.fail(g, &applyError{phase: phaseReading, err: err}, false)
		return nil
	}
	drawn, err := s.write(ctx, a, g, more)
	s.tell()
	switch {
	case a.committed && err != nil: // What failed came behind the commit.
		s.w.opts.Logger.Warn("what was sent behind a commit failed", errorAttr(err))
		s.known.mistaken()
		s.drop()
		s.settle(g, a)
		return nil
	case a.committed:
		s.drawn = drawn
		s.settle(g, a)
	case a.assumed && refused(err) && s.rollback():
		s.known.wrong()
		s.w.observe(func(o Observer) { o.Assumed(false) })
		return g // It is read now.
	case a.assumed && refused(err):
		s.fail(g, &applyError{phase: phaseReading, err: errMistaken}, false)
		return nil
	default:
		s.fail(g, &applyError{phase: phaseWriting, err: err}, a.assumed)
		return nil
	}
	if drawn == nil {
		return nil
	}
	return s.w.gather(s.w.another(), len(drawn.seqs))
}

// begin returns the application of a group as it is to be decided: by what is known of its accounts, where that will do, or by what it has read.
func (s *stretch) begin(ctx context.Context, g *group) (*application, error) {
	drawn := s.drawn
	s.drawn = nil
	if drawn != nil {
		if a := newApplication(s.w.identities, g.units); a.assume(s.known, drawn) {
			return a, nil
		}
		if g.commands <= len(drawn.seqs) { // Else its last unit was larger than what was drawn for it.
			s.known.mistaken()
		}
		s.tell() // What is read may have to wait for a lock.
	}
	a := newApplication(s.w.identities, g.units)
	return a, safely(func() error { return a.read(ctx, s.conn, drawn != nil) })
}

// expected is how many commands may be in the group that comes next: those that wait, and as many as are told once this one is sent, since whoever is told asks
// again while others are busy.
func (s *stretch) expected() int {
	n := int(s.w.waiting.Load())
	if s.untold != nil {
		n += s.untold.commands
	}
	return n
}

// write decides an application and sends what it writes. Behind its commit goes the beginning of the transaction that comes next, if more may come and is expected: as
// the callers of the group before are told only once this one is sent, they do not keep it from being sent.
func (s *stretch) write(ctx context.Context, a *application, g *group, more bool) (drawn *order, err error) {
	err = safely(func() error {
		a.decide()
		var behind *pgx.Batch
		if next := s.expected(); more && next > 0 && !a.postponed() && s.known.trusted() {
			behind, drawn = &pgx.Batch{}, &order{}
			queueBegin(behind)
			behind.Queue(drawOrderSQL, min(s.w.opts.MaxBatch, max(next, g.commands))).QueryRow(drawn.scan)
		}
		return a.write(ctx, s.conn, behind, func() {
			s.w.sealed(a.entered)
			s.tell()
		})
	})
	return drawn, err
}

// settle gives a group that was committed its verdicts, by trying again what was postponed. A worker has one connection at a time, and that takes another.
func (s *stretch) settle(g *group, a *application) {
	s.known.keep(a)
	if a.assumed {
		s.known.right()
		s.w.observe(func(o Observer) { o.Assumed(true) })
	}
	g.verdicts = a.verdicts
	if a.postponed() {
		if a.assumed {
			s.known.mistaken()
		}
		s.release()
		g.verdicts = again(g.units, a.verdicts, s.w.resolve)
		s.known.forget()
	}
	s.untold = g
}

// tell tells the callers of the group that was committed last.
func (s *stretch) tell() {
	if g := s.untold; g != nil {
		s.untold = nil
		s.w.finish(g)
	}
}

// fail gives up the connection, and brings a group to its verdicts on others. What was assumed and sent holds no locks for which these would wait: if it was lost, it may
// come to the database yet, and find an account open again that is frozen now. Nobody is told then that nothing has changed.
func (s *stretch) fail(g *group, err error, assumed bool) {
	s.tell()
	s.drop()
	s.known.forget()
	ctx, cancel := context.WithDeadline(context.Background(), g.began.Add(s.w.opts.CommitBudget))
	defer cancel()
	failed := func(context.Context, []unit) ([]Verdict, error) { return nil, err }
	g.verdicts = s.w.resolveWithin(ctx, g.units, false, failed)
	if assumed && outcomeOf(err) == outcomeUnknown {
		for i := range g.verdicts {
			if v := &g.verdicts[i]; errors.Is(v.Err, ErrAccountFrozen) || errors.Is(v.Err, ErrBatchAborted) {
				v.Err = ErrOutcomeUnknown
			}
		}
	}
	s.w.finish(g)
}

// rollback ends the transaction that has begun, and tells whether it could.
func (s *stretch) rollback() bool {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	s.drawn = nil
	if _, err := s.conn.Exec(ctx, "rollback"); err != nil {
		s.drop()
		return false
	}
	return true
}

// release gives the connection back, if there is one.
func (s *stretch) release() {
	if s.conn != nil {
		s.conn.Release()
		s.conn = nil
	}
}

// drop closes the connection, if there is one.
func (s *stretch) drop() {
	if s.conn != nil {
		s.w.drop(context.Background(), s.conn)
		s.conn = nil
	}
}

// refused tells whether an error is Postgres's word that it has rolled back what it was sent.
func refused(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && !transient(pgErr)
}

// finish tells the callers of a group its verdicts.
func (w *writer) finish(g *group) {
	verdicts := g.verdicts
	for _, it := range g.items {
		it.verdict, verdicts = verdicts[:len(it.unit):len(it.unit)], verdicts[len(it.unit):]
		w.observe(func(o Observer) {
			for i, c := range it.unit {
				o.Decided(c.Kind, it.verdict[i].Err)
			}
		})
		w.leave(it.unit)
		close(it.done)
	}
	took := time.Since(g.began)
	w.measure(took)
	w.observe(func(o Observer) { o.Committed(g.commands, g.began.Sub(g.items[0].queued), took) })
	w.taken.Add(int64(-g.commands))
}

// observe tells the observer something. Groups are told while the next one is on its way: its panic is not one of that.
func (w *writer) observe(tell func(Observer)) {
	defer func() {
		if p := recover(); p != nil {
			w.opts.Logger.Error("observing the write path panicked", slog.Any("panic", p))
		}
	}()
	tell(w.opts.Observer)
}
