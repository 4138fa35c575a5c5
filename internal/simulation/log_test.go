package simulation_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	logbooks "github.com/ballast-compute/ballast/internal/verify/replay"
)

const (
	entriesSQL = `SELECT bundle FROM log_entries ORDER BY seq`
	keyedSQL   = `SELECT a.id, a.asset, a.balance, a.version, a.kind, k.key FROM accounts a JOIN account_keys k ON k.account_id = a.id WHERE a.version > 0 ORDER BY a.id`
)

// verifyLog has the verifier, which shares no code with the domain, keep the books again from what was written for the transparency log, and compare every
// private balance with the database's. It returns what the verifier makes of it.
func (w *world) verifyLog() (logbooks.Summary, error) {
	rows, err := w.db.App.Query(w.ctx, entriesSQL)
	if err != nil {
		return logbooks.Summary{}, err
	}
	bundles, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return logbooks.Summary{}, err
	}
	var entries [][]byte
	for _, b := range bundles {
		for len(b) > 0 {
			end := 2 + int(binary.BigEndian.Uint16(b))
			entries, b = append(entries, b[2:end]), b[end:]
		}
	}
	view, err := w.view(len(entries))
	if err != nil {
		return logbooks.Summary{}, err
	}
	l := logbooks.New(uint64(len(entries)), view)
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			return logbooks.Summary{}, fmt.Errorf("the verifier: %w\n%s", err, e)
		}
	}
	return l.Summary(), nil
}

// view is what an auditor would be given.
func (w *world) view(size int) (*logbooks.View, error) {
	rows, err := w.db.Pool.Query(w.ctx, keyedSQL)
	if err != nil {
		return nil, err
	}
	text := bytes.NewBufferString(`{"v":"1","type":"view","origin":"simulation","size":"` + strconv.Itoa(size) + "\"}\n")
	var account uuid.UUID
	var asset, kind string
	var balance, version int64
	var key []byte
	tag, err := pgx.ForEachRow(rows, []any{&account, &asset, &balance, &version, &kind, &key}, func() error {
		_, err := fmt.Fprintf(text, `{"account":"%s","asset":"%s","balance":"%d","key":"%s","kind":"%s","version":"%d"}`+"\n",
			id.Format(id.Account, account), asset, balance, base64.StdEncoding.EncodeToString(key), kind, version)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(text, `{"accounts":"%d","type":"end","v":"1"}`+"\n", tag.RowsAffected()) // A buffer takes everything.
	return logbooks.ReadView(text)
}
