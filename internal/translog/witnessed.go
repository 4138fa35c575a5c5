package translog

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Cosigning asks witnesses to cosign what was published.
type Cosigning struct {
	log *Log
	// collect asks all of them. It returns the checkpoint with the cosignatures that came, and whether they are enough.
	collect func(ctx context.Context, signed []byte, prove Prove) (cosigned []byte, enough bool)
	done    int64
}

// Prove returns the consistency proof between two sizes of the log.
type Prove func(ctx context.Context, from, to uint64) ([]tlog.Hash, error)

// NewCosigning returns what has each checkpoint cosigned by collect.
func NewCosigning(log *Log, collect func(ctx context.Context, signed []byte, prove Prove) ([]byte, bool)) *Cosigning {
	return &Cosigning{log: log, collect: collect}
}

// Step has the last checkpoint cosigned, if it is not yet, and publishes what came of it. It returns 1 if enough witnesses have cosigned, and 0 if there was nothing
// to do or they have not: then the next step asks again. Several processes may do it at once, since a witness signs whatever continues what it knows.
func (c *Cosigning) Step(ctx context.Context) (int, error) {
	signed, at, err := c.log.Receipts.checkpoint("checkpoint")
	if err != nil || at.N == c.done {
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
	if err := c.publish(at, cosigned, enough); err != nil || !enough {
		return 0, err
	}
	c.done = at.N
	return 1, nil
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
		if err := c.log.Store.Publish("checkpoint", cosigned); err != nil {
			return err
		}
	}
	witnessed, err := c.log.Store.published(witnessedFile, c.log.Key.Verifier)
	if err != nil || !enough || witnessed.N >= at.N {
		return err
	}
	return c.log.Store.Publish(witnessedFile, cosigned)
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
