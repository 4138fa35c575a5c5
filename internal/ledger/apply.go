package ledger

import (
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/leaf"
)

// unit is commands of which either all take effect or none does.
type unit []*Command

// application is one group of units on its way through the database, in two round trips, or in one where its accounts are known.
type application struct {
	units []unit
	// verdicts are in the order of the units' commands.
	verdicts []Verdict
	book     Book
	seqs     []int64
	// hits are where the journal has the digests of the units already.
	hits []int64
	// found has what is in the journal already under the digests of the units, and usedUp the digests that something outside
	// of the journal was made with.
	found    map[uuid.UUID]*Transaction
	usedUp   []uuid.UUID
	accepted []*Transaction
	steps    []pendingStep
	// identities are how accounts stand in the log, as every application of this process has found them.
	identities *identities
	// bundle has the log's entries of what was accepted, and entered their leaf hashes.
	bundle  []byte
	entered *leaf.Group
	// assumed says that nothing was read: its accounts are taken to be as they are known. It is cut short by the first command that would be refused by that.
	assumed, cut bool
	// committed says that the database has answered the commit.
	committed bool
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

// newApplication begins to apply units. Applications are the only writers of the journal. Each locks every account of its units in the order of their ids,
// and then draws the order of the journal (read), or takes its accounts to be as they are known (assume); it decides each unit in its turn (decide); and it writes the
// journal, the balances and the features' rows, and commits (write). The verdict of a unit that must wait for the next application is errPostponed.
func newApplication(known *identities, units []unit) *application {
	return &application{units: units, claimed: make(map[uuid.UUID]string), identities: known, entered: &leaf.Group{}}
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
	a.verdicts = make([]Verdict, 0, countCommands(a.units))
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
	if a.cut || a.mustWait(c) {
		return Verdict{Err: errPostponed}, false
	}
	t, err := a.book.decide(c, seq)
	if err != nil && a.assumed { // Somebody is refused only for what is so, and those who come later wait with him.
		a.cut, err = true, errPostponed
	}
	return Verdict{Transaction: t, Err: err}, err == nil
}

// postponed tells whether any unit waits for the next application.
func (a *application) postponed() bool {
	return slices.ContainsFunc(a.verdicts, func(v Verdict) bool { return errors.Is(v.Err, errPostponed) })
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
