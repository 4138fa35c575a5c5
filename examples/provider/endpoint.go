package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// maxBody bounds what is read of a request: Ballast sends less than 4 KiB.
const maxBody = 64 << 10

// order is what Ballast asks for.
type order struct {
	Type string `json:"type"`
	Data struct {
		RedemptionID string `json:"redemption_id"`
		GPUClass     string `json:"gpu_class"`
		Hours        string `json:"hours"`
		Amount       string `json:"amount"`
		Recipient    *struct {
			ProviderAccount string `json:"provider_account"`
		} `json:"recipient"`
	} `json:"data"`
}

// reply is what is answered, at once or in a callback.
type reply struct {
	RedemptionID string `json:"redemption_id,omitempty"`
	Status       string `json:"status"`
	GrantID      string `json:"provider_grant_id,omitempty"`
	Hours        string `json:"hours,omitempty"`
	Partial      bool   `json:"partial,omitempty"`
	Reason       string `json:"reason,omitempty"`
}

// endpoint is what Ballast calls: POST to it asks for credits, GET of a redemption asks what became of it.
type endpoint struct {
	signer *signer
	grants *Grants
	faults *faults
	// later answers accepted, and tells by callback.
	later     bool
	callbacks *callbacks
	log       *slog.Logger
}

func (e *endpoint) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /redemptions", e.redeem)
	mux.HandleFunc("GET /redemptions/{id}", e.status)
	return mux
}

// read returns the body of a request that Ballast has signed, or answers.
func (e *endpoint) read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return nil, false
	}
	if err := e.signer.verify(r.Header, body); err != nil {
		http.Error(w, "not signed by Ballast", http.StatusUnauthorized)
		return nil, false
	}
	return body, true
}

// redeem grants what is asked for, once. Whatever is answered, and whether that arrives, is another matter than what is in the grants.
func (e *endpoint) redeem(w http.ResponseWriter, r *http.Request) {
	body, ok := e.read(w, r)
	if !ok {
		return
	}
	var o order
	if err := json.Unmarshal(body, &o); err != nil || o.Type != "redemption.requested" || o.Data.RedemptionID == "" {
		http.Error(w, "not a redemption", http.StatusBadRequest)
		return
	}
	_, granted := e.grants.Of(o.Data.RedemptionID)
	what, heads := e.faults.draw(o.Data.RedemptionID, !granted)
	if what != faultNone && !granted {
		e.log.Info("fails on purpose", slog.String("fault", string(what)), slog.String("redemption", o.Data.RedemptionID))
	}
	if heads && (what == faultError || what == faultHang) { // It goes wrong before anything is granted.
		e.misbehave(w, r, what, reply{})
		return
	}
	given, err := e.grants.Once(o.Data.RedemptionID, func() Grant { return e.decide(&o, what) })
	if err != nil {
		e.log.Error("the grant could not be kept", slog.Any("error", err))
		http.Error(w, "try again later", http.StatusInternalServerError)
		return
	}
	if given.Later {
		if what == faultReorder {
			e.callbacks.send(r.Context(), given, faultNone)
		} else {
			e.callbacks.soon(given, what)
		}
		answer(w, http.StatusAccepted, reply{RedemptionID: given.RedemptionID, Status: "accepted"})
		if what == faultReorder {
			e.callbacks.accepted(r.Context(), given)
		}
		return
	}
	e.misbehave(w, r, what, replyOf(given))
}

// decide is where a real provider would create credits in the account of the customer, in the same transaction as the grant. This one
// grants everybody everything, unless it was told to refuse.
func (e *endpoint) decide(o *order, what fault) Grant {
	g := Grant{Status: "issued", ID: "grant_" + uuid.NewString(), Hours: o.Data.Hours, Granted: o.Data.Hours, Class: o.Data.GPUClass, Later: e.later}
	if o.Data.Recipient != nil {
		g.Account = o.Data.Recipient.ProviderAccount
	}
	switch what {
	case faultDuplicate, faultReorder, faultForge, faultStale:
		g.Later = true // These go wrong with callbacks.
	case faultReject:
		g.Status, g.ID, g.Granted, g.Reason = "rejected", "", "", "no such account here"
	case faultPartial:
		g.Granted, g.Reason = half(o.Data.Hours), "no more GPUs of the class"
	default:
	}
	return g
}

// half is half of an amount of hours, rounded down to a millionth; or all of what cannot be halved.
func half(hours string) string {
	d, err := decimal.NewFromString(hours)
	if err != nil {
		return hours
	}
	millionths := new(big.Int).Quo(d.Shift(6).BigInt(), big.NewInt(2))
	if millionths.Sign() == 0 {
		return hours
	}
	return decimal.NewFromBigInt(millionths, -6).StringFixed(6)
}

func replyOf(g Grant) reply {
	r := reply{RedemptionID: g.RedemptionID, Status: g.Status, GrantID: g.ID, Hours: g.Granted, Reason: g.Reason}
	r.Partial = g.Status == "issued" && g.Granted != g.Hours
	return r
}

// misbehave answers, or does what it was told to instead.
func (e *endpoint) misbehave(w http.ResponseWriter, r *http.Request, what fault, truth reply) {
	switch what {
	case faultError:
		http.Error(w, "something broke", http.StatusInternalServerError)
	case faultHang:
		<-r.Context().Done()
	case faultDrop:
		panic(http.ErrAbortHandler) // The server closes the connection.
	case faultTrickle:
		trickle(w, r)
	case faultGarbage:
		_, _ = io.WriteString(w, "<html>200 but not as you know it</html>")
	case faultAmount:
		if d, err := decimal.NewFromString(truth.Hours); err == nil {
			truth.Hours = d.Add(d).StringFixed(6)
		}
		answer(w, http.StatusOK, truth)
	default:
		answer(w, http.StatusOK, truth)
	}
}

func trickle(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	ticks := time.NewTicker(500 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticks.C:
			if _, err := io.WriteString(w, " "); err != nil || out.Flush() != nil {
				return
			}
		}
	}
}

// status says what became of a redemption. not_found means that nothing was granted, and nothing will be unless it is asked for again.
func (e *endpoint) status(w http.ResponseWriter, r *http.Request) {
	if _, ok := e.read(w, r); !ok {
		return
	}
	id := r.PathValue("id")
	truth := reply{RedemptionID: id, Status: "not_found"}
	if given, ok := e.grants.Of(id); ok {
		truth = replyOf(given)
	}
	switch what, _ := e.faults.draw(id, false); what {
	case faultError, faultHang, faultGarbage, faultTrickle, faultDrop:
		e.misbehave(w, r, what, truth)
	default:
		answer(w, http.StatusOK, truth)
	}
}

func answer(w http.ResponseWriter, status int, body reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // Whoever asked will ask again.
}
