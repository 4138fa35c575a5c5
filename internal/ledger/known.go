package ledger

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// maxKnown bounds how many accounts are known, at about 200 bytes each.
	maxKnown = 1 << 14
	// maxDoubt bounds for how many groups nothing is assumed after an assumption was wrong.
	maxDoubt = 64
)

// known are accounts as the groups of one worker left them. While nobody else writes to an account, they need not be read again, nor locked before
// it is written to; whether that is so, Postgres says when they are written: it refuses a group whose accounts are not at the versions that were assumed.
// The groups that follow such a refusal read what they need, the more of them, the more often it happens.
type known struct {
	accounts map[uuid.UUID]*balance
	// turn counts the groups for which accounts were looked up.
	turn uint64
	// through is the server's process behind the connection on which they were seen.
	through uint32
	// doubt is how many groups nothing is assumed for, and caution, for how many that will be the next time.
	doubt, caution int
}

func newKnown() *known { return &known{accounts: make(map[uuid.UUID]*balance)} }

// keep takes the accounts of an application as it left them.
func (k *known) keep(a *application) {
	for _, n := range a.book.involved {
		if n.version != n.committed {
			n.postedAt = a.book.at
		}
		n.committed = n.version
		k.accounts[n.id] = n
	}
	for id := range k.accounts {
		if len(k.accounts) <= maxKnown {
			break
		}
		delete(k.accounts, id)
	}
}

// forget is for when it is not known how a group left its accounts.
func (k *known) forget() { clear(k.accounts) }

// throughConn says on which connection the next groups go. Another one may be to another server, which need not have all that was committed on the one before.
func (k *known) throughConn(pid uint32) {
	if k.through != pid {
		k.forget()
		k.through = pid
	}
}

// wrong is for when Postgres refused a group that was assumed: somebody else writes to its accounts, or a call was made again.
func (k *known) wrong() {
	k.forget()
	k.mistaken()
}

// mistaken is for when it cost more to assume, or to prepare for it, than it saved.
func (k *known) mistaken() {
	k.caution = min(2*k.caution+1, maxDoubt)
	k.doubt = k.caution
}

// trusted tells whether a group may be assumed, and counts it.
func (k *known) trusted() bool {
	if k.doubt > 0 {
		k.doubt--
		return false
	}
	return true
}

// right says that an assumption was right.
func (k *known) right() { k.caution -= min(k.caution, 1) }

// order is places in the journal, drawn behind the commit of a group for the one that follows, and the clock at that time.
type order struct {
	now  time.Time
	seqs []int64
}

func (o *order) scan(row pgx.Row) error { return row.Scan(&o.now, &o.seqs) }

// assume takes the accounts of an application to be as they are known, instead of reading them. It tells whether that can be done: they are known, no rule of a feature
// is asked, and there are enough places. The places were drawn after whatever is known was: the order of the journal is that of the versions.
func (a *application) assume(k *known, o *order) bool {
	k.turn++
	drawn := 0
	for _, u := range a.units {
		for _, c := range u {
			if drawn++; drawn > len(o.seqs) || c.Step != nil || c.Settles {
				return false
			}
			for i := range c.Moves {
				for _, id := range [2]uuid.UUID{c.Moves[i].From, c.Moves[i].To} {
					n, ok := k.accounts[id]
					if !ok {
						return false
					}
					if n.turn != k.turn {
						n.turn = k.turn
						a.book.involved = append(a.book.involved, n)
					}
				}
			}
		}
	}
	for _, n := range a.book.involved {
		if n.postedAt.After(a.book.at) {
			a.book.at = n.postedAt
		}
	}
	a.assumed, a.book.accounts = true, k.accounts
	a.take(o)
	return true
}

// take gives an application its time, never before that of an earlier posting to any of its accounts, and its places in the journal.
func (a *application) take(o *order) {
	a.seqs, a.book.at = o.seqs, a.book.at.UTC()
	if now := o.now.UTC().Truncate(time.Microsecond); now.After(a.book.at) {
		a.book.at = now
	}
}
