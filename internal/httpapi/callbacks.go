package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/push"
	"github.com/ballast-compute/ballast/internal/strictjson"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// callbackOutcomes is what each type of a callback says.
var callbackOutcomes = map[wire.CallbackType]dispatch.Outcome{
	wire.CallbackTypeRedemptionIssued: dispatch.Issued, wire.CallbackTypeRedemptionRejected: dispatch.Rejected, wire.CallbackTypeRedemptionAccepted: dispatch.Accepted,
}

// takeCallback looks at nothing of the body before it knows who signed it.
func (a *API) takeCallback(w http.ResponseWriter, r *http.Request) error {
	provider, err := pathID(r, id.Provider, "provider_id")
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, defaultBodyBytes+1))
	if err != nil || len(body) > defaultBodyBytes {
		return &strictjson.Error{Code: strictjson.TooLarge, Detail: "The body is larger than this call accepts."}
	}
	if err := a.Callbacks.Verify(r.Context(), provider, r.Header, body); err != nil {
		if errors.Is(err, webhook.ErrForged) {
			w.Header().Set("WWW-Authenticate", "StandardWebhooks") // Every 401 says what would do (RFC 9110).
		}
		return err
	}
	var req wire.ProviderCallback
	if err := strictjson.Decode(bytes.NewReader(body), defaultBodyBytes, &req); err != nil {
		return err
	}
	callback, err := callbackOf(&req, provider)
	if err != nil {
		return err
	}
	if err := a.Callbacks.Take(r.Context(), callback); err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.ProviderCallbackReceipt{
		RedemptionID: req.Data.RedemptionID, Status: wire.ProviderCallbackReceiptStatus(callback.Outcome),
	})
}

func callbackOf(req *wire.ProviderCallback, provider uuid.UUID) (push.Callback, error) {
	var f faults
	if f.present("type", string(req.Type)) && !req.Type.Valid() {
		f.invalidValue("type")
	}
	f.time("timestamp", req.Timestamp)
	c := push.Callback{
		ProviderID: provider, RedemptionID: f.id(id.Redemption, "data.redemption_id", req.Data.RedemptionID), Outcome: callbackOutcomes[req.Type],
		GrantID: f.optionalText("data.provider_grant_id", req.Data.ProviderGrantID, maxExternalID), Hours: f.optionalHours("data.hours", req.Data.Hours),
		Partial: req.Data.Partial != nil && *req.Data.Partial, Reason: f.optionalText("data.reason", req.Data.Reason, maxReason),
	}
	if c.Outcome == dispatch.Issued && c.GrantID == "" {
		f.add("data.provider_grant_id", "required", "What is issued has a grant.")
	}
	return c, f.err()
}
