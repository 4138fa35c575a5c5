package translog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// HistoryPoints is how many points a history has at most, however long it is.
const HistoryPoints = 366

// Of each of so many equal parts of the span, the last proof. Only what is in the log counts, so that whoever doubts a point finds its entry there.
const historySQL = `
WITH span AS MATERIALIZED (
    SELECT COALESCE($1, upto - interval '90 days') AS since, upto FROM (SELECT COALESCE($2, ballast_now()) AS upto) AS u
), placed AS (
    SELECT l.size, l.total, l.minted, l.burned, l.collateral, l.created_at, p.first_index,
           width_bucket(extract(epoch FROM l.created_at), extract(epoch FROM s.since), extract(epoch FROM s.upto), $3) AS part
    FROM span s JOIN liability_proofs l ON l.created_at > s.since AND l.created_at <= s.upto JOIN log_positions p ON p.seq = l.seq
    WHERE l.asset = 'SCH'
), chosen AS (
    SELECT DISTINCT ON (least(part, $3)) * FROM placed ORDER BY least(part, $3), size DESC
)
SELECT s.since, s.upto, c.created_at, c.first_index, c.size, c.total, c.minted, c.burned,
       COALESCE((SELECT sum((of_class ->> 'sch')::numeric) FROM jsonb_array_elements(c.collateral) AS of_class), 0)
FROM span s LEFT JOIN chosen c ON true ORDER BY c.size`

// History is what the log's proofs of liabilities say of the supply and what backed it, over a span of time.
type History struct {
	From, To time.Time
	// Points are by time, up to HistoryPoints.
	Points []HistoryPoint
}

// HistoryPoint is one entry of the log.
type HistoryPoint struct {
	At time.Time
	// Index is where the entry is in the log, and Size how many entries its figures are of.
	Index, Size int64
	// Supply is Minted − Burned, in millionths.
	Supply, Minted, Burned int64
	// Collateral is what all hours, available and backing, were worth in millionths of SCH, before haircuts.
	Collateral decimal.Decimal
}

// Ratio is Collateral / Supply with six places, rounded down, and null while nothing was out. Tokens in escrow are in the supply, and the hours that are
// earmarked for them are not in the collateral, so it errs on the low side.
func (p HistoryPoint) Ratio() decimal.NullDecimal {
	if p.Supply <= 0 {
		return decimal.NullDecimal{}
	}
	quotient, _ := p.Collateral.QuoRem(decimal.NewFromInt(p.Supply), ratioPlaces)
	return decimal.NewNullDecimal(quotient)
}

const ratioPlaces = 6

// ReadHistory returns the history of a span: of 90 days where it has no beginning, up to now where it has no end. It needs no log in this process.
func ReadHistory(ctx context.Context, db ledger.Querier, from, to *time.Time) (h History, err error) {
	rows, err := db.Query(ctx, historySQL, from, to, HistoryPoints)
	if err != nil {
		return History{}, fmt.Errorf("translog: read the history: %w", err)
	}
	var at *time.Time
	var index, size, supply, minted, burned *int64
	var collateral decimal.Decimal
	_, err = pgx.ForEachRow(rows, []any{&h.From, &h.To, &at, &index, &size, &supply, &minted, &burned, &collateral}, func() error {
		if at != nil {
			h.Points = append(h.Points, HistoryPoint{at.UTC(), *index, *size, *supply, *minted, *burned, collateral})
		}
		return nil
	})
	if err != nil {
		return History{}, fmt.Errorf("translog: read the history: %w", err)
	}
	h.From, h.To = h.From.UTC(), h.To.UTC()
	return h, nil
}
