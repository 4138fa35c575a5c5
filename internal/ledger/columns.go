package ledger

import (
	"bytes"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/pg"
)

// uuids are UUIDs in order, as Postgres has it.
type uuids [][16]byte

// column returns them as a parameter.
func (u uuids) column() *pg.UUIDs {
	c := &pg.UUIDs{}
	for _, id := range u {
		c.Add(id)
	}
	return c
}

// journal is the columns that writeJournalSQL writes: they are most of what the write path sends.
type journal struct {
	transactions struct {
		seq, reverses                               pg.BigInts
		id, caller, digest, request, subject, epoch pg.UUIDs
		lines                                       pg.SmallInts
		kind, reference, metadata, details          pg.Texts
	}
	postings struct {
		seq, amount, fromBalance, fromVersion, toBalance, toVersion pg.BigInts
		line                                                        pg.SmallInts
		from, to                                                    pg.UUIDs
		asset                                                       pg.Texts
	}
	accounts struct {
		id                       pg.UUIDs
		debits, credits, version pg.BigInts
	}
}

// journals has room for the columns of groups, from one to the next.
var journals = sync.Pool{New: func() any { return &journal{} }}

// parameters returns those of writeJournalSQL from its second on.
func (j *journal) parameters() []any {
	t, p, a := &j.transactions, &j.postings, &j.accounts
	return []any{
		&t.seq, &t.id, &t.kind, &t.lines, &t.caller, &t.digest, &t.request, &t.subject, &t.epoch, &t.reverses, &t.reference, &t.metadata, &t.details,
		&p.seq, &p.line, &p.from, &p.to, &p.asset, &p.amount, &p.fromBalance, &p.fromVersion, &p.toBalance, &p.toVersion,
		&a.id, &a.debits, &a.credits, &a.version,
	}
}

// fill replaces what is in the columns by an application's rows, and returns the statement that writes them.
func (j *journal) fill(a *application) (statement string) {
	for _, c := range j.parameters() {
		c.(interface{ Reset() }).Reset() //nolint:forcetypeassert // each is a column
	}
	for _, n := range a.changed() {
		j.accounts.id.Add(n.id)
		j.accounts.debits.Add(n.debits)
		j.accounts.credits.Add(n.credits)
		j.accounts.version.Add(n.version)
	}
	if alike(a.accepted) {
		first := a.accepted[0]
		j.addKind(first)
		j.addLine(0, first.Postings[0].Asset)
		for _, t := range a.accepted {
			j.addTransaction(t)
			j.addPosting(t.Seq, &t.Postings[0])
		}
		return writeAlikeSQL
	}
	for _, t := range a.accepted {
		j.addKind(t)
		j.addTransaction(t)
		j.addDescription(t)
		for line := range t.Postings {
			j.addLine(line, t.Postings[line].Asset)
			j.addPosting(t.Seq, &t.Postings[line])
		}
	}
	return writeJournalSQL
}

// alike tells whether transactions are of one kind, of one posting of one asset each, and nothing more is said of any.
func alike(transactions []*Transaction) bool {
	first := transactions[0]
	for _, t := range transactions {
		if t.Kind != first.Kind || len(t.Postings) != 1 || t.Postings[0].Asset != first.Postings[0].Asset ||
			t.Subject != uuid.Nil || t.Epoch != uuid.Nil || t.Reverses != 0 || t.Reference != "" || len(t.Metadata) > 0 || len(t.Details) > 0 {
			return false
		}
	}
	return true
}

func (j *journal) addKind(t *Transaction) {
	j.transactions.kind.Add(string(t.Kind))
	j.transactions.lines.Add(int16(len(t.Postings))) //nolint:gosec // a transaction has few lines
}

func (j *journal) addTransaction(t *Transaction) {
	c := &j.transactions
	c.seq.Add(t.Seq)
	c.id.Add(t.ID)
	c.caller.Add(t.Caller)
	c.digest.Add(t.digest)
	c.request.Add(t.request)
}

func (j *journal) addDescription(t *Transaction) {
	c := &j.transactions
	addUUID(&c.subject, t.Subject)
	addUUID(&c.epoch, t.Epoch)
	if t.Reverses == 0 {
		c.reverses.Null()
	} else {
		c.reverses.Add(t.Reverses)
	}
	addText(&c.reference, t.Reference)
	addText(&c.metadata, string(t.Metadata))
	addText(&c.details, string(t.Details))
}

func (j *journal) addLine(line int, asset string) {
	j.postings.line.Add(int16(line)) //nolint:gosec // a transaction has few lines
	j.postings.asset.Add(asset)
}

func (j *journal) addPosting(seq int64, p *Posting) {
	c := &j.postings
	c.seq.Add(seq)
	c.from.Add(p.From)
	c.to.Add(p.To)
	c.amount.Add(p.Amount)
	c.fromBalance.Add(p.FromBalance)
	c.fromVersion.Add(p.FromVersion)
	c.toBalance.Add(p.ToBalance)
	c.toVersion.Add(p.ToVersion)
}

func addUUID(c *pg.UUIDs, v uuid.UUID) {
	if v == uuid.Nil {
		c.Null()
		return
	}
	c.Add(v)
}

func addText(c *pg.Texts, v string) {
	if v == "" {
		c.Null()
		return
	}
	c.Add(v)
}

// changed returns the accounts that the application changes, in the order of their ids: what was not locked before is locked in that order.
func (a *application) changed() []*balance {
	changed := make([]*balance, 0, len(a.book.involved))
	for _, n := range a.book.involved {
		if n.version != n.committed {
			changed = append(changed, n)
		}
	}
	slices.SortFunc(changed, func(x, y *balance) int { return bytes.Compare(x.id[:], y.id[:]) })
	return changed
}

// sortedUnique orders ids as Postgres does, so that every group locks in the same order.
func sortedUnique(ids uuids) uuids {
	slices.SortFunc(ids, func(x, y [16]byte) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(ids)
}
