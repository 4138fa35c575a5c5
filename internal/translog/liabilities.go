package translog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/sumtree"
)

// The errors of proofs of liabilities. ErrNotExact means that what holders have is not what was minted and not burned: nothing is published then,
// and somebody has to look. ErrLiabilitiesBusy means that another process is making a proof. ErrNoLiabilities means that none is published whose tree is
// kept, and ErrNotCounted that the newest one does not have the account.
var (
	ErrNotExact        = errors.New("translog: what holders have is not what was minted and not burned")
	ErrLiabilitiesBusy = errors.New("translog: another proof of liabilities is being made")
	ErrNoLiabilities   = errors.New("translog: no proof of liabilities is published")
	ErrNotCounted      = errors.New("translog: the newest proof of liabilities does not have this account")
)

// LiabilitiesOptions are how proofs of liabilities are made. The zero value suits.
type LiabilitiesOptions struct {
	// Every is how old the newest may get before the next is due. Default: an hour.
	Every time.Duration
	// Keep is how many trees are kept, for holders' proofs and for disputes. Default: 72.
	Keep int
	// Logger is told of what must not be. Default: slog.Default.
	Logger *slog.Logger
}

const (
	defaultLiabilitiesEvery = time.Hour
	defaultKeptTrees        = 72
)

// Liabilities publishes what the issuer owes as entries of the log, and proves to holders that their balances are counted. A proof speaks of the
// books at a size of the log that is published, so that whoever replays so many entries finds the same. It may be used from many goroutines.
type Liabilities struct {
	pool     *pgxpool.Pool
	store    *Store
	key      *Key
	receipts *Receipts
	trees    trees
	every    time.Duration
	log      *slog.Logger
}

// NewLiabilities returns what proves the liabilities in the database of pool, for the log in a store whose key is key.
func NewLiabilities(pool *pgxpool.Pool, store *Store, key *Key, o LiabilitiesOptions) *Liabilities {
	if o.Every <= 0 {
		o.Every = defaultLiabilitiesEvery
	}
	if o.Keep <= 0 {
		o.Keep = defaultKeptTrees
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Liabilities{
		pool: pool, store: store, key: key, receipts: NewReceipts(pool, store, key), every: o.Every, log: o.Logger,
		trees: trees{dir: filepath.Join(store.Private(), "liabilities"), keep: o.Keep},
	}
}

// PublishDue publishes a proof if the newest is older than it may get, or if its tree is no longer kept, and returns how many it published. Where another
// process is at it, or nothing is in the log since, that is none.
func (l *Liabilities) PublishDue(ctx context.Context) (int, error) {
	var due bool
	if err := l.pool.QueryRow(ctx, liabilitiesDueSQL, l.every.Microseconds()).Scan(&due); err != nil {
		return 0, fmt.Errorf("translog: look whether a proof of liabilities is due: %w", err)
	}
	newest, err := oneLiability(ctx, l.pool, newestLiabilitiesSQL)
	if err != nil && !errors.Is(err, ErrNoLiabilities) {
		return 0, err
	}
	if !due && l.trees.has(newest) {
		return 0, nil
	}
	made, err := l.Publish(ctx)
	switch {
	case errors.Is(err, ErrLiabilitiesBusy), errors.Is(err, ErrNothingPublished):
		return 0, nil
	case err != nil || made.Size == newest.Size:
		return 0, err
	}
	return 1, nil
}

// Publish publishes a proof in a transaction of its own; see PublishTx.
func (l *Liabilities) Publish(ctx context.Context) (made Liability, err error) {
	err = pg.InTx(ctx, l.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		made, err = l.PublishTx(ctx, tx)
		return err
	})
	return made, err
}

// PublishTx makes a proof of the liabilities at the size of the log that is published, and writes the entry of the log that tells of it. Where there is one
// of that size, it returns that one. It returns ErrNothingPublished before there is a log, ErrNotExact, ErrStoreBehind, and ErrLiabilitiesBusy.
//
// The tree is on disk before the entry is written. If the transaction then fails, nobody refers to it, and it goes when it is among the oldest.
func (l *Liabilities) PublishTx(ctx context.Context, tx pgx.Tx) (Liability, error) {
	unlock, err := l.trees.lock()
	if err != nil {
		return Liability{}, err
	}
	defer unlock()
	at, err := l.store.Published(l.key.Verifier)
	if err != nil {
		return Liability{}, err
	}
	s, err := takeSnapshot(ctx, l.pool, at)
	if err != nil {
		return Liability{}, err
	}
	defer s.close(ctx)
	if existing, err := oneLiability(ctx, tx, liabilitiesOfSizeSQL, s.size); !errors.Is(err, ErrNoLiabilities) {
		return existing, err
	}
	f, err := s.figures(ctx, money.SCH)
	if err != nil {
		return Liability{}, err
	}
	tree, err := l.build(ctx, s)
	if err != nil {
		return Liability{}, err
	}
	root := tree.Root()
	if root.Sum != f.minted-f.burned {
		l.log.ErrorContext(ctx, "the liabilities are not what was minted and not burned: no proof is published", slog.Int64("size", s.size),
			slog.Int64("total", root.Sum), slog.Int64("minted", f.minted), slog.Int64("burned", f.burned))
		return Liability{}, fmt.Errorf("%w: %d, and %d − %d", ErrNotExact, root.Sum, f.minted, f.burned)
	}
	made := Liability{
		Size: s.size, Asset: tree.Asset(), Root: root.Hash[:], Total: root.Sum, Minted: f.minted, Burned: f.burned, Accounts: int64(tree.Accounts()), //nolint:gosec // at most MaxAccounts
	}
	if err := l.trees.write(made, tree); err != nil {
		return Liability{}, err
	}
	if err := insertLiability(ctx, tx, made, f); err != nil {
		return Liability{}, err
	}
	return oneLiability(ctx, tx, liabilitiesOfSizeSQL, made.Size)
}

// build makes the tree of all balances of a snapshot, which it closes as soon as they are read.
//
// Accounts that have nothing are in it as long as their holder may use them, so that everybody finds their own; a hold or an escrow without
// anything in it is nobody's to look for, and one that is closed may be a holder's who was erased.
func (l *Liabilities) build(ctx context.Context, s *snapshot) (*sumtree.Tree, error) {
	var seed [sumtree.HashBytes]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	var failed error
	tree, err := sumtree.Build(seed, money.SCH, func(yield func(string, int64) bool) {
		failed = s.accounts(ctx, money.SCH, func(p *private) error {
			if p.balance == 0 && (p.kind != ledger.AccountHolder || p.status == ledger.AccountClosed) {
				return nil
			}
			if !yield(id.Format(id.Account, p.id), p.balance) {
				return errStopped
			}
			return nil
		})
		s.close(ctx)
	})
	if failed != nil && !errors.Is(failed, errStopped) {
		return nil, failed
	}
	return tree, err
}

// errStopped ends the reading of accounts when the tree has refused one; why, it says itself.
var errStopped = errors.New("translog: the tree takes no more accounts")

// rootOf returns the root that a proof was published with, as the tree's file must have it.
func (l Liability) rootOf() sumtree.Root {
	return sumtree.Root{Hash: [sumtree.HashBytes]byte(l.Root), Sum: l.Total, Depth: sumtree.DepthOf(uint64(max(l.Accounts, 0)))}
}
