package httpapi

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

func (a *API) getSunset(w http.ResponseWriter, r *http.Request) error {
	s, err := anchor.SunsetOf(r.Context(), a.Pool, chi.URLParam(r, "gpu_class"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeSunset(s))
}

func (a *API) proposeSunset(w http.ResponseWriter, r *http.Request) error {
	var req wire.ProposeSunsetRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	n := anchor.NewSunset{
		By: principalOf(r.Context()).ID, GPUClass: chi.URLParam(r, "gpu_class"), NoMintsFrom: f.time("no_mints_from", req.NoMintsFrom),
		SunsetAt: f.time("sunset_at", req.SunsetAt), Reason: f.text("reason", req.Reason, maxReason),
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
		s, err := anchor.ProposeSunsetTx(ctx, tx, n)
		answer := encodeSunset(s)
		return creation{first: answer, kept: answer}, err
	})
}

func (a *API) approveSunset(w http.ResponseWriter, r *http.Request) error {
	return a.changeSunset(w, r, func(ctx context.Context, tx pgx.Tx, class string, sunset, by uuid.UUID) (anchor.Sunset, error) {
		policy, err := coverage.InForce(ctx, tx)
		if err != nil {
			return anchor.Sunset{}, err
		}
		return anchor.ApproveSunsetTx(ctx, tx, class, sunset, by, policy.Epochs.Policy())
	})
}

func (a *API) withdrawSunset(w http.ResponseWriter, r *http.Request) error {
	return a.changeSunset(w, r, anchor.WithdrawSunsetTx)
}

// changeSunset does something with a sunset of the path's class. Doing it again changes nothing, so it needs no key.
func (a *API) changeSunset(
	w http.ResponseWriter, r *http.Request, change func(ctx context.Context, tx pgx.Tx, class string, sunset, by uuid.UUID) (anchor.Sunset, error),
) error {
	var req wire.SunsetRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	sunset := f.id(id.Sunset, "sunset_id", req.SunsetID)
	if err := f.err(); err != nil {
		return err
	}
	ctx := r.Context()
	var changed anchor.Sunset
	err := pg.InTx(ctx, a.Pool, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
		changed, err = change(ctx, tx, chi.URLParam(r, "gpu_class"), sunset, principalOf(ctx).ID)
		return err
	})
	if err != nil {
		return anchor.Committed(err)
	}
	return answer(w, http.StatusOK, encodeSunset(changed))
}

func encodeSunset(s anchor.Sunset) wire.Sunset {
	return wire.Sunset{
		ID: id.Format(id.Sunset, s.ID), GPUClass: s.GPUClass, Status: wire.SunsetStatus(s.Status), NoMintsFrom: s.NoMintsFrom, SunsetAt: s.SunsetAt,
		Reason: s.Reason, Proposed: encodeSignature(s.Proposed), Approved: encodeSignature(s.Approved), Withdrawn: encodeSignature(s.Withdrawn),
	}
}

// encodeClassSunset is null for a class that stays.
func encodeClassSunset(announced map[string]anchor.Sunset, class string) *wire.ClassSunset {
	s, ends := announced[class]
	if !ends {
		return nil
	}
	return &wire.ClassSunset{NoMintsFrom: s.NoMintsFrom, SunsetAt: s.SunsetAt, AnnouncedAt: s.Approved.At, Reason: s.Reason}
}
