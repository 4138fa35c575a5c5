package translog

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// Check compares all that is published with the rows that it was made of, in the caller's snapshot: each entry byte by byte, and its hash, which must be in the tree that key has signed.
// What was published and is not noted in the snapshot yet is left out. It has a few rows and the hashes of a few tiles in memory at a time.
func Check(ctx context.Context, db ledger.Querier, store *Store, key note.Verifier) ([]ledger.Check, error) {
	at, fault := store.Published(key)
	c := comparison{store: store, at: at, hasher: leaf.NewHasher()}
	for fault == nil {
		rows, err := notedRows(ctx, db, c.n)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			fault = c.prove()
			break
		}
		for i := range rows {
			if fault = c.compare(&rows[i]); fault != nil {
				break
			}
		}
	}
	check := ledger.Check{Name: "log_is_its_rows", OK: fault == nil, Detail: "every published entry is, byte for byte, that of its row, and in the signed tree"}
	if fault != nil {
		check.Detail = fault.Error()
	}
	return []ledger.Check{check}, nil
}

// notedRow is a row, and the index in the log that is noted for it.
type notedRow struct {
	row
	index int64
}

const notedRowsSQL = `
SELECT p.first_index, seq, COALESCE(e.entries, 0), e.bundle
FROM log_positions p
LEFT JOIN log_entries e USING (seq)
WHERE p.first_index >= $1
ORDER BY p.first_index
LIMIT 16`

func notedRows(ctx context.Context, db ledger.Querier, from int64) ([]notedRow, error) {
	found, err := db.Query(ctx, notedRowsSQL, from)
	if err != nil {
		return nil, fmt.Errorf("translog: read entries: %w", err)
	}
	rows, err := pgx.CollectRows(found, func(r pgx.CollectableRow) (n notedRow, err error) {
		return n, r.Scan(&n.index, &n.seq, &n.entries, &n.bundle)
	})
	if err != nil {
		return nil, fmt.Errorf("translog: read entries: %w", err)
	}
	return rows, nil
}

// comparison goes through the published entries, bundle by bundle.
type comparison struct {
	store  *Store
	at     Tree
	hasher *leaf.Hasher
	// n is the index of the entry that comes next, and rest what there is in its bundle from there on.
	n    int64
	rest []byte
	// read are the bundles that were read and not proved yet, and leaves their hashes.
	read   []tlog.Tile
	leaves []leaf.Hash
}

// compare compares the entries of the row that comes next.
func (c *comparison) compare(r *notedRow) error {
	if r.index != c.n {
		return fmt.Errorf("entries %d to %d are of no row", c.n, r.index-1)
	}
	if len(r.bundle) == 0 {
		return fmt.Errorf("row %d is noted, and not there", r.seq)
	}
	for entry, err := range leaf.Entries(r.bundle) {
		if err != nil {
			return fmt.Errorf("row %d: %w", r.seq, err)
		}
		published, err := c.next()
		if err != nil {
			return err
		}
		if !bytes.Equal(published, entry) {
			return fmt.Errorf("entry %d is not what row %d has", c.n-1, r.seq)
		}
	}
	if c.n != r.index+int64(r.entries) {
		return fmt.Errorf("row %d has %d entries, and says %d", r.seq, c.n-r.index, r.entries)
	}
	return nil
}

// next returns the published entry that comes next.
func (c *comparison) next() ([]byte, error) {
	if c.n >= c.at.N {
		return nil, fmt.Errorf("entry %d is noted, and not published", c.n)
	}
	if len(c.rest) == 0 {
		if err := c.load(); err != nil {
			return nil, err
		}
	}
	end, err := leaf.End(c.rest, 1)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", c.n, err)
	}
	entry := c.rest[2:end]
	c.n, c.rest = c.n+1, c.rest[end:]
	return entry, nil
}

// load reads the bundle that comes next, and proves those before it when they are many.
func (c *comparison) load() error {
	if len(c.read) == tileWidth {
		if err := c.prove(); err != nil {
			return err
		}
	}
	t := bundlesBetween(c.n, c.n+1)[0]
	t.W = int(min(tileWidth, c.at.N-t.N*tileWidth))
	var err error
	if c.rest, err = c.store.entries(t); err != nil {
		return err
	}
	c.read = append(c.read, t)
	for entry, err := range leaf.Entries(c.rest) {
		if err != nil {
			return fmt.Errorf("bundle %s: %w", tilePath(t), err)
		}
		c.leaves = append(c.leaves, c.hasher.Leaf(entry))
	}
	return nil
}

// prove checks that the hashes of what was read are in the signed tree.
func (c *comparison) prove() error {
	if len(c.read) == 0 {
		return nil
	}
	err := c.store.haveLeaves(c.at, c.read, c.leaves)
	c.read, c.leaves = c.read[:0], c.leaves[:0]
	return err
}
