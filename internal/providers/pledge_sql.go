package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

// pledgeAccountKinds is in the order of their names, in which selectPledgesSQL lists the accounts.
var pledgeAccountKinds = [...]ledger.AccountKind{
	ledger.AccountAvailable, ledger.AccountBacking, ledger.AccountCommitment, ledger.AccountDelivered,
	ledger.AccountEarmarked, ledger.AccountExpired, ledger.AccountReleased,
}

const (
	insertPledgeSQL = `
INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, sla_percent, document_sha256, metadata, created_by,
                     datacenter, form_factor, memory_gb, interconnect, node_size, firmness, max_concurrency, max_daily_hours,
                     notice_hours, remedy, encumbrance, signature, signed_with)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) RETURNING created_at`

	insertEventSQL = `
INSERT INTO pledge_events (pledge_id, status, at, actor, transaction_seq, detail) VALUES ($1, $2, $3, $4, $5, $6)`

	selectPledgesSQL = `
SELECT p.id, p.provider_id, p.status, p.gpu_class, p.hours, p.region, p.starts_at, p.expires_at, p.sla_percent, p.document_sha256,
       p.datacenter, p.form_factor, p.memory_gb, p.interconnect, p.node_size, p.firmness, p.max_concurrency, p.max_daily_hours,
       p.notice_hours, p.remedy, p.encumbrance, p.signature, p.signed_with,
       p.haircut, p.reject_reason, COALESCE(p.metadata, '{}'), p.created_by, p.verified_by, p.verified_at, p.created_at,
       a.ids, a.balances, i.id, s.hours, s.sch
FROM pledges p
JOIN accounts i ON i.provider_id = p.provider_id AND i.kind = 'issuance' AND i.asset = 'SCH'
CROSS JOIN LATERAL (
    SELECT array_agg(id ORDER BY kind COLLATE "C") AS ids, array_agg(balance ORDER BY kind COLLATE "C") AS balances
    FROM accounts WHERE pledge_id = p.id
) AS a
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(hours), 0)::bigint AS hours, COALESCE(sum(sch), 0) AS sch FROM pledge_shortfalls WHERE pledge_id = p.id
) AS s`

	listPledgesSQL = selectPledgesSQL + `
WHERE ($1::uuid IS NULL OR p.provider_id = $1) AND ($2::text IS NULL OR p.gpu_class = $2) AND ($3::text IS NULL OR p.status = $3)
  AND ($4::uuid IS NULL OR p.id < $4)
ORDER BY p.id DESC LIMIT $5`
)

// checkAgainstDatabase refuses a pledge of what does not exist, or whose time is over by the database's clock.
func checkAgainstDatabase(ctx context.Context, tx pgx.Tx, p *planned) error {
	known, err := anchor.IsClass(ctx, tx, p.GPUClass)
	if err != nil {
		return err
	}
	if !known {
		return &InvalidError{"gpu_class", "unknown", "There is no such GPU class."}
	}
	if _, err := selectProvider(ctx, tx, p.ProviderID); err != nil {
		return err
	}
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT ballast_now()`).Scan(&now); err != nil {
		return err
	}
	if !p.windows[len(p.windows)-1].EndsAt.After(now) {
		return &InvalidError{"expires_at", "past", "The pledge would be over already."}
	}
	return nil
}

func insertPledge(ctx context.Context, tx pgx.Tx, pledge uuid.UUID, p *planned) error {
	var at time.Time
	h := p.Hardware
	err := tx.QueryRow(ctx, insertPledgeSQL, pledge, p.ProviderID, p.GPUClass, p.hours, p.Region, p.StartsAt, p.ExpiresAt, p.SLAPercent,
		orNull(p.DocumentSHA256), orEmpty(p.Metadata), p.Caller, orNull(p.Datacenter), orNull(h.FormFactor), h.MemoryGB,
		orNull(h.Interconnect), orNull(h.NodeSize), p.Firmness, orNull(p.MaxConcurrency), orNull(p.maxDailyHours), p.NoticeHours,
		orNull(p.Remedy), orNull(p.Encumbrance), p.Signature, p.signedWith).Scan(&at)
	switch {
	case pg.IsUniqueViolation(err, "pledges_document_key"):
		return ErrDocumentPledged
	case pg.ConstraintName(err) == "pledges_are_of_classes_that_stay":
		return anchor.ErrClassSunset
	}
	if err != nil {
		return fmt.Errorf("providers: pledge: %w", err)
	}
	if err := insertWindows(ctx, tx, pledge, p.windows, p.hours); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, insertEventSQL, pledge, PledgePending, at, p.Caller, nil, nil)
	return err
}

func selectPledge(ctx context.Context, db ledger.Querier, pledge uuid.UUID) (Pledge, error) {
	rows, err := db.Query(ctx, selectPledgesSQL+` WHERE p.id = $1`, pledge)
	if err != nil {
		return Pledge{}, fmt.Errorf("providers: pledge: %w", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanPledge)
	if errors.Is(err, pgx.ErrNoRows) {
		return Pledge{}, ErrPledgeNotFound
	}
	return p, err
}

func selectPledges(ctx context.Context, db ledger.Querier, f PledgeFilter) ([]Pledge, error) {
	rows, err := db.Query(ctx, listPledgesSQL, orNull(f.ProviderID), orNull(f.GPUClass), orNull(string(f.Status)), orNull(f.Before), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("providers: list pledges: %w", err)
	}
	return pgx.CollectRows(rows, scanPledge)
}

func scanPledge(row pgx.CollectableRow) (p Pledge, err error) {
	var document, reason, datacenter, formFactor, interconnect, remedy, encumbrance *string
	var nodeSize, maxConcurrency *int
	var maxDailyHours *int64
	var verifiedBy *uuid.UUID
	var verifiedAt *time.Time
	var ids []uuid.UUID
	var balances []int64
	err = row.Scan(&p.ID, &p.ProviderID, &p.Status, &p.GPUClass, &p.Hours, &p.Region, &p.StartsAt, &p.ExpiresAt, &p.SLAPercent, &document,
		&datacenter, &formFactor, &p.Hardware.MemoryGB, &interconnect, &nodeSize, &p.Firmness, &maxConcurrency, &maxDailyHours,
		&p.NoticeHours, &remedy, &encumbrance, &p.Signature, &p.SignedWith,
		&p.Haircut, &reason, &p.Metadata, &p.CreatedBy, &verifiedBy, &verifiedAt, &p.CreatedAt,
		&ids, &balances, &p.Accounts.Issuance, &p.Shortfall.Hours, &p.Shortfall.SCH)
	if err == nil && len(ids) != len(pledgeAccountKinds) {
		err = fmt.Errorf("pledge %s has %d accounts", p.ID, len(ids))
	}
	if err != nil {
		return Pledge{}, fmt.Errorf("providers: pledge: %w", err)
	}
	p.DocumentSHA256, p.RejectReason, p.VerifiedBy = orZero(document), orZero(reason), orZero(verifiedBy)
	p.Datacenter, p.Remedy, p.Encumbrance = orZero(datacenter), orZero(remedy), orZero(encumbrance)
	p.Hardware.FormFactor, p.Hardware.Interconnect, p.Hardware.NodeSize = orZero(formFactor), orZero(interconnect), orZero(nodeSize)
	p.MaxConcurrency, p.MaxDailyHours = orZero(maxConcurrency), orZero(maxDailyHours)
	p.StartsAt, p.ExpiresAt, p.VerifiedAt, p.CreatedAt = p.StartsAt.UTC(), p.ExpiresAt.UTC(), orZero(verifiedAt).UTC(), p.CreatedAt.UTC()
	for i, kind := range pledgeAccountKinds {
		p.setAccount(kind, ids[i], balances[i])
	}
	return p, nil
}

func (p *Pledge) setAccount(kind ledger.AccountKind, account uuid.UUID, balance int64) {
	switch kind {
	case ledger.AccountCommitment:
		p.Accounts.Commitment = account
	case ledger.AccountAvailable:
		p.Accounts.Available, p.Balances.Available = account, balance
	case ledger.AccountBacking:
		p.Accounts.Backing, p.Balances.Backing = account, balance
	case ledger.AccountEarmarked:
		p.Accounts.Earmarked, p.Balances.Earmarked = account, balance
	case ledger.AccountDelivered:
		p.Accounts.Delivered, p.Balances.Delivered = account, balance
	case ledger.AccountExpired:
		p.Accounts.Expired, p.Balances.Expired = account, balance
	case ledger.AccountReleased:
		p.Accounts.Released, p.Balances.Released = account, balance
	default: // The other kinds are not a pledge's; the schema says so.
	}
}
