// Package httpapi is the API over HTTP: the routes, what guards them, and the one table from errors to answers. A handler decodes,
// makes one call of the domain, and encodes; it knows no rule of the books and no SQL.
package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi/transparency"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/push"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/strictjson"
	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
)

const (
	defaultRequestTimeout = 10 * time.Second
	// supplySlots is how many answers to GET /v1/supply, which anybody may ask for, are computed at once.
	supplySlots = 2
)

// API is the domain that the routes answer for. All fields but Log and RequestTimeout must be set.
type API struct {
	Ledger  *ledger.Ledger
	Auditor *ledger.Auditor
	// Access keeps holders and API keys.
	Access *access.Store
	// Providers keeps providers and their pledges, and mints.
	Providers *providers.Store
	// Coverage keeps policies, and says how far what is pledged covers what is out.
	Coverage *coverage.Store
	// Redemptions turns tokens into credits.
	Redemptions *redeem.Redemptions
	// Vouchers keeps codes that were loaded ahead.
	Vouchers *voucher.Store
	// Vault seals secrets that must be read again.
	Vault *vault.Vault
	// Dispatcher brings redemptions to providers that are called; Secrets sign what goes either way, and Callbacks takes what they say.
	Dispatcher *dispatch.Dispatcher
	Secrets    *push.Secrets
	Callbacks  *push.Callbacks
	// Outbound calls addresses that others have registered.
	Outbound *outbound.Client
	// Feed tells what happened.
	Feed *events.Feed
	// Webhooks keeps where events are sent.
	Webhooks *events.Webhooks
	// Log is where what is committed is published, or nil where this process keeps no log.
	Log *translog.Log
	// Pool is where reads of the anchor, creations outside of the journal, and snapshots of everything take their connections.
	Pool *pgxpool.Pool
	// RequestTimeout bounds the work for one request. By default it is ten seconds.
	RequestTimeout time.Duration

	logger *slog.Logger
	supply chan struct{}
	page   *transparency.Page
}

// New returns the handler of the whole API: every route of the contract, behind the transport's guards.
func New(api API, transport Transport) http.Handler {
	if api.RequestTimeout == 0 {
		api.RequestTimeout = defaultRequestTimeout
	}
	api.logger = withRequestContext(transport.Logger)
	api.supply = make(chan struct{}, supplySlots)
	api.page = transparency.NewPage(api.facts)
	routes := api.routes(transport)
	for i := range routes {
		if routes[i].probe {
			continue
		}
		if api.Log != nil && hasBody(routes[i].method) {
			routes[i].handler = api.promising(routes[i].handler)
		}
		routes[i].handler = withDeadline(cmp.Or(routes[i].patience, api.RequestTimeout), routes[i].handler)
	}
	return transport.handler(routes, api.writeError)
}

// withDeadline keeps a request from being worked on for longer than anybody waits.
func withDeadline(patience time.Duration, next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		return next(w, r.WithContext(ctx))
	}
}

// checkURL refuses an address that is not to be called, by the name of the field that it came in.
func (a *API) checkURL(ctx context.Context, field, raw string) error {
	err := a.Outbound.CheckURL(ctx, raw)
	if refused, ok := errors.AsType[*outbound.URLError](err); ok {
		return invalid(field, refused.Code, refused.Detail)
	}
	return err
}

// decodeEmpty reads the body of a call that needs none: {} or nothing at all.
func decodeEmpty(r *http.Request) error {
	var nothing wire.EmptyRequest
	return decodeOptional(r, &nothing)
}

// decodeOptional reads a body that may be left out, as if it were {}.
func decodeOptional[T any](r *http.Request, req *T) error {
	err := decode(r, req)
	if e, ok := errors.AsType[*strictjson.Error](err); ok && e.Code == strictjson.Empty {
		return nil
	}
	return err
}

// operation names what a request does to what: method and path.
func operation(r *http.Request) string { return r.Method + " " + r.URL.Path }

// callOf says who asks for what, so that the journal knows the request when it comes again.
func callOf(r *http.Request, decoded any) (ledger.Call, error) {
	key, digest := idempotencyOf(r.Context())
	request, err := idempotency.DecodedRequestDigest(operation(r), decoded)
	return ledger.Call{Caller: key.Caller, Digest: digest, Request: request}, err
}

// oneForm writes an amount in the one way in which it goes into a request's digest, so that "1" and "1.000000" are one request. What is no amount
// stays as it is: it is refused anyway.
func oneForm(amount string) string {
	q, err := money.ParseQuantity(amount)
	if err != nil {
		return amount
	}
	minor, err := q.Minor(money.MaxScale)
	if err != nil {
		return amount
	}
	return money.Format(minor, money.MaxScale)
}

// optionalOneForm is oneForm of an amount that may be left out.
func optionalOneForm(amount *string) *string {
	if amount == nil {
		return nil
	}
	written := oneForm(*amount)
	return &written
}

// creation is the answer to a creation, and what is kept of it to be repeated: the same, but for a secret.
type creation struct{ first, kept any }

// create makes something outside of the journal, once for an idempotency key, in one database transaction, and answers 201.
func (a *API) create(w http.ResponseWriter, r *http.Request, decoded any, effect func(ctx context.Context, tx pgx.Tx) (creation, error)) error {
	ctx := r.Context()
	key, _ := idempotencyOf(ctx)
	request, err := idempotency.DecodedRequestDigest(operation(r), decoded)
	if err != nil {
		return err
	}
	var first, kept []byte
	got, replayed, err := idempotency.Once(ctx, a.Pool, key, request, func(tx pgx.Tx) (idempotency.Answer, error) {
		if used, err := ledger.HasDigest(ctx, tx, key.Digest()); err != nil || used {
			return idempotency.Answer{}, cmp.Or(err, idempotency.ErrReused)
		}
		made, err := effect(ctx, tx)
		if err != nil {
			return idempotency.Answer{}, err
		}
		if first, err = json.Marshal(made.first, canonical); err != nil {
			return idempotency.Answer{}, err
		}
		kept, err = json.Marshal(made.kept, canonical)
		return idempotency.Answer{Status: http.StatusCreated, Body: kept}, err
	})
	if err != nil {
		return err
	}
	if !replayed || bytes.Equal(got.Body, kept) { // What is found after a lost COMMIT may be what this request made.
		return send(w, got.Status, first)
	}
	markReplayed(w, true)
	return send(w, got.Status, got.Body)
}
