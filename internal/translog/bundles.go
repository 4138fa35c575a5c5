package translog

import (
	"bytes"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// bundles writes the entries of rows behind the first n that are there. It returns the tiles that have them, and the leaf hashes of all entries of these, as they are
// read again: they are good until it is called again.
func (in *Integrator) bundles(n int64, rows []row) ([]tlog.Tile, []leaf.Hash, error) {
	b := bundler{in: in, leaves: in.leaves[:0], at: tlog.Tile{H: tileHeight, L: -1, N: n / tileWidth, W: int(n % tileWidth)}}
	in.room = in.room[:0]
	if b.at.W > 0 {
		begun, err := in.store.entries(b.at)
		if err != nil {
			return nil, nil, err
		}
		in.room = append(in.room, begun...)
	}
	for i := range rows {
		if err := b.add(&rows[i]); err != nil {
			return nil, nil, err
		}
	}
	if b.at.W > 0 {
		if err := b.write(); err != nil {
			return nil, nil, err
		}
	}
	in.leaves = b.leaves
	return b.written, b.leaves, nil
}

// bundler fills one bundle after another, in the room of its integrator.
type bundler struct {
	in *Integrator
	// at is the bundle that is being filled, as wide as it has entries.
	at      tlog.Tile
	written []tlog.Tile
	leaves  []leaf.Hash
}

// add adds a row's entries, as many at once as go into a bundle.
func (b *bundler) add(r *row) error {
	rest := r.bundle
	for left := r.entries; left > 0; {
		n := min(left, tileWidth-b.at.W)
		end, err := leaf.End(rest, n)
		if err != nil {
			return fmt.Errorf("translog: row %d: %w", r.seq, err)
		}
		b.in.room = append(b.in.room, rest[:end]...)
		rest, left, b.at.W = rest[end:], left-n, b.at.W+n
		if b.at.W == tileWidth {
			if err := b.write(); err != nil {
				return err
			}
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("translog: row %d: %w", r.seq, leaf.ErrBundle)
	}
	return nil
}

// write writes the bundle as far as it is filled, reads it again, and goes on to the next.
func (b *bundler) write() (err error) {
	in := b.in
	if err := in.store.publishNew(tilePath(b.at), in.room); err != nil {
		return err
	}
	in.fault("bundle")
	if b.leaves, err = in.readAgain(b.at, b.leaves); err != nil {
		return err
	}
	if !bytes.Equal(in.again, in.room) {
		return fmt.Errorf("%w: bundle %s is not what was written", errTree, tilePath(b.at))
	}
	b.written, in.room = append(b.written, b.at), in.room[:0]
	b.at.N, b.at.W = b.at.N+1, 0
	return nil
}

// readAgain reads a bundle, and adds the leaf hashes of its entries to those before.
func (in *Integrator) readAgain(t tlog.Tile, leaves []leaf.Hash) (_ []leaf.Hash, err error) {
	if in.again, err = in.store.readInto(in.again, tilePath(t)); err != nil {
		return nil, err
	}
	for entry, err := range leaf.Entries(in.again) {
		if err != nil {
			return nil, fmt.Errorf("%w: bundle %s: %w", errTree, tilePath(t), err)
		}
		leaves = append(leaves, in.hasher.Leaf(entry))
	}
	return leaves, nil
}
