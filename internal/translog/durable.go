package translog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrTilesLost means that what was published is not in the store any more, and not in the database either.
var ErrTilesLost = errors.New("translog: what was published is lost")

// Sync brings to disk what was published so far, notes how far that is, and removes the partial forms of tiles that are whole. A step does not wait for it: until then the
// entries are in the database, and a signed head is on disk at once. It is called every now and then, by any process.
//
// Partial tiles are removed first, so that they never come to the disk: whoever has to go on from what is there makes the whole ones again from the database. For that the
// edge of the tree that is on disk is needed, which stays until a larger one is.
func (in *Integrator) Sync(ctx context.Context) error {
	// Another must not remove the edge that this one is bringing to disk.
	unlock, err := in.store.waitToSync(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	tidy(in.store.dir)
	head, err := in.store.Head()
	if err != nil || head == nil {
		return err
	}
	at, err := openCheckpoint(head, in.key.Verifier)
	if err != nil {
		return err
	}
	before, err := in.store.synced(in.key.Verifier)
	if err != nil || before == at {
		return err
	}
	in.store.dropPartials(before.N, at.N)
	in.fault("dropped")
	if err := in.store.sync(head); err != nil {
		return err
	}
	in.fault("synced")
	in.store.dropEdge(before.N, at.N)
	return nil
}

// sync brings all to disk that was written before head was signed.
func (s *Store) sync(head []byte) error {
	dir, err := os.Open(s.dir) //nolint:gosec // the directory of whoever runs the server
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // it is only read
	if err := syncFileSystem(dir); err != nil {
		return fmt.Errorf("translog: sync the store: %w", err)
	}
	return write(filepath.Join(s.dir, "synced"), head)
}

// synced returns the tree of which all is on disk.
func (s *Store) synced(key note.Verifier) (Tree, error) {
	head, err := os.ReadFile(filepath.Join(s.dir, "synced")) //nolint:gosec // a name of ours in the store
	if errors.Is(err, fs.ErrNotExist) {
		return emptyTree(), nil
	}
	if err != nil {
		return Tree{}, err
	}
	return openCheckpoint(head, key)
}

// mend makes tiles again that were published and not yet on disk when the machine stopped. Where only processes have stopped, there are none. The edge of the tree is looked at in any
// case: without it nothing can be published any more, and every promise would be broken. If it is not there although it was on disk, or that of what was on disk is not,
// somebody has removed or changed files, and all are made again.
func (in *Integrator) mend(ctx context.Context, noted position, at Tree) error {
	made, err := in.makeAgain(ctx, noted, at)
	if err != nil || !made {
		return err
	}
	return in.Sync(ctx)
}

// makeAgain does it, and tells whether it had to. Meanwhile nobody else says what is on disk.
func (in *Integrator) makeAgain(ctx context.Context, noted position, at Tree) (made bool, err error) {
	unlock, err := in.store.waitToSync(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	synced, err := in.store.synced(in.key.Verifier)
	if err != nil || at.N == 0 || synced.N > at.N || in.verify(synced, at, bundlesBetween(min(synced.N, at.N-1), at.N)) == nil {
		return false, err
	}
	if synced.N == at.N || !in.edgeStands(synced) {
		// Or what is made again now would be taken to be on disk already.
		if err := os.Remove(filepath.Join(in.store.dir, "synced")); err != nil { //nolint:gosec // a name of ours in the store
			return false, fmt.Errorf("translog: forget what was on disk: %w", err)
		}
		synced = emptyTree()
	}
	for base := synced; base.N < at.N; {
		rows, err := in.published(ctx, base.N, noted)
		if err != nil {
			return false, err
		}
		if rows = upTo(rows, at.N-base.N); len(rows) == 0 {
			return false, fmt.Errorf("%w: entries from %d on", ErrTilesLost, base.N)
		}
		if base, err = in.extend(base, rows); err != nil {
			return false, err
		}
		if base.N == at.N && base != at {
			return false, fmt.Errorf("%w: entries from %d on are others in the database", ErrTilesLost, synced.N)
		}
	}
	return true, nil
}

// edgeStands tells whether the edge of a tree, with which the next begins, is there as it was.
func (in *Integrator) edgeStands(t Tree) bool {
	return t.N == 0 || in.verify(t, t, bundlesBetween(t.N-1, t.N)) == nil
}

// bundlesBetween returns the bundles that have entries from one size of the log up to another.
func bundlesBetween(from, to int64) []tlog.Tile {
	var bundles []tlog.Tile
	for n := from / tileWidth; n*tileWidth < to; n++ {
		bundles = append(bundles, tlog.Tile{H: tileHeight, L: -1, N: n, W: int(min(tileWidth, to-n*tileWidth))})
	}
	return bundles
}

const rowsFromSQL = `
SELECT e.seq, e.entries, octet_length(e.bundle), e.bundle
FROM log_positions p
JOIN log_entries e USING (seq)
WHERE p.first_index >= $1
ORDER BY p.first_index
LIMIT $2`

// published returns rows that are in the log from an index on: those that the database has noted, and then those that come next.
func (in *Integrator) published(ctx context.Context, from int64, noted position) ([]row, error) {
	const page = 1 << 10
	found, err := in.pool.Query(ctx, rowsFromSQL, from, page)
	if err != nil {
		return nil, fmt.Errorf("translog: read entries: %w", err)
	}
	var begun arena
	rows, err := begun.collect(found, nil)
	if err != nil {
		return nil, fmt.Errorf("translog: read entries: %w", err)
	}
	if len(rows) == page {
		return rows, nil
	}
	more, err := in.rows.readRows(ctx, in.pool, nil, noted.seq, math.MaxInt64, MaxTaken)
	if from > noted.size { // Then none of them was noted.
		more = more[len(upTo(more, from-noted.size)):]
	}
	return append(rows, more...), err
}

// upTo returns the first of rows, as long as they have no more than n entries.
func upTo(rows []row, n int64) []row {
	for i, r := range rows {
		if n -= int64(r.entries); n < 0 {
			return rows[:i]
		}
	}
	return rows
}
