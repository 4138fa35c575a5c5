package translog

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
)

// Views give auditors what opens the log: the keys of all accounts, and what the operator's database says of each. It may be used from many goroutines.
type Views struct {
	pool  *pgxpool.Pool
	store *Store
	key   *Key
}

// NewViews returns what gives views of the log in a store whose key is key.
func NewViews(pool *pgxpool.Pool, store *Store, key *Key) *Views { return &Views{pool, store, key} }

// viewHead is the first line of a view, viewEnd the last, and viewLine each other one. Their members are in the order of docs/transparency-log.md.
type (
	viewHead struct {
		V      string `json:"v"`
		Type   string `json:"type"`
		Origin string `json:"origin"`
		Size   string `json:"size"`
	}
	viewLine struct {
		Account string `json:"account"`
		Asset   string `json:"asset"`
		Balance string `json:"balance"`
		Key     []byte `json:"key"`
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	viewEnd struct {
		Accounts string `json:"accounts"`
		Type     string `json:"type"`
		V        string `json:"v"`
	}
)

// Write writes a view at the size of the log that is published: one JSON object a line, first what it is a view of, then the accounts in the order of their
// ids, and at the end how many they were, so that nobody takes a part for the whole. Of accounts whose holder was erased, and of those that had no posting by then, there is no line. begin is called before the first byte is
// written, so that until then an error can be told in another way; those are ErrNothingPublished and ErrStoreBehind.
func (v *Views) Write(ctx context.Context, w io.Writer, begin func()) error {
	at, err := v.store.Published(v.key.Verifier)
	if err != nil {
		return err
	}
	s, err := takeSnapshot(ctx, v.pool, at)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	begin()
	buffered := bufio.NewWriterSize(w, 1<<16)
	lines := json.NewEncoder(buffered)
	if err := lines.Encode(viewHead{V: "1", Type: "view", Origin: v.key.Verifier.Name(), Size: strconv.FormatInt(s.size, 10)}); err != nil {
		return fmt.Errorf("translog: write a view: %w", err)
	}
	accounts := 0
	err = s.keyed(ctx, func(p *private) error {
		if p.version == 0 {
			return nil
		}
		accounts++
		return lines.Encode(viewLine{
			Account: id.Format(id.Account, p.id), Asset: p.asset, Balance: strconv.FormatInt(p.balance, 10), Key: p.key, Kind: string(p.kind),
			Version: strconv.FormatInt(p.version, 10),
		})
	})
	if err != nil {
		return err
	}
	if err := lines.Encode(viewEnd{Accounts: strconv.Itoa(accounts), Type: "end", V: "1"}); err != nil {
		return fmt.Errorf("translog: write a view: %w", err)
	}
	return buffered.Flush()
}
