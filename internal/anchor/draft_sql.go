package anchor

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

const insertDraftSQL = `
INSERT INTO epoch_drafts (id, follows, effective_at, reference_class, method, link, inputs, inputs_sha256, factors, drafted_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

// factorRow is a factor in a draft's row. Decimals are strings, as the database reads them exactly.
type factorRow struct {
	GPUClass   string  `json:"gpu_class"`
	K          string  `json:"k"`
	Quality    string  `json:"quality"`
	PriceRatio *string `json:"price_ratio"`
	PriceUSD   *string `json:"price_usd"`
	BoundBy    string  `json:"bound_by"`
}

func insertDraft(ctx context.Context, tx pgx.Tx, d *Epoch) error {
	rows := make([]factorRow, len(d.Factors))
	for i, f := range d.Factors {
		rows[i] = factorRow{f.GPUClass, f.K.String(), f.Quality.String(), written(f.PriceRatio), written(f.PriceUSD), string(f.Bound)}
	}
	factors, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("anchor: draft: %w", err)
	}
	_, err = tx.Exec(ctx, insertDraftSQL, d.ID, d.Follows, orNull(d.EffectiveAt), d.ReferenceClass, d.Method, d.Link, d.Inputs, d.InputsSHA256[:],
		factors, d.Drafted.By)
	if err != nil {
		return fmt.Errorf("anchor: draft: %w", err)
	}
	return nil
}

func written(d decimal.NullDecimal) *string {
	if !d.Valid {
		return nil
	}
	text := d.Decimal.String()
	return &text
}
