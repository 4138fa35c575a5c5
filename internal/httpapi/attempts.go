package httpapi

import (
	"math"
	"net/http"

	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
)

func (a *API) listAttempts(w http.ResponseWriter, r *http.Request) error {
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	q := queryOf(r)
	p := q.numbered(math.MaxInt64)
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Dispatcher.Attempts(r.Context(), redemption, redemptionsOf(principalOf(r.Context())), p.beforeNumber(), p.more())
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(one dispatch.Attempt) []byte { return numberPosition(one.N) }, encodeAttempt)
	return answer(w, http.StatusOK, wire.AttemptPage{Data: data, NextCursor: next})
}

// replayRedemption needs no idempotency key: what is due is due.
func (a *API) replayRedemption(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	state, err := a.Dispatcher.Replay(r.Context(), redemption, redemptionsOf(principalOf(r.Context())))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.Replay{
		RedemptionID: id.Format(id.Redemption, redemption), Phase: wire.AttemptPhase(state.Phase), NextAt: state.NextAt,
	})
}

func encodeAttempt(one dispatch.Attempt) wire.Attempt {
	encoded := wire.Attempt{
		Phase: wire.AttemptPhase(one.Phase), Outcome: wire.AttemptOutcome(one.Outcome), ErrorClass: textOrNull(one.Class),
		Milliseconds: one.Milliseconds, At: one.At,
	}
	if one.HTTPStatus != 0 {
		encoded.HTTPStatus = &one.HTTPStatus
	}
	return encoded
}
