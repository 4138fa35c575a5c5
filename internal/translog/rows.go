package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// row is the entries of one group, as the database has them.
type row struct {
	seq     int64
	entries int
	bundle  []byte
	// written are the leaf hashes of the entries, as they were when they were written: only where the row was handed over.
	written []leaf.Hash
}

// position is how far the database knows of the log: the last row that is in it, and the size of the log after it.
type position struct{ seq, size int64 }

const (
	// The order of rows is that of their seqs: a row is keyed by a seq that was drawn under the locks of its group, so of two groups that share an
	// account the one whose row comes first was first. Those that begin behind $6 entries are left. Of the rows in $4, which were handed over, only the beginning is read.
	readRowsSQL = `
SELECT seq, entries, octet_length(bundle), CASE WHEN seq = ANY($4) THEN substring(bundle FROM 1 FOR $5) ELSE bundle END
FROM (
    SELECT seq, entries, bundle, sum(entries) OVER (ORDER BY seq) - entries AS before
    FROM log_entries WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) AS r
WHERE before < $6 ORDER BY seq`

	lastPositionSQL = `
SELECT p.seq, p.first_index + e.entries
FROM (SELECT seq, first_index FROM log_positions ORDER BY first_index DESC LIMIT 1) AS p
JOIN log_entries e USING (seq)`

	notePositionsSQL = `INSERT INTO log_positions (seq, first_index) SELECT * FROM unnest($1::bigint[], $2::bigint[])`

	bornSQL = `SELECT filled FROM log_birth`
)

// arena has the bundles of rows, one behind the other, so that reading a row takes no memory of its own. What was read is good until it is read into again.
type arena []byte

// maxArena bounds what is kept from one step to the next, in bytes.
const maxArena = 4 << 20

// readRows returns rows after one seq and up to another, until they have limit entries. Those that were handed over are only looked for.
func (room *arena) readRows(ctx context.Context, pool *pgxpool.Pool, from *HandOver, after, upTo int64, limit int) ([]row, error) {
	if *room = (*room)[:0]; cap(*room) > maxArena {
		*room = nil
	}
	var taken []row
	entries := 0
	for entries < limit {
		const page = 64
		known := from.between(after, upTo, page)
		rows, err := pool.Query(ctx, readRowsSQL, after, upTo, page, slices.Collect(maps.Keys(known)), headSize, limit-entries)
		if err != nil {
			return nil, fmt.Errorf("translog: read entries: %w", err)
		}
		more, err := room.collect(rows, known)
		if errors.Is(err, errNotAsHanded) {
			from.forgetAll() // So that all is read.
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("translog: read entries: %w", err)
		}
		taken = append(taken, more...)
		for _, r := range more {
			entries += r.entries
		}
		if len(more) < page {
			break
		}
		after = more[len(more)-1].seq
	}
	return taken, nil
}

// errNotAsHanded means that a row is not what was handed over.
var errNotAsHanded = errors.New("translog: a row is not what was handed over")

// collect reads rows of seq, entries, length and bundle, of which there is only the head where the row is known.
func (room *arena) collect(rows pgx.Rows, known handed) ([]row, error) {
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (e row, err error) {
		var length int
		var bundle pgtype.DriverBytes
		if err := r.Scan(&e.seq, &e.entries, &length, &bundle); err != nil {
			return e, err
		}
		if _, ok := known[e.seq]; !ok {
			e.bundle = room.keep(bundle)
			return e, nil
		}
		b := known.of(e.seq, e.entries, length, bundle)
		if b == nil {
			return e, errNotAsHanded
		}
		e.bundle, e.written = b.Bytes, b.Leaves
		return e, nil
	})
}

// keep copies a bundle behind those that are there.
func (room *arena) keep(bundle []byte) []byte {
	at := len(*room)
	*room = append(*room, bundle...)
	return (*room)[at:len(*room):len(*room)] // Where append moves the rest, this stays where it is.
}

// leaves returns the leaf hashes of a row's entries.
func (r *row) leaves() ([]leaf.Hash, error) {
	leaves := make([]leaf.Hash, 0, min(r.entries, len(r.bundle))) // An entry takes more than a byte.
	for entry, err := range leaf.Entries(r.bundle) {
		if err != nil {
			return nil, fmt.Errorf("translog: row %d: %w", r.seq, err)
		}
		leaves = append(leaves, leaf.HashOf(entry))
	}
	if len(leaves) != r.entries {
		return nil, fmt.Errorf("translog: row %d: %w", r.seq, leaf.ErrBundle)
	}
	return leaves, nil
}

// noted returns how far the database knows of the log. Before the journal's own past has its entries, there is nothing to take.
func (in *Integrator) noted(ctx context.Context) (position, error) {
	p := position{seq: math.MinInt64}
	var filled bool
	b := &pgx.Batch{}
	b.Queue(bornSQL).QueryRow(func(r pgx.Row) error { return r.Scan(&filled) })
	b.Queue(lastPositionSQL).QueryRow(func(r pgx.Row) error {
		if err := r.Scan(&p.seq, &p.size); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	})
	if err := in.pool.SendBatch(ctx, b).Close(); err != nil {
		return p, fmt.Errorf("translog: read positions: %w", err)
	}
	if !filled {
		return p, errUnfilled
	}
	return p, nil
}

var errUnfilled = errors.New("translog: the journal's past has not all its entries yet")

// catchUp notes in the database what was published without its knowing. Each of its rows that comes next must be, byte for byte, what the tiles have.
func (in *Integrator) catchUp(ctx context.Context, noted position, at Tree) (position, error) {
	if noted.size > at.N {
		return noted, fmt.Errorf("%w: it has %d entries, and the database %d", ErrStoreBehind, at.N, noted.size)
	}
	for noted.size < at.N {
		rows, err := in.rows.readRows(ctx, in.pool, nil, noted.seq, math.MaxInt64, tileWidth)
		if err != nil {
			return noted, err
		}
		if rows, err = in.asPublished(rows, noted.size, at); err != nil {
			return noted, err
		}
		if err := in.note(ctx, rows, noted.size); err != nil {
			return noted, err
		}
		for _, r := range rows {
			noted.seq, noted.size = r.seq, noted.size+int64(r.entries)
		}
	}
	return noted, nil
}

// asPublished returns those of rows that the log of size at has from the index n on. It returns ErrDatabaseBehind at the first that is not what the log has.
func (in *Integrator) asPublished(rows []row, n int64, at Tree) ([]row, error) {
	same := 0
	for _, r := range rows {
		if n >= at.N {
			break
		}
		leaves, err := r.leaves()
		if err != nil {
			return nil, err
		}
		if n+int64(len(leaves)) > at.N {
			return nil, fmt.Errorf("%w: row %d ends beyond it", ErrDatabaseBehind, r.seq)
		}
		indexes := make([]int64, len(leaves))
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, n+int64(i))
		}
		published, err := in.store.hashes(at).ReadHashes(indexes)
		if err != nil {
			return nil, err
		}
		for i, h := range published {
			if !bytes.Equal(h[:], leaves[i][:]) {
				return nil, fmt.Errorf("%w: entry %d is not what row %d has", ErrDatabaseBehind, n+int64(i), r.seq)
			}
		}
		n += int64(len(leaves))
		same++
	}
	if same == 0 {
		return nil, fmt.Errorf("%w: it has %d entries of %d", ErrDatabaseBehind, n, at.N)
	}
	return rows[:same], nil
}

// note writes down where rows are in the log: one behind the other, from the index n on.
func (in *Integrator) note(ctx context.Context, rows []row, n int64) error {
	seqs, indexes := make([]int64, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		seqs[i], indexes[i] = r.seq, n
		n += int64(r.entries)
	}
	if _, err := in.pool.Exec(ctx, notePositionsSQL, seqs, indexes); err != nil {
		return fmt.Errorf("translog: note positions: %w", err)
	}
	in.fault("noted")
	return nil
}

// Published returns the tree of the checkpoint that is published and signed with key, or that of nothing before the first.
func (s *Store) Published(key note.Verifier) (Tree, error) { return s.published("checkpoint", key) }

func (s *Store) published(name string, key note.Verifier) (Tree, error) {
	signed, err := s.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return emptyTree(), nil
	}
	if err != nil {
		return Tree{}, err
	}
	return openCheckpoint(signed, key)
}

// entries returns the first t.W entries of a bundle.
func (s *Store) entries(t tlog.Tile) ([]byte, error) {
	data, err := s.readTile(t)
	if err != nil {
		return nil, err
	}
	end, err := leaf.End(data, t.W)
	if err != nil {
		return nil, fmt.Errorf("translog: bundle %s: %w", tilePath(t), err)
	}
	return data[:end:end], nil
}
