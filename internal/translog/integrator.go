package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// The errors after which an integrator signs nothing until somebody has looked. ErrDatabaseBehind means that entries that were published are not in the
// database, or are others there: it was set back, or changed. ErrStoreBehind means that the database has entries as published that the store does not know
// of: the store was set back, or is another's.
var (
	ErrDatabaseBehind = errors.New("translog: the database does not have what was published")
	ErrStoreBehind    = errors.New("translog: the store does not have what the database has as published")
)

const (
	// MaxTaken is about how many entries one step takes at the most.
	MaxTaken = 1 << 15
	// settling is how long a step waits for the groups that are being committed as it begins, which is longer than they take as a rule, and maxSettling how often.
	settling    = 25 * time.Millisecond
	maxSettling = 4
)

// Integrator puts what is committed into the log. Any number of processes may have one on the same store; the store's lock lets one of
// them work at a time, and its head is compared before it is replaced, so that one that has lost the lock without knowing signs nothing that counts.
//
// It may be killed at any moment. What it does in a step, and what a process that begins anew finds:
//
//	read rows                 nothing has changed
//	write bundles and tiles   those of a tree that nobody signed: they are made again, the same or wider, and written over
//	read them again, prove    as before
//	sign, swap the head       signed and kept, and the checkpoint not published: the next step publishes it first
//	publish the checkpoint    published, and the database does not know: its rows are compared with the tiles, and noted
//	note positions            done
//
// Should the machine itself stop, tiles may be gone that were published since the last Sync. The first step looks for them, and makes them again from the database.
type Integrator struct {
	pool    *pgxpool.Pool
	horizon *ledger.Horizon
	store   *Store
	key     *Key
	// room is for one bundle or tile at a time, again for a bundle as it is on disk, and leaves for the leaf hashes of a step, which hasher computes, all kept from
	// step to step: only who has the store's lock uses them.
	room, again []byte
	leaves      []leaf.Hash
	hasher      *leaf.Hasher
	// rows has what was read last from the database, for as long as it is being used.
	rows arena
	// from has rows that this process has written itself, or is nil.
	from *HandOver
	// last is the checkpoint that was opened last: a step finds the one before it, and need not verify its signature again.
	last struct {
		signed []byte
		tree   Tree
	}
	// begun tells whether the tiles that were published before are there.
	begun bool
	// fault is called between the steps, by the name of the one that is done. Tests make it stop there.
	fault func(step string)
}

// NewIntegrator returns an integrator of the entries in the database of pool, which publishes in a store and signs with key.
func NewIntegrator(pool *pgxpool.Pool, horizon *ledger.Horizon, store *Store, key *Key) *Integrator {
	return &Integrator{pool: pool, horizon: horizon, store: store, key: key, hasher: leaf.NewHasher(), fault: func(string) {}}
}

// TakeFrom has the integrator take from a hand-over what the database need not be asked for again. It is called before the first Step.
func (in *Integrator) TakeFrom(h *HandOver) { in.from = h }

// Step takes what is committed into the log, up to MaxTaken entries or a group more, and returns how many it took. Where another process is at it, it
// returns 0. It returns ErrDatabaseBehind or ErrStoreBehind where going on would sign another history than the one that is published.
func (in *Integrator) Step(ctx context.Context) (int, error) {
	unlock, err := in.store.Lock()
	if errors.Is(err, ErrBusy) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer unlock()
	head, at, err := in.head()
	if err != nil {
		return 0, err
	}
	noted, err := in.noted(ctx)
	if err != nil {
		return 0, err
	}
	if err := in.begin(ctx, noted, at); err != nil {
		return 0, err
	}
	if noted, err = in.catchUp(ctx, noted, at); err != nil {
		return 0, err
	}
	rows, err := in.take(ctx, noted)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	next, err := in.extend(at, rows)
	if err != nil {
		if in.from != nil {
			in.from.forgetAll() // Whatever was wrong with it, the next step reads everything.
		}
		return 0, err
	}
	if err := in.sign(head, next); err != nil {
		in.begun = false // What it has put in its place may not be on disk.
		return 0, err
	}
	return int(next.N - at.N), in.note(ctx, rows, at.N)
}

// begin is what the first step does before all else.
func (in *Integrator) begin(ctx context.Context, noted position, at Tree) error {
	if in.begun {
		return nil
	}
	tidy(in.store.Public())
	// A head that a process has put in its place and was killed over may not be there on disk, which the one before it would then be written over on.
	if err := syncDir(in.store.dir); err != nil {
		return fmt.Errorf("translog: sync the store: %w", err)
	}
	err := in.mend(ctx, noted, at)
	in.begun = err == nil
	return err
}

// head returns what was signed last. If that was not published any more, or what is there cannot be read, it is now.
func (in *Integrator) head() ([]byte, Tree, error) {
	head, err := in.store.Head()
	if err != nil || head == nil {
		return nil, emptyTree(), err
	}
	at, err := in.open(head)
	if err != nil {
		return nil, Tree{}, err
	}
	published, err := in.store.Read("checkpoint")
	if err == nil && bytes.Equal(published, head) {
		return head, at, nil
	}
	if now, openErr := in.Published(); openErr != nil || now.N < at.N {
		return head, at, in.store.Publish("checkpoint", head)
	}
	return head, at, nil
}

// open is openCheckpoint, for one who is likely to have opened it before.
func (in *Integrator) open(signed []byte) (Tree, error) {
	if in.last.signed != nil && bytes.Equal(signed, in.last.signed) {
		return in.last.tree, nil
	}
	t, err := openCheckpoint(signed, in.key.Verifier)
	if err == nil {
		in.last.signed, in.last.tree = signed, t
	}
	return t, err
}

// Published returns the tree of the checkpoint that is published, or that of nothing before the first.
func (in *Integrator) Published() (Tree, error) { return in.store.Published(in.key.Verifier) }

// take reads the rows that come next.
func (in *Integrator) take(ctx context.Context, after position) ([]row, error) {
	horizon, err := in.settled(ctx)
	if err != nil {
		return nil, err
	}
	in.from.forget(after.seq)
	rows, err := in.rows.readRows(ctx, in.pool, in.from, after.seq, horizon, MaxTaken)
	in.fault("read")
	return rows, err
}

// settled returns the horizon once it has come to where the journal was a moment ago, or as far as it comes in that time. Under load there is always somebody who has drawn
// a place and not ended, so that a horizon that is moved once a step is always a whole step behind.
func (in *Integrator) settled(ctx context.Context) (int64, error) {
	before, err := in.horizon.Move(ctx)
	in.fault("looked")
	horizon := before
	wait := time.NewTicker(settling)
	defer wait.Stop()
	for tries := 0; err == nil && horizon == before && in.horizon.Lag() > 0 && tries < maxSettling; tries++ {
		select {
		case <-wait.C:
			horizon, err = in.horizon.Move(ctx)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return horizon, err
}

// extend puts the entries of rows behind those that are there: it writes the bundles and tiles of the larger tree, and proves from what was written that it
// extends the one that was signed.
func (in *Integrator) extend(at Tree, rows []row) (Tree, error) {
	bundles, leaves, err := in.bundles(at.N, rows)
	if err != nil {
		return Tree{}, err
	}
	if err := asWritten(rows, leaves[at.N%tileWidth:]); err != nil {
		return Tree{}, err
	}
	g, err := grow(at, in.store.hashes(at), leaves[at.N%tileWidth:])
	if err != nil {
		return Tree{}, err
	}
	if err := in.writeTiles(g, leaves); err != nil {
		return Tree{}, err
	}
	if err := in.store.haveLeaves(g.to, bundles, leaves); err != nil {
		return Tree{}, err
	}
	if err := in.store.proveGrowth(at, g.to); err != nil {
		return Tree{}, err
	}
	in.fault("verified")
	return g.to, nil
}

// writeTiles writes the tiles that are new in a larger tree, in which leaves begin with the first of a tile.
func (in *Integrator) writeTiles(g *growth, leaves []leaf.Hash) error {
	for _, t := range tlog.NewTiles(tileHeight, g.from.N, g.to.N) {
		var data []byte
		var err error
		if t.L == 0 { // Nearly all are of this kind, and there is nothing to look up for them.
			in.room = in.room[:0]
			for i := range leaves[:t.W] {
				in.room = append(in.room, leaves[i][:]...)
			}
			data, leaves = in.room, leaves[t.W:]
		} else if data, err = tlog.ReadTileData(t, g); err != nil {
			return fmt.Errorf("translog: tile %s: %w", tilePath(t), err)
		}
		if err := in.store.publishNew(tilePath(t), data); err != nil {
			return err
		}
		in.fault("tile")
	}
	return nil
}

// asWritten checks that the leaf hashes of rows, as they were read from disk, are those that the rows were written and promised with, where they were handed over.
func asWritten(rows []row, leaves []leaf.Hash) error {
	for _, r := range rows {
		if r.written != nil && !slices.Equal(r.written, leaves[:r.entries]) {
			return fmt.Errorf("%w: row %d was changed in memory", errNotAsHanded, r.seq)
		}
		leaves = leaves[r.entries:]
	}
	return nil
}

// verify reads what was written before: every entry of bundles hashes to its place in the tree, whose tiles hash to its root, and it extends another.
func (in *Integrator) verify(from, to Tree, bundles []tlog.Tile) error {
	for some := range slices.Chunk(bundles, tileWidth) {
		var leaves []leaf.Hash
		var err error
		for _, t := range some {
			if leaves, err = in.readAgain(t, leaves); err != nil {
				return err
			}
		}
		if err := in.store.haveLeaves(to, some, leaves); err != nil {
			return err
		}
	}
	return in.store.proveGrowth(from, to)
}

// sign signs the checkpoint of a tree, keeps it in the place of head, and publishes it.
func (in *Integrator) sign(head []byte, t Tree) error {
	signed, err := note.Sign(&note.Note{Text: checkpointText(in.key.Verifier.Name(), t)}, in.key.Signer)
	if err != nil {
		return fmt.Errorf("translog: sign a checkpoint: %w", err)
	}
	if err := in.store.SwapHead(head, signed); err != nil {
		return err
	}
	in.fault("signed")
	if err := in.store.Publish("checkpoint", signed); err != nil {
		return err
	}
	in.fault("published")
	return nil
}
