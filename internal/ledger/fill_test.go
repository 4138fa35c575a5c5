package ledger_test

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// A journal that is older than the log gets the very entries that the write path would have made.
func TestThePastGetsItsEntries(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(1000)), b.account(0)
	for range 3 {
		transfers := make([]*ledger.Transfer, 700)
		for i := range transfers {
			transfers[i] = transfer(alice, bob, 1)
		}
		b.TransferBatch(t.Context(), transfers, false)
	}
	want := b.entries()
	b.exec(`SET session_replication_role = replica; DELETE FROM log_entries WHERE seq > 0;
		UPDATE log_birth SET filled = false, seq = (SELECT max(seq) FROM transactions); RESET session_replication_role`)
	b.mint(bob, 1) // The log's own time has begun.
	if n, err := b.FillLog(t.Context()); err != nil || int64(n) != b.count(`SELECT count(*) - 1 FROM transactions`) {
		t.Fatalf("%d made, %v", n, err)
	}
	if n, err := b.FillLog(t.Context()); n != 0 || err != nil {
		t.Errorf("%d made again, %v", n, err)
	}
	got := b.entries()
	if len(got) <= len(want) || got[:len(want)] != want {
		t.Error("the entries of the past are not those that were written with it")
	}
}

// entries returns all entries of the journal, one behind the other.
func (b *books) entries() (all string) {
	b.t.Helper()
	if err := b.owner.QueryRow(b.t.Context(), `SELECT string_agg(bundle, '' ORDER BY seq) FROM log_entries WHERE seq > 0`).Scan((*raw)(&all)); err != nil {
		b.t.Fatal(err)
	}
	return all
}

// raw is bytea as a string.
type raw string

func (r *raw) ScanBytes(v []byte) error {
	*r = raw(v)
	return nil
}
