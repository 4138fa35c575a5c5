package translog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// Cosigning asks witnesses to cosign what was published.
type Cosigning struct {
	log *Log
	// collect asks all of them. It returns the checkpoint with the cosignatures that came, and whether they are enough.
	collect func(ctx context.Context, signed []byte, prove Prove) (cosigned []byte, enough bool)
	done    int64
	// asked is the tree for which too few have cosigned so far, pause how many steps are let pass before they are asked again, and left how many of those are left.
	asked       Tree
	pause, left int
}

// longestPause bounds the steps between two tries for one checkpoint.
const longestPause = 16

// Prove returns the consistency proof between two sizes of the log.
type Prove func(ctx context.Context, from, to uint64) ([]tlog.Hash, error)

// NewCosigning returns what has each checkpoint cosigned by collect.
func NewCosigning(log *Log, collect func(ctx context.Context, signed []byte, prove Prove) ([]byte, bool)) *Cosigning {
	return &Cosigning{log: log, collect: collect}
}

// Step has the last checkpoint cosigned, if it is not yet, and publishes what came of it. It returns 1 if enough witnesses have cosigned, and 0 if there was nothing
// to do or they have not: then a later step asks again, each time after a longer pause. Several processes may do it at once, since a witness signs whatever continues
// what it knows.
func (c *Cosigning) Step(ctx context.Context) (int, error) {
	// Witnesses are given what the log itself has signed, without the lines of those who have cosigned before.
	signed, err := c.log.Store.Head()
	if err != nil || signed == nil {
		return 0, err
	}
	at, err := openCheckpoint(signed, c.log.Key.Verifier)
	if err != nil || at.N == c.done || c.pausing(at) {
		return 0, err
	}
	witnessed, err := c.log.Store.published(witnessedFile, c.log.Key.Verifier)
	if err != nil {
		return 0, err
	}
	if witnessed.N >= at.N {
		c.done = at.N
		return 0, nil
	}
	cosigned, enough := c.collect(ctx, signed, func(_ context.Context, from, to uint64) ([]tlog.Hash, error) {
		return c.log.Store.consistency(at, int64(from), int64(to)) //nolint:gosec // sizes of trees are below 2^63
	})
	if err := c.publish(at, cosigned, enough); err != nil {
		return 0, err
	}
	if !enough {
		c.retreat(at)
		return 0, nil
	}
	c.done = at.N
	return 1, nil
}

// pausing tells whether it is too early to ask again about a tree.
func (c *Cosigning) pausing(at Tree) bool {
	if c.asked != at || c.left == 0 {
		return false
	}
	c.left--
	return true
}

func (c *Cosigning) retreat(from Tree) {
	if c.asked != from {
		c.asked, c.pause = from, 0
	}
	c.pause = min(2*c.pause+1, longestPause)
	c.left = c.pause
}

const witnessedFile = "checkpoint.witnessed"

// publish puts cosignatures beside the log's own, unless a later checkpoint is there by now. While the store is busy, it is left to the next step.
func (c *Cosigning) publish(at Tree, cosigned []byte, enough bool) error {
	unlock, err := c.log.Store.wait()
	if err != nil {
		return err
	}
	defer unlock()
	now, err := c.log.Store.published("checkpoint", c.log.Key.Verifier)
	if err != nil {
		return err
	}
	if now == at {
		if err := c.log.Store.publishAnew("checkpoint", cosigned); err != nil {
			return err
		}
	}
	witnessed, err := c.log.Store.published(witnessedFile, c.log.Key.Verifier)
	if err != nil || !enough || witnessed.N >= at.N {
		return err
	}
	return write(filepath.Join(c.log.Store.Public(), witnessedFile), cosigned) // Nobody else has it.
}

// errSizes means that a proof was asked for between sizes that there is none between.
var errSizes = errors.New("translog: no proof between these sizes")

// consistency proves that the log of size to extends that of size from; both are within the tree at. From nothing there is nothing to prove.
func (s *Store) consistency(at Tree, from, to int64) ([]tlog.Hash, error) {
	if from < 0 || from > to || to > at.N {
		return nil, fmt.Errorf("%w: %d and %d of %d", errSizes, from, to, at.N)
	}
	if from == 0 || from == to {
		return nil, nil
	}
	return tlog.ProveTree(to, from, s.hashes(at))
}
