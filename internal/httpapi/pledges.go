package httpapi

import (
	"context"
	"net/http"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

var haircutForm = regexp.MustCompile(`^0(\.[0-9]{1,6})?$`)

func (a *API) createPledge(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreatePledgeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	n, err := newPledge(principalOf(r.Context()), &req)
	if err != nil {
		return err
	}
	req.Hours = oneForm(req.Hours)
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		p, err := a.Providers.CreatePledgeTx(ctx, tx, n)
		if err != nil {
			return creation{}, err
		}
		answer := encodePledge(p)
		return creation{first: answer, kept: answer}, nil
	})
}

// rate returns the number in a field that is there.
func (f *faults) rate(field, text string, form *regexp.Regexp) decimal.Decimal {
	if f.matches(field, text, form); !form.MatchString(text) {
		return decimal.Decimal{}
	}
	d, err := money.ParseRate(text)
	if err != nil {
		f.invalidValue(field)
	}
	return d
}

// positive refuses zero as the books do, where they would not be asked.
func positive(q money.Quantity) error {
	if q == (money.Quantity{}) {
		return money.ErrNotPositive
	}
	return nil
}

func (a *API) getPledge(w http.ResponseWriter, r *http.Request) error {
	pledge, err := pathID(r, id.Pledge, "pledge_id")
	if err != nil {
		return err
	}
	p, err := a.Providers.Pledge(r.Context(), pledge, principalOf(r.Context()).ProviderID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodePledge(p))
}

func (a *API) listPledges(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	f := providers.PledgeFilter{
		ProviderID: q.id(id.Provider, "provider_id"), GPUClass: q.form("gpu_class", gpuClassForm),
		Status: providers.PledgeStatus(word[wire.PledgeStatus](q, "status")), Before: p.before(), Limit: p.more(),
	}
	if err := q.err(); err != nil {
		return err
	}
	var found []providers.Pledge
	var err error
	if own(&f.ProviderID, principalOf(r.Context()).ProviderID) {
		found, err = a.Providers.Pledges(r.Context(), f)
	}
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(p providers.Pledge) []byte { return idPosition(p.ID) }, encodePledge)
	return answer(w, http.StatusOK, wire.PledgePage{Data: data, NextCursor: next})
}

func (a *API) verifyPledge(w http.ResponseWriter, r *http.Request) error {
	var req wire.VerifyPledgeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	pledge, err := pathID(r, id.Pledge, "pledge_id")
	if err != nil {
		return err
	}
	call, err := callOf(r, req)
	if err != nil {
		return err
	}
	var f faults
	v := providers.Verification{Call: call, PledgeID: pledge}
	if req.Haircut != nil {
		v.Haircut = f.rate("haircut", *req.Haircut, haircutForm)
	}
	if err := f.err(); err != nil {
		return err
	}
	p, replayed, err := a.Providers.Verify(r.Context(), v)
	if err != nil {
		return err
	}
	a.assess(r.Context())
	return answerAs(w, http.StatusOK, encodePledge(p), replayed)
}

func (a *API) rejectPledge(w http.ResponseWriter, r *http.Request) error {
	var req wire.RejectPledgeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	reason := f.text("reason", req.Reason, maxReason)
	if err := f.err(); err != nil {
		return err
	}
	pledge, err := pathID(r, id.Pledge, "pledge_id")
	if err != nil {
		return err
	}
	p, err := a.Providers.Reject(r.Context(), providers.Rejection{
		Caller: principalOf(r.Context()).ID, PledgeID: pledge, Reason: reason,
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodePledge(p))
}

func (a *API) releasePledge(w http.ResponseWriter, r *http.Request) error {
	var req wire.ReleasePledgeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	pledge, err := pathID(r, id.Pledge, "pledge_id")
	if err != nil {
		return err
	}
	asked := req
	asked.Hours = oneForm(req.Hours)
	call, err := callOf(r, asked)
	if err != nil {
		return err
	}
	var f faults
	release := providers.Release{
		Call: call, ProviderID: principalOf(r.Context()).ProviderID, PledgeID: pledge, Hours: f.quantity("hours", req.Hours),
	}
	if err := f.err(); err != nil {
		return err
	}
	if err := positive(release.Hours); err != nil {
		return err
	}
	p, replayed, err := a.Providers.Release(r.Context(), release)
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusOK, encodePledge(p), replayed)
}

// asWritten is null for what is not known.
func asWritten(d decimal.NullDecimal) *string {
	if !d.Valid {
		return nil
	}
	text := d.Decimal.String()
	return &text
}
