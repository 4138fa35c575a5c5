package translog

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// State says how far a transaction's entry has come.
type State string

// The states of an entry, each of which includes the one before: it is in the journal, in a checkpoint, in one that enough witnesses have cosigned.
const (
	StateCommitted State = "committed"
	StatePublished State = "published"
	StateWitnessed State = "witnessed"
)

// ErrNotLogged means that a row that should tell of a transaction does not.
var ErrNotLogged = errors.New("translog: a transaction is not in the log's rows")

// Receipt is what can be shown of one entry.
type Receipt struct {
	State State
	Entry []byte
	// Proof is a C2SP tlog-proof, or nil while the entry is only committed.
	Proof []byte
	// Index is the entry's in the log, once it is published.
	Index int64
	// Promise is the log's word for the entry, by when it is published at the latest.
	Promise string
	leaf    leaf.Hash
}

// Receipts make receipts from what is published.
type Receipts struct {
	pool  *pgxpool.Pool
	store *Store
	key   *Key
}

// NewReceipts returns what makes receipts of the log in a store, whose key is key.
func NewReceipts(pool *pgxpool.Pool, store *Store, key *Key) *Receipts {
	return &Receipts{pool, store, key}
}

// groupsBack bounds how many groups may have begun to draw their seqs before one another: they interleave where several processes write.
const groupsBack = 256

const (
	rowBeforeSQL = `
SELECT e.seq, e.bundle, p.first_index FROM (SELECT seq, bundle FROM log_entries WHERE seq <= $1 ORDER BY seq DESC LIMIT 1) AS e
LEFT JOIN log_positions p USING (seq)`

	keysOfSQL = `SELECT account_id, key FROM account_keys WHERE account_id = ANY($1)`
)

// placed is an entry in its row, and where the row is in the log: at -1 while it is not.
type placed struct {
	place leaf.Place
	entry []byte
	index int64
}

// ofTransaction finds the entry of a transaction. It is in the last row whose first seq is not after the transaction's, or, where groups of several
// processes drew theirs in turns, in one shortly before.
func (r *Receipts) ofTransaction(ctx context.Context, t *ledger.Transaction) (placed, error) {
	wanted := []byte(`,"seq":"` + strconv.FormatInt(t.Seq, 10) + `",`)
	return r.find(ctx, t.Seq, func(entry []byte) bool {
		return bytes.Contains(entry, wanted) || bytes.Contains(entry, wanted[:len(wanted)-1])
	}, t)
}

func (r *Receipts) find(ctx context.Context, seq int64, is func(entry []byte) bool, t *ledger.Transaction) (placed, error) {
	for range groupsBack { // Nearly always the first has it. Each may have megabytes, so that they are read one by one.
		row, err := r.rowBefore(ctx, seq)
		if errors.Is(err, pgx.ErrNoRows) {
			break
		}
		if err != nil {
			return placed{}, err
		}
		p := placed{place: leaf.Place{Group: &leaf.Group{}}, index: -1}
		if t != nil {
			p.place.Group.At = t.CreatedAt
		}
		n := 0
		for entry, err := range leaf.Entries(row.bundle) {
			if err != nil {
				return placed{}, err
			}
			p.place.Group.Leaves = append(p.place.Group.Leaves, leaf.HashOf(entry))
			if p.entry == nil && is(entry) {
				p.entry, p.place.Index = entry, n
				if row.first != nil {
					p.index = *row.first + int64(n)
				}
			}
			n++
		}
		if p.entry != nil {
			return p, nil
		}
		seq = row.seq - 1
	}
	return placed{}, ErrNotLogged
}

// entriesRow is a row of entries, under the seq of its first, and where that is in the log, if it is.
type entriesRow struct {
	seq    int64
	bundle []byte
	first  *int64
}

// rowBefore returns the last row that does not begin after a seq, or pgx.ErrNoRows.
func (r *Receipts) rowBefore(ctx context.Context, seq int64) (row entriesRow, err error) {
	err = r.pool.QueryRow(ctx, rowBeforeSQL, seq).Scan(&row.seq, &row.bundle, &row.first)
	return row, err
}

// Of returns the receipt of a transaction. It opens those of its accounts that may says the caller may know.
func (r *Receipts) Of(ctx context.Context, t *ledger.Transaction, may func(account uuid.UUID) bool) (Receipt, error) {
	p, err := r.ofTransaction(ctx, t)
	if err != nil {
		return Receipt{}, err
	}
	extra, err := r.openings(ctx, t, may)
	if err != nil {
		return Receipt{}, err
	}
	return r.receipt(p, extra)
}

// Place returns where the entry of a verdict of success is among those that were committed with it, also if that was done earlier.
func (r *Receipts) Place(ctx context.Context, v ledger.Verdict) (leaf.Place, error) {
	if v.Entry.Group != nil {
		return v.Entry, nil
	}
	p, err := r.ofTransaction(ctx, v.Transaction)
	return p.place, err
}

// Places is Place of each verdict of success that does not have its entry yet, which it is given. What was committed together is read once.
func (r *Receipts) Places(ctx context.Context, verdicts []ledger.Verdict) error {
	missing := make(map[int64][]*ledger.Verdict) // one seq may have several, if a key was given twice
	var seqs []int64
	for i := range verdicts {
		if v := &verdicts[i]; v.Err == nil && v.Entry.Group == nil {
			seqs = append(seqs, v.Transaction.Seq)
			missing[v.Transaction.Seq] = append(missing[v.Transaction.Seq], v)
		}
	}
	slices.Sort(seqs)
	for _, seq := range slices.Backward(seqs) {
		if len(missing[seq]) == 0 {
			continue
		}
		row, err := r.rowBefore(ctx, seq)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotLogged
		}
		if err != nil {
			return fmt.Errorf("translog: the entry of %d: %w", seq, err)
		}
		group := &leaf.Group{At: missing[seq][0].Transaction.CreatedAt}
		for entry, err := range leaf.Entries(row.bundle) {
			if err != nil {
				return err
			}
			place := leaf.Place{Group: group, Index: len(group.Leaves)}
			group.Leaves = append(group.Leaves, leaf.HashOf(entry))
			told, ok, err := seqOf(entry)
			if err != nil {
				return fmt.Errorf("translog: row %d: %w", row.seq, err)
			}
			if !ok {
				continue
			}
			for _, v := range missing[told] {
				v.Entry = place
			}
			delete(missing, told)
		}
		for _, v := range missing[seq] { // It is in a row before that.
			if v.Entry, err = r.Place(ctx, *v); err != nil {
				return err
			}
		}
		delete(missing, seq)
	}
	return nil
}

// receipt proves the inclusion of an entry in the last checkpoint that was witnessed, or else in the last one.
func (r *Receipts) receipt(p placed, openings []byte) (Receipt, error) {
	receipt := Receipt{State: StateCommitted, Entry: p.entry, Index: p.index, leaf: p.place.Group.Leaves[p.place.Index]}
	var err error
	if receipt.Promise, err = r.key.Promises().Of(p.place); err != nil {
		return Receipt{}, err
	}
	if p.index >= 0 {
		for _, try := range []struct {
			name  string
			state State
		}{{witnessedFile, StateWitnessed}, {"checkpoint", StatePublished}} {
			signed, at, err := r.checkpoint(try.name)
			if err != nil {
				return Receipt{}, err
			}
			if at.N > p.index {
				receipt.State = try.state
				receipt.Proof, err = r.prove(p, at, signed, openings)
				return receipt, err
			}
		}
	}
	return receipt, nil
}

func (r *Receipts) checkpoint(name string) ([]byte, Tree, error) {
	signed, err := r.store.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, emptyTree(), nil
	}
	if err != nil {
		return nil, Tree{}, err
	}
	t, err := openCheckpoint(signed, r.key.Verifier)
	return signed, t, err
}

// prove writes a tlog-proof: the entry and its openings as extra data, its index, the inclusion proof, and the checkpoint.
func (r *Receipts) prove(p placed, at Tree, signed, openings []byte) ([]byte, error) {
	proof, err := tlog.ProveRecord(at.N, p.index, r.store.hashes(at))
	if err != nil {
		return nil, fmt.Errorf("translog: prove entry %d: %w", p.index, err)
	}
	var b bytes.Buffer
	extra := append(append(bytes.Clone(p.entry), '\n'), openings...)
	fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n", base64.StdEncoding.EncodeToString(extra), p.index)
	for _, h := range proof {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(h[:]))
	}
	b.WriteByte('\n')
	b.Write(signed)
	return b.Bytes(), nil
}

// opening opens one account of an entry. Its members are in the order of RFC 8785.
type opening struct {
	Account string `json:"account"`
	Blind   []byte `json:"blind"`
	Posting string `json:"posting"`
	Side    string `json:"side"`
	Version string `json:"version"`
}

// openings returns what opens those private accounts of a transaction that the caller may know: a line for each.
func (r *Receipts) openings(ctx context.Context, t *ledger.Transaction, may func(uuid.UUID) bool) ([]byte, error) {
	var wanted []uuid.UUID
	for _, p := range t.Postings {
		for _, account := range []uuid.UUID{p.From, p.To} {
			if may(account) {
				wanted = append(wanted, account)
			}
		}
	}
	keys, err := r.keys(ctx, wanted)
	if err != nil {
		return nil, err
	}
	var lines []byte
	for i, p := range t.Postings {
		for _, side := range []struct {
			name    string
			account uuid.UUID
			version int64
		}{{"from", p.From, p.FromVersion}, {"to", p.To, p.ToVersion}} {
			key, ok := keys[side.account]
			if !ok {
				continue
			}
			blind := leaf.Blind(&key, side.version)
			line, err := json.Marshal(opening{id.Format(id.Account, side.account), blind[:], strconv.Itoa(i), side.name, strconv.FormatInt(side.version, 10)})
			if err != nil {
				return nil, err
			}
			lines = append(append(lines, line...), '\n')
		}
	}
	return lines, nil
}

// keys returns the keys of those accounts that have one.
func (r *Receipts) keys(ctx context.Context, accounts []uuid.UUID) (map[uuid.UUID]leaf.Key, error) {
	rows, err := r.pool.Query(ctx, keysOfSQL, accounts)
	if err != nil {
		return nil, err
	}
	keys := make(map[uuid.UUID]leaf.Key, len(accounts))
	var account uuid.UUID
	var key []byte
	_, err = pgx.ForEachRow(rows, []any{&account, &key}, func() error {
		keys[account] = leaf.Key(key)
		return nil
	})
	return keys, err
}
