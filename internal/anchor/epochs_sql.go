package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// A draft becomes an epoch of the same id. The first epoch has no draft, and a draft need not become an epoch.
const (
	epochColumns = `
SELECT COALESCE(e.id, d.id), COALESCE(e.number, 0), COALESCE(e.effective_at, d.effective_at),
       CASE WHEN e.id IS NULL THEN d.status
            WHEN e.effective_at > ballast_now() THEN 'announced'
            WHEN EXISTS (SELECT FROM epochs later WHERE later.effective_at > e.effective_at AND later.effective_at <= ballast_now()) THEN 'superseded'
            ELSE 'effective' END,
       COALESCE(e.reference_class, d.reference_class), COALESCE(e.link, d.link), COALESCE(e.method, d.method),
       COALESCE(e.inputs_sha256, d.inputs_sha256), d.follows,
       ARRAY[d.drafted_by, d.approved_by, d.announced_by, d.withdrawn_by], ARRAY[d.created_at, d.approved_at, d.announced_at, d.withdrawn_at]`

	publishedSQL = epochColumns + ` FROM epochs e LEFT JOIN epoch_drafts d ON d.id = e.id`
	everySQL     = `SELECT * FROM (` + epochColumns + ` FROM epochs e FULL JOIN epoch_drafts d ON d.id = e.id)
	AS all_epochs (id, number, effective_at, status, reference_class, link, method, inputs_sha256, follows, signed_by, signed_at)`

	inForceSQL   = publishedSQL + ` WHERE e.effective_at <= ballast_now() ORDER BY e.effective_at DESC LIMIT 1`
	inForceAtSQL = publishedSQL + ` WHERE e.effective_at <= $1 ORDER BY e.effective_at DESC LIMIT 1`
	nextSQL      = publishedSQL + ` WHERE e.effective_at > ballast_now() ORDER BY e.effective_at LIMIT 1`
	nextAfterSQL = publishedSQL + ` WHERE e.effective_at > $1 ORDER BY e.effective_at LIMIT 1`
	byNumberSQL  = publishedSQL + ` WHERE e.number = $1`
	lastSQL      = publishedSQL + ` ORDER BY e.number DESC LIMIT 1`
	byIDSQL      = everySQL + ` WHERE id = $1`

	listEpochsSQL = everySQL + `
WHERE (NOT $1 OR number > 0) AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4`

	// Those of a published epoch are rows of their own, those of a draft are in it.
	selectFactorsSQL = `
SELECT gpu_class, k, quality, price_ratio, price_usd, COALESCE(bound_by, '') FROM (
    SELECT gpu_class, k, quality, price_ratio, price_usd, bound_by FROM epoch_factors WHERE epoch_id = $1
    UNION ALL
    SELECT f.* FROM epoch_drafts d,
        jsonb_to_recordset(d.factors) AS f (gpu_class text, k numeric, quality numeric, price_ratio numeric, price_usd numeric, bound_by text)
    WHERE d.id = $1 AND d.status <> 'announced') AS factors
ORDER BY gpu_class COLLATE "C"`

	selectInputsSQL = `SELECT inputs FROM epochs WHERE id = $1 UNION ALL SELECT inputs FROM epoch_drafts WHERE id = $1 LIMIT 1`
)

// selectEpoch returns the one epoch that a query finds, or the error that says that there is none.
func selectEpoch(ctx context.Context, db ledger.Querier, none error, sql string, args ...any) (Epoch, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Epoch{}, fmt.Errorf("anchor: epoch: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEpoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return Epoch{}, none
	}
	return e, err
}

func selectEpochs(ctx context.Context, db ledger.Querier, f EpochFilter) ([]Epoch, error) {
	rows, err := db.Query(ctx, listEpochsSQL, f.Published, orNull(string(f.Status)), orNull(f.Before), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("anchor: list epochs: %w", err)
	}
	return pgx.CollectRows(rows, scanEpoch)
}

func scanEpoch(row pgx.CollectableRow) (e Epoch, err error) {
	var effectiveAt *time.Time
	var hash []byte
	var follows *uuid.UUID
	var by []*uuid.UUID
	var at []*time.Time
	err = row.Scan(&e.ID, &e.Number, &effectiveAt, &e.Status, &e.ReferenceClass, &e.Link, &e.Method, &hash, &follows, &by, &at)
	if err != nil {
		return Epoch{}, fmt.Errorf("anchor: epoch: %w", err)
	}
	if effectiveAt != nil {
		e.EffectiveAt = effectiveAt.UTC()
	}
	if follows != nil {
		e.Follows = *follows
	}
	e.InputsSHA256 = [32]byte(hash) // The table's check has compared it with a SHA-256.
	for i, s := range []*Signature{&e.Drafted, &e.Approved, &e.Announced, &e.Withdrawn} {
		*s = signature(by[i], at[i])
	}
	return e, nil
}

func selectFactors(ctx context.Context, db ledger.Querier, epoch uuid.UUID) ([]Factor, error) {
	rows, err := db.Query(ctx, selectFactorsSQL, epoch)
	if err != nil {
		return nil, fmt.Errorf("anchor: factors: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Factor])
}

func selectInputs(ctx context.Context, db ledger.Querier, epoch uuid.UUID) (inputs []byte, err error) {
	err = db.QueryRow(ctx, selectInputsSQL, epoch).Scan(&inputs)
	return inputs, err
}

// orNull is nil, which becomes NULL, for a zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
