package translog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	selectLiabilitiesSQL = `
SELECT l.size, l.asset, l.root, l.total, l.minted, l.burned, l.collateral, l.accounts, l.created_at, l.seq, COALESCE(p.first_index, -1)
FROM liability_proofs l LEFT JOIN log_positions p ON p.seq = l.seq`

	newestLiabilitiesSQL    = selectLiabilitiesSQL + ` ORDER BY l.size DESC LIMIT 1`
	publishedLiabilitiesSQL = selectLiabilitiesSQL + ` WHERE p.first_index IS NOT NULL ORDER BY l.size DESC LIMIT 1`
	liabilitiesOfSizeSQL    = selectLiabilitiesSQL + ` WHERE l.size = $1`
	listLiabilitiesSQL      = selectLiabilitiesSQL + ` WHERE $1::bigint = 0 OR l.size < $1 ORDER BY l.size DESC LIMIT $2`

	// What hours are worth is said by the epoch in force at the entry's own time. So both are of one reading of the clock.
	insertLiabilitiesSQL = `
WITH moment AS MATERIALIZED (SELECT ballast_now() AS at),
     epoch AS (SELECT e.id FROM epochs e, moment WHERE e.effective_at <= moment.at ORDER BY e.effective_at DESC LIMIT 1),
     held AS (SELECT * FROM unnest($7::text[], $8::numeric[]) AS h (gpu_class, hours))
INSERT INTO liability_proofs (size, asset, root, total, minted, burned, collateral, accounts, created_at)
SELECT $1::bigint, $2::text, $3::bytea, $4::bigint, $5::bigint, $6::bigint,
       (SELECT COALESCE(jsonb_agg(jsonb_build_object('gpu_class', h.gpu_class, 'hours', h.hours::text, 'k', COALESCE(f.k, 0)::text,
                                                     'sch', floor(h.hours * COALESCE(f.k, 0))::text) ORDER BY h.gpu_class COLLATE "C"), '[]')
        FROM held h LEFT JOIN epoch_factors f ON f.gpu_class = h.gpu_class AND f.epoch_id = (SELECT id FROM epoch)),
       $9::bigint, moment.at
FROM moment`

	// due is true where none was published for so many microseconds.
	liabilitiesDueSQL = `
SELECT COALESCE(max(created_at) + $1 * interval '1 microsecond' <= ballast_now(), true) FROM liability_proofs`
)

// Liability is a proof of liabilities that was published, or is about to be.
type Liability struct {
	// Size is that of the log of whose first entries it speaks.
	Size  int64
	Asset string
	// Root is of the sum tree, 32 bytes.
	Root []byte
	// Total is what holders had, which is Minted − Burned. All are in minor units.
	Total, Minted, Burned int64
	Collateral            []Collateral
	// Accounts is how many are in the tree. It is not published.
	Accounts int64
	// At is the entry's own time.
	At time.Time
	// Index is where its entry is in the log, or −1 as long as it is not published.
	Index int64

	seq int64
}

// Collateral is what backed the tokens, of one GPU class.
type Collateral struct {
	GPUClass string `json:"gpu_class"`
	// Hours is available and backing, in millionths; SCH what they were worth, in millionths, rounded down; K how many SCH an hour is.
	Hours string `json:"hours"`
	K     string `json:"k"`
	SCH   string `json:"sch"`
}

// ListLiabilities returns up to limit proofs, newest first, of sizes below before; 0 starts at the newest. It needs no log in this process.
func ListLiabilities(ctx context.Context, pool *pgxpool.Pool, before int64, limit int) ([]Liability, error) {
	rows, err := pool.Query(ctx, listLiabilitiesSQL, before, limit)
	if err != nil {
		return nil, fmt.Errorf("translog: list proofs of liabilities: %w", err)
	}
	return pgx.CollectRows(rows, scanLiability)
}

// oneLiability returns a proof, or ErrNoLiabilities.
func oneLiability(ctx context.Context, db ledger.Querier, sql string, args ...any) (Liability, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Liability{}, fmt.Errorf("translog: read a proof of liabilities: %w", err)
	}
	l, err := pgx.CollectExactlyOneRow(rows, scanLiability)
	if errors.Is(err, pgx.ErrNoRows) {
		return Liability{}, ErrNoLiabilities
	}
	return l, err
}

func scanLiability(row pgx.CollectableRow) (l Liability, err error) {
	err = row.Scan(&l.Size, &l.Asset, &l.Root, &l.Total, &l.Minted, &l.Burned, &l.Collateral, &l.Accounts, &l.At, &l.seq, &l.Index)
	l.At = l.At.UTC()
	return l, err
}

// insertLiability writes what the log will say. It returns ErrLiabilitiesBusy where another process has done so for this size.
func insertLiability(ctx context.Context, tx pgx.Tx, l Liability, f figures) error {
	hours := make([]string, len(f.hours))
	for i, h := range f.hours {
		hours[i] = h.String()
	}
	_, err := tx.Exec(ctx, insertLiabilitiesSQL, l.Size, l.Asset, l.Root, l.Total, l.Minted, l.Burned, f.classes, hours, l.Accounts)
	if pg.IsUniqueViolation(err, "liability_proofs_pkey") {
		return ErrLiabilitiesBusy
	}
	if err != nil {
		return fmt.Errorf("translog: write a proof of liabilities: %w", err)
	}
	return nil
}
