package httpapi

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

func (a *API) createEpoch(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateEpochRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	n := anchor.NewDraft{By: principalOf(r.Context()).ID, EffectiveAt: f.optionalTime("effective_at", req.EffectiveAt)}
	if req.ReferenceClass != nil {
		n.ReferenceClass = f.matches("reference_class", *req.ReferenceClass, gpuClassForm)
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		policy, err := coverage.InForce(ctx, tx)
		if err != nil {
			return creation{}, err
		}
		n.Policy = policy.Epochs.Policy()
		drafted, err := anchor.DraftTx(ctx, tx, n)
		answer := encodeEpoch(&drafted)
		return creation{first: answer, kept: answer}, err
	})
}

func (a *API) listEpochs(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	f := anchor.EpochFilter{
		Published: !seesDrafts(r), Status: anchor.EpochStatus(word[wire.EpochStatus](q, "status")), Before: p.before(), Limit: p.more(),
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := anchor.Epochs(r.Context(), a.Pool, f)
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(e anchor.Epoch) []byte { return idPosition(e.ID) }, summarizeEpoch)
	return answer(w, http.StatusOK, wire.EpochPage{Data: data, NextCursor: next})
}

// seesDrafts tells whether the caller sees what is not published.
func seesDrafts(r *http.Request) bool {
	switch principalOf(r.Context()).Role {
	case access.RoleOperator, access.RoleFinance, access.RoleAuditor:
		return true
	case access.RoleHolder, access.RoleProvider:
	}
	return false
}

func (a *API) getEpoch(w http.ResponseWriter, r *http.Request) error {
	epoch, err := pathID(r, id.Epoch, "epoch_id")
	if err != nil {
		return err
	}
	e, err := anchor.EpochByID(r.Context(), a.Pool, epoch)
	if err == nil && e.Number == 0 && !seesDrafts(r) {
		err = anchor.ErrEpochNotFound
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeEpoch(&e))
}

func (a *API) approveEpoch(w http.ResponseWriter, r *http.Request) error {
	return a.signEpoch(w, r, anchor.ApproveTx)
}

func (a *API) withdrawEpoch(w http.ResponseWriter, r *http.Request) error {
	return a.signEpoch(w, r, anchor.WithdrawTx)
}

// signEpoch takes a step on a draft that needs nothing said.
func (a *API) signEpoch(w http.ResponseWriter, r *http.Request, step func(ctx context.Context, tx pgx.Tx, epoch, by uuid.UUID) (anchor.Epoch, error)) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	return a.changeEpoch(w, r, func(ctx context.Context, tx pgx.Tx, epoch, by uuid.UUID) (anchor.Epoch, error) {
		return step(ctx, tx, epoch, by)
	})
}

func (a *API) announceEpoch(w http.ResponseWriter, r *http.Request) error {
	var req wire.AnnounceEpochRequest
	if err := decodeOptional(r, &req); err != nil {
		return err
	}
	var f faults
	at := f.optionalTime("effective_at", req.EffectiveAt)
	if err := f.err(); err != nil {
		return err
	}
	return a.changeEpoch(w, r, func(ctx context.Context, tx pgx.Tx, epoch, by uuid.UUID) (anchor.Epoch, error) {
		policy, err := coverage.InForce(ctx, tx)
		if err != nil {
			return anchor.Epoch{}, err
		}
		return anchor.AnnounceTx(ctx, tx, anchor.Announcement{Epoch: epoch, By: by, EffectiveAt: at, Policy: policy.Epochs.Policy()})
	})
}

// changeEpoch does something with the epoch of the path, and answers with what has become of it. Doing it again changes nothing, so it
// needs no key.
func (a *API) changeEpoch(w http.ResponseWriter, r *http.Request, change func(ctx context.Context, tx pgx.Tx, epoch, by uuid.UUID) (anchor.Epoch, error)) error {
	epoch, err := pathID(r, id.Epoch, "epoch_id")
	if err != nil {
		return err
	}
	ctx := r.Context()
	var changed anchor.Epoch
	err = pg.InTx(ctx, a.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		changed, err = change(ctx, tx, epoch, principalOf(ctx).ID)
		return err
	})
	if err != nil {
		return anchor.Committed(err)
	}
	return answer(w, http.StatusOK, encodeEpoch(&changed))
}

func encodeEpoch(e *anchor.Epoch) wire.Epoch {
	s := summarizeEpoch(*e)
	return wire.Epoch{
		ID: s.ID, Number: s.Number, Status: s.Status, EffectiveAt: s.EffectiveAt, ReferenceClass: s.ReferenceClass, Link: s.Link,
		InputsSha256: s.InputsSha256, Method: s.Method, Follows: s.Follows, Drafted: s.Drafted, Approved: s.Approved,
		Announced: s.Announced, Withdrawn: s.Withdrawn, Inputs: string(e.Inputs), Factors: encodeFactors(e.Factors),
	}
}

func summarizeEpoch(e anchor.Epoch) wire.EpochSummary {
	return wire.EpochSummary{
		ID: id.Format(id.Epoch, e.ID), Number: numberOrNull(e.Number), Status: wire.EpochStatus(e.Status), EffectiveAt: timeOrNull(e.EffectiveAt),
		ReferenceClass: e.ReferenceClass, Link: e.Link.String(), InputsSha256: hex.EncodeToString(e.InputsSHA256[:]), Method: e.Method,
		Follows: idOrNull(id.Epoch, e.Follows), Drafted: encodeSignature(e.Drafted), Approved: encodeSignature(e.Approved),
		Announced: encodeSignature(e.Announced), Withdrawn: encodeSignature(e.Withdrawn),
	}
}

func encodeFactors(factors []anchor.Factor) []wire.AnchorFactor {
	encoded := make([]wire.AnchorFactor, len(factors))
	for i, f := range factors {
		encoded[i] = wire.AnchorFactor{
			GPUClass: f.GPUClass, K: f.K.StringFixed(sixDecimals), Quality: f.Quality.StringFixed(sixDecimals),
			PriceRatio: decimalOrNull(f.PriceRatio), PriceUsd: decimalOrNull(f.PriceUSD), BoundBy: boundOrNull(f.Bound),
		}
	}
	return encoded
}

// numberOrNull is null for what has no number yet.
func numberOrNull(number int) *wire.EpochNumber {
	if number == 0 {
		return nil
	}
	n := wire.EpochNumber(number) //nolint:gosec // Epochs are few.
	return &n
}

func boundOrNull(b anchor.Bound) *wire.FactorBound {
	if b == "" {
		return nil
	}
	bound := wire.FactorBound(b)
	return &bound
}

func encodeSignature(s anchor.Signature) *wire.Signature {
	if s.By == uuid.Nil {
		return nil
	}
	return &wire.Signature{By: id.Format(id.Principal, s.By), At: s.At}
}
