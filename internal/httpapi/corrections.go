package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/redeem"
)

func (a *API) listCorrections(w http.ResponseWriter, r *http.Request) error {
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	found, err := a.Redemptions.CorrectionsOf(r.Context(), redemption)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.CorrectionList{Data: encodeCorrections(found)})
}

func (a *API) proposeCorrection(w http.ResponseWriter, r *http.Request) error {
	var req wire.ProposeCorrectionRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	var f faults
	hours := f.quantity("hours", req.Hours)
	n := redeem.NewCorrection{
		By: principalOf(r.Context()).ID, RedemptionID: redemption, Reason: f.text("reason", req.Reason, maxReason),
	}
	if err := f.err(); err != nil {
		return err
	}
	if n.Hours, err = hours.Minor(money.MaxScale); err != nil {
		return err
	}
	req.Hours = oneForm(req.Hours)
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		c, err := redeem.ProposeCorrectionTx(ctx, tx, n)
		answer := encodeCorrection(c)
		return creation{first: answer, kept: answer}, err
	})
}

// approveCorrection needs no idempotency key: a correction takes effect once.
func (a *API) approveCorrection(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	number, err := pathNumber(r, "correction")
	if err != nil {
		return err
	}
	found, err := a.Redemptions.ApproveCorrection(r.Context(), redeem.Approval{
		By: principalOf(r.Context()).ID, RedemptionID: redemption, N: number,
	})
	if err != nil {
		return err
	}
	a.assess(r.Context())
	return answer(w, http.StatusOK, encodeRedemption(found))
}

// pathNumber returns a number from 1 on in the path. What is none names nothing.
func pathNumber(r *http.Request, name string) (int, error) {
	text := chi.URLParam(r, name)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxProposals || strconv.Itoa(n) != text {
		return 0, id.ErrMalformed
	}
	return n, nil
}

// maxProposals is how far the proposals of one redemption are counted.
const maxProposals = 32767

// optionalHours returns the millionths in a field, or 0 for one that is not there. One that is there must be more than none.
func (f *faults) optionalHours(field string, text *string) int64 {
	if text == nil {
		return 0
	}
	before := len(f.fields)
	hours, err := f.quantity(field, *text).Minor(money.MaxScale)
	if err != nil && len(f.fields) == before {
		f.add(field, "out_of_range", "The hours must be greater than zero, and no more than the redemption's.")
	}
	return hours
}

func encodeCorrections(corrections []redeem.Correction) []wire.RedemptionCorrection {
	encoded := make([]wire.RedemptionCorrection, len(corrections))
	for i, c := range corrections {
		encoded[i] = encodeCorrection(c)
	}
	return encoded
}

func encodeCorrection(c redeem.Correction) wire.RedemptionCorrection {
	return wire.RedemptionCorrection{
		Number: c.N, Hours: hoursText(c.Hours), Amount: money.Format(c.Amount, money.MaxScale), Reason: c.Reason,
		ProposedBy: id.Format(id.Principal, c.ProposedBy), ProposedAt: c.ProposedAt.UTC(), ApprovedBy: idOrNull(id.Principal, c.ApprovedBy),
		ApprovedAt: timeOrNull(c.ApprovedAt), TransactionID: idOrNull(id.Txn, c.TransactionID),
	}
}
