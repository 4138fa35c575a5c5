package ledger

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/leaf"
)

// unit is commands of which either all take effect or none does.
type unit []*Command

// application is one group of units on its way through the database, in two round trips.
type application struct {
	units []unit
	// verdicts are in the order of the units' commands.
	verdicts []Verdict
	book     Book
	seqs     []int64
	now      time.Time
	// found has what is in the journal already under the digests of the units, and usedUp the digests that something outside
	// of the journal was made with.
	found    map[uuid.UUID]*Transaction
	usedUp   []uuid.UUID
	accepted []*Transaction
	steps    []pendingStep
	// identities are how accounts stand in the log, as every application of this process has found them; identified, those of this one's.
	identities *identities
	identified map[uuid.UUID]*leaf.Account
	// bundle has the log's entries of what was accepted, and entered their leaf hashes.
	bundle  []byte
	entered *leaf.Group
	// seal is called with entered once all is on its way to the database, until whose answer there is nothing else to do.
	seal func(*leaf.Group)
	// claimed has what the accepted commands rely on, and as what.
	claimed map[uuid.UUID]string
}

type pendingStep struct {
	step Step
	at   *Transaction
}

// phase says how far an application got, which decides what an error of the connection means.
type phase int

const (
	phaseReading phase = iota
	phaseWriting
)

// applyError is an error of the database, and the phase in which it came.
type applyError struct {
	phase phase
	err   error
}

func (e *applyError) Error() string { return e.err.Error() }
func (e *applyError) Unwrap() error { return e.err }

// apply is the only writer of the journal. It locks every account of the units in the order of their ids, and then draws
// the order of the journal; it decides each unit in its turn; and it writes the journal, the balances and the features'
// rows. It begins and commits the database transaction within its two round trips.
// The verdict of a unit that must wait for the next application is errPostponed.
func apply(ctx context.Context, conn *pgxpool.Conn, known *identities, seal func(*leaf.Group), units []unit) ([]Verdict, error) {
	a := &application{units: units, claimed: make(map[uuid.UUID]string), identities: known, seal: seal, entered: &leaf.Group{}}
	if err := a.read(ctx, conn); err != nil {
		return nil, &applyError{phase: phaseReading, err: err}
	}
	a.decide()
	if err := a.write(ctx, conn); err != nil {
		return nil, &applyError{phase: phaseWriting, err: err}
	}
	return a.verdicts, nil
}

// again applies the units that were postponed, by a call of next, and puts their verdicts in place.
func again(units []unit, verdicts []Verdict, next func([]unit) []Verdict) []Verdict {
	var postponed []unit
	var places []int
	at := 0
	for _, u := range units {
		if errors.Is(verdicts[at].Err, errPostponed) {
			postponed, places = append(postponed, u), append(places, at)
		}
		at += len(u)
	}
	if len(postponed) == 0 {
		return verdicts
	}
	rest := next(postponed)
	for i, u := range postponed {
		copy(verdicts[places[i]:], rest[:len(u)])
		rest = rest[len(u):]
	}
	return verdicts
}

// decide gives every command its verdict, in the order in which they came.
func (a *application) decide() {
	drawn := 0
	for _, u := range a.units {
		drawn += a.decideUnit(u, a.seqs[drawn:])
	}
}

// decideUnit decides the commands of one unit and returns how many places of the journal it used.
func (a *application) decideUnit(u unit, seqs []int64) int {
	first, firstAccepted, firstStep := len(a.verdicts), len(a.accepted), len(a.steps)
	used := 0
	failed := -1
	for i, c := range u {
		v, fresh := a.decideCommand(c, seqs[used])
		if fresh {
			used++
			v.Entry = leaf.Place{Group: a.entered, Index: len(a.accepted)}
			a.accepted = append(a.accepted, v.Transaction)
			if c.Step != nil {
				a.steps = append(a.steps, pendingStep{step: c.Step, at: v.Transaction})
			}
			for _, claim := range c.claims() {
				a.claimed[claim.On] = claim.As
			}
		}
		a.verdicts = append(a.verdicts, v)
		if v.Err != nil && len(u) > 1 {
			failed = i
			break
		}
	}
	if failed >= 0 {
		a.book.rollback(0)
		a.accepted, a.steps = a.accepted[:firstAccepted], a.steps[:firstStep]
		culprit := a.verdicts[first+failed]
		a.verdicts = a.verdicts[:first]
		for i := range u {
			if i == failed || errors.Is(culprit.Err, errPostponed) {
				a.verdicts = append(a.verdicts, culprit)
			} else {
				a.verdicts = append(a.verdicts, Verdict{Err: ErrBatchAborted})
			}
		}
		used = 0
	}
	a.book.settled()
	return used
}

// decideCommand returns a command's verdict, and whether its transaction is fresh: not in the journal yet. One that is there
// already is a replay, unless the command itself put it there by a COMMIT whose answer was lost.
func (a *application) decideCommand(c *Command, seq int64) (v Verdict, fresh bool) {
	if t, ok := a.found[c.Digest]; ok {
		if t.request != c.Request {
			return Verdict{Err: idempotency.ErrReused}, false
		}
		return Verdict{Transaction: t, Replayed: t.ID != c.id}, false
	}
	if slices.Contains(a.usedUp, c.Digest) {
		return Verdict{Err: idempotency.ErrReused}, false
	}
	if a.mustWait(c) {
		return Verdict{Err: errPostponed}, false
	}
	t, err := a.book.decide(c, seq)
	return Verdict{Transaction: t, Err: err}, err == nil
}

// errPostponed is the verdict of a command that waits for the next application: what its step has read is no longer so.
var errPostponed = errors.New("ledger: postponed")

// mustWait tells whether an earlier command of this application changed what the command relies on.
func (a *application) mustWait(c *Command) bool {
	return slices.ContainsFunc(c.claims(), func(claim Claim) bool {
		as, taken := a.claimed[claim.On]
		return taken && (as == "" || as != claim.As)
	})
}
