package redeem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

const (
	correctionColumns = `redemption_id, n, hours, amount, reason, proposed_by, proposed_at, approved_by, approved_at, transaction_id`

	insertCorrectionSQL = `
INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by)
SELECT $1, COALESCE(max(n), 0) + 1, $2, $3, $4, $5 FROM redemption_corrections WHERE redemption_id = $1
RETURNING ` + correctionColumns

	selectCorrectionSQL = `SELECT ` + correctionColumns + ` FROM redemption_corrections WHERE redemption_id = $1 AND n = $2`

	selectCorrectionsSQL = `SELECT ` + correctionColumns + ` FROM redemption_corrections WHERE redemption_id = $1 ORDER BY n`

	selectCorrectedSQL = `SELECT COALESCE(sum(hours), 0)::bigint FROM redemption_corrections WHERE redemption_id = $1 AND transaction_id IS NOT NULL`

	selectDeliveredLinesSQL = `
SELECT l.pledge_id, l.hours, a.id, b.id, e.id, d.id
FROM delivered_lines l
JOIN accounts a ON a.pledge_id = l.pledge_id AND a.kind = 'pledge_available'
JOIN accounts b ON b.pledge_id = l.pledge_id AND b.kind = 'pledge_backing'
JOIN accounts e ON e.pledge_id = l.pledge_id AND e.kind = 'pledge_earmarked'
JOIN accounts d ON d.pledge_id = l.pledge_id AND d.kind = 'pledge_delivered'
WHERE l.redemption_id = $1
ORDER BY (SELECT max(w.ends_at) FROM pledge_windows w WHERE w.pledge_id = l.pledge_id AND w.ends_at > ballast_now()) DESC NULLS LAST, l.pledge_id`

	selectCorrectedLinesSQL = `SELECT pledge_id, sum(hours)::bigint FROM corrected_lines WHERE redemption_id = $1 GROUP BY pledge_id`

	// One statement, so that the guards of each see the other.
	correctSQL = `
WITH approved AS (
    UPDATE redemption_corrections SET approved_by = $3, approved_at = $4, transaction_id = $5 WHERE redemption_id = $1 AND n = $2
)
INSERT INTO corrected_lines (redemption_id, n, pledge_id, hours)
SELECT $1, $2, l.pledge_id, l.hours FROM unnest($6::uuid[], $7::bigint[]) AS l (pledge_id, hours)`
)

// correctionRow is a correction as JSON of its row.
type correctionRow struct {
	RedemptionID  uuid.UUID `json:"redemption_id"`
	N             int       `json:"n"`
	Hours         int64     `json:"hours"`
	Amount        int64     `json:"amount"`
	Reason        string    `json:"reason"`
	ProposedBy    uuid.UUID `json:"proposed_by"`
	ProposedAt    time.Time `json:"proposed_at"`
	ApprovedBy    uuid.UUID `json:"approved_by"`
	ApprovedAt    time.Time `json:"approved_at"`
	TransactionID uuid.UUID `json:"transaction_id"`
}

func ofRows(rows []correctionRow) (corrections []Correction) {
	for _, row := range rows {
		c := Correction(row)
		c.ProposedAt, c.ApprovedAt = c.ProposedAt.UTC(), c.ApprovedAt.UTC()
		corrections = append(corrections, c)
	}
	return corrections
}

func scanCorrection(row pgx.CollectableRow) (c Correction, err error) {
	var approvedBy, transaction *uuid.UUID
	var approvedAt *time.Time
	err = row.Scan(&c.RedemptionID, &c.N, &c.Hours, &c.Amount, &c.Reason, &c.ProposedBy, &c.ProposedAt, &approvedBy, &approvedAt, &transaction)
	c.ProposedAt, c.ApprovedBy, c.ApprovedAt, c.TransactionID = c.ProposedAt.UTC(), orZero(approvedBy), orZero(approvedAt).UTC(), orZero(transaction)
	return c, err
}

func insertCorrection(ctx context.Context, tx pgx.Tx, n NewCorrection, amount int64) (Correction, error) {
	rows, err := tx.Query(ctx, insertCorrectionSQL, n.RedemptionID, n.Hours, amount, n.Reason, n.By)
	if err != nil {
		return Correction{}, fmt.Errorf("redeem: propose a correction: %w", err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanCorrection)
	if err != nil {
		return Correction{}, fmt.Errorf("redeem: propose a correction: %w", err)
	}
	return c, nil
}

func selectCorrection(ctx context.Context, db ledger.Querier, redemption uuid.UUID, n int) (*Correction, error) {
	rows, err := db.Query(ctx, selectCorrectionSQL, redemption, n)
	if err != nil {
		return nil, fmt.Errorf("redeem: correction: %w", err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanCorrection)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("redeem: correction: %w", err)
	}
	return &c, nil
}

func selectCorrections(ctx context.Context, db ledger.Querier, redemption uuid.UUID) ([]Correction, error) {
	rows, err := db.Query(ctx, selectCorrectionsSQL, redemption)
	if err != nil {
		return nil, fmt.Errorf("redeem: corrections: %w", err)
	}
	return pgx.CollectRows(rows, scanCorrection)
}

// selectCorrected returns how many hours of a redemption were taken back.
func selectCorrected(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) (hours int64, err error) {
	if err = tx.QueryRow(ctx, selectCorrectedSQL, redemption).Scan(&hours); err != nil {
		err = fmt.Errorf("redeem: corrected hours: %w", err)
	}
	return hours, err
}

// routeCorrection finds the accounts that a correction moves between. They never change.
func (r *Redemptions) routeCorrection(ctx context.Context, s *correctionStep) error {
	b := &pgx.Batch{}
	b.Queue(selectIssuanceSQL, s.redemption.ProviderID, money.SCH).QueryRow(func(row pgx.Row) error { return row.Scan(&s.issuance) })
	b.Queue(selectDeliveredLinesSQL, s.redemption.ID).Query(func(rows pgx.Rows) (err error) {
		s.lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l settledLine, err error) {
			err = row.Scan(&l.pledge, &l.hours, &l.available, &l.backing, &l.earmarked, &l.delivered)
			return l, err
		})
		return err
	})
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("redeem: accounts of a correction: %w", err)
	}
	return nil
}

func queueCorrected(r *ledger.Reads, s *correctionStep) {
	s.corrected = make(map[uuid.UUID]int64)
	r.Queue(`SELECT transaction_id IS NOT NULL FROM redemption_corrections WHERE redemption_id = $1 AND n = $2`, s.redemption.ID, s.proposed.N).
		QueryRow(func(row pgx.Row) error { return row.Scan(&s.approved) })
	r.Queue(selectCorrectedLinesSQL, s.redemption.ID).Query(func(rows pgx.Rows) error {
		var pledge uuid.UUID
		var hours int64
		_, err := pgx.ForEachRow(rows, []any{&pledge, &hours}, func() error {
			s.corrected[pledge] = hours
			return nil
		})
		return err
	})
}

func queueCorrection(w *ledger.Writes, s *correctionStep, t *ledger.Transaction) {
	w.Queue(correctSQL, correctionArgs(s, t)...)
}

func correctionArgs(s *correctionStep, t *ledger.Transaction) []any {
	var pledges []uuid.UUID
	var hours []int64
	for _, l := range slices.DeleteFunc(slices.Clone(s.lines), func(l settledLine) bool { return l.gives == 0 }) {
		pledges, hours = append(pledges, l.pledge), append(hours, l.gives)
	}
	return []any{s.redemption.ID, s.proposed.N, s.by, t.CreatedAt, t.ID, pledges, hours}
}
