package translog

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// The errors of who asks for something of the log. ErrNoLog means that this process keeps none; ErrNotPublished, that it is not there yet.
var (
	ErrNoLog        = errors.New("translog: this server keeps no log")
	ErrNotPublished = errors.New("translog: it is not published yet")
	ErrNoFile       = errors.New("translog: the log has no such file")
)

// Log is the log of one database: where it is published, and by whom. A nil *Log is that of a process that keeps none.
type Log struct {
	Key      *Key
	Store    *Store
	Receipts *Receipts
	// Liabilities publishes what is owed, and Views are for auditors.
	Liabilities *Liabilities
	Views       *Views
	pool        *pgxpool.Pool
}

// Open returns the log of the database of pool, which is kept in a directory and signed with a key.
func Open(pool *pgxpool.Pool, dir string, key *Key) (*Log, error) {
	store, err := OpenStore(dir)
	if err != nil {
		return nil, err
	}
	return &Log{
		Key: key, Store: store, Receipts: NewReceipts(pool, store, key), pool: pool,
		Liabilities: NewLiabilities(pool, store, key, LiabilitiesOptions{}), Views: NewViews(pool, store, key),
	}, nil
}

// publicFiles is what may be asked for under the log's prefix.
var publicFiles = regexp.MustCompile(`^(checkpoint(\.witnessed)?|tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?)$`)

// File returns a published file by its path below the log's prefix. It returns ErrNoFile for any other, and ErrNoLog.
func (l *Log) File(name string) ([]byte, error) {
	if l == nil {
		return nil, ErrNoLog
	}
	if name == "vkey" {
		return []byte(l.Key.Text + "\n"), nil
	}
	if !publicFiles.MatchString(name) {
		return nil, ErrNoFile
	}
	data, err := l.Store.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoFile
	}
	return data, err
}

// Announce writes the log's key into the log, before anything is signed with it for the first time.
func (l *Log) Announce(ctx context.Context) error {
	_, err := l.pool.Exec(ctx, `INSERT INTO log_keys (public_key, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`, []byte(l.Key.Public()), l.Key.Signer.Name())
	if err != nil {
		return fmt.Errorf("translog: announce the key: %w", err)
	}
	return nil
}

// Promise returns the promise for the entry of a verdict of success, whether it was made now or before.
func (l *Log) Promise(ctx context.Context, v ledger.Verdict) (string, error) {
	place, err := l.Receipts.Place(ctx, v)
	if err != nil {
		return "", err
	}
	return l.Key.Promises().Of(place)
}

// LeafHash returns the leaf hash of a receipt's entry, in base64.
func (r *Receipt) LeafHash() string { return base64.StdEncoding.EncodeToString(r.leaf[:]) }
