package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/webhook"
)

const (
	maxWebhookText = 500
	maxEventTypes  = 100
	// maxOverlap is for how long an old secret may sign beside the new one.
	maxOverlap = 30 * 24 * time.Hour
)

func (a *API) createWebhookEndpoint(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateWebhookEndpointRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	p := principalOf(r.Context())
	var f faults
	n := events.NewEndpoint{
		Owner: viewerOf(p), CreatedBy: p.ID, URL: req.URL, Types: f.eventTypes(req.EventTypes),
		Description: f.optionalText("description", req.Description, maxWebhookText), Secret: webhook.NewSecret(),
	}
	f.present("url", req.URL)
	if err := f.err(); err != nil {
		return err
	}
	if err := a.checkURL(r.Context(), "url", req.URL); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		e, err := a.Webhooks.CreateTx(ctx, tx, n)
		return endpointCreation(e, n.Secret), err
	})
}

func (a *API) rotateWebhookSecret(w http.ResponseWriter, r *http.Request) error {
	var req wire.RotateWebhookSecretRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	endpoint, err := pathID(r, id.Webhook, "webhook_endpoint_id")
	if err != nil {
		return err
	}
	overlap := defaultOverlap
	if req.OverlapSeconds != nil {
		overlap = time.Duration(*req.OverlapSeconds) * time.Second
	}
	if overlap < 0 || overlap > maxOverlap {
		return invalid("overlap_seconds", "out_of_range", "The overlap is zero to thirty days.")
	}
	secret := webhook.NewSecret()
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		e, err := a.Webhooks.RotateTx(ctx, tx, viewerOf(principalOf(ctx)), endpoint, secret, overlap)
		return endpointCreation(e, secret), err
	})
}

func (a *API) testWebhookEndpoint(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	endpoint, err := pathID(r, id.Webhook, "webhook_endpoint_id")
	if err != nil {
		return err
	}
	return a.create(w, r, wire.EmptyRequest{}, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		p := principalOf(ctx)
		d, err := a.Webhooks.TestTx(ctx, tx, viewerOf(p), endpoint, p.ID)
		if err != nil {
			return creation{}, err
		}
		made := encodeWebhookDelivery(d)
		return creation{first: made, kept: made}, nil
	})
}

func (a *API) listWebhookEndpoints(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Webhooks.Endpoints(r.Context(), viewerOf(principalOf(r.Context())), p.before(), p.more())
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(e *events.Endpoint) []byte { return idPosition(e.ID) }, encodeEndpoint)
	return answer(w, http.StatusOK, wire.WebhookEndpointPage{Data: data, NextCursor: next})
}

func (a *API) getWebhookEndpoint(w http.ResponseWriter, r *http.Request) error {
	endpoint, err := pathID(r, id.Webhook, "webhook_endpoint_id")
	if err != nil {
		return err
	}
	e, err := a.Webhooks.Endpoint(r.Context(), viewerOf(principalOf(r.Context())), endpoint)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeEndpoint(e))
}

func (a *API) updateWebhookEndpoint(w http.ResponseWriter, r *http.Request) error {
	var req wire.UpdateWebhookEndpointRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	c := events.Change{URL: req.URL, Description: req.Description}
	f.optionalText("description", req.Description, maxWebhookText)
	if req.EventTypes != nil {
		types := f.eventTypes(*req.EventTypes)
		c.Types = &types
	}
	if err := f.err(); err != nil {
		return err
	}
	if req.URL != nil {
		if err := a.checkURL(r.Context(), "url", *req.URL); err != nil {
			return err
		}
	}
	return a.changeEndpoint(w, r, c)
}

func (a *API) enableWebhookEndpoint(w http.ResponseWriter, r *http.Request) error {
	var req wire.EnableWebhookEndpointRequest
	if err := decodeOptional(r, &req); err != nil {
		return err
	}
	if req.From != nil && !req.From.Valid() {
		return invalid("from", "invalid_value", "An endpoint goes on from where it stopped, or from now.")
	}
	enabled := events.EndpointEnabled
	return a.changeEndpoint(w, r, events.Change{Status: &enabled, SkipMissed: req.From != nil && *req.From == wire.WebhookResumptionNow})
}

func (a *API) disableWebhookEndpoint(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	disabled := events.EndpointDisabled
	return a.changeEndpoint(w, r, events.Change{Status: &disabled})
}

func (a *API) changeEndpoint(w http.ResponseWriter, r *http.Request, c events.Change) error {
	endpoint, err := pathID(r, id.Webhook, "webhook_endpoint_id")
	if err != nil {
		return err
	}
	e, err := a.Webhooks.Update(r.Context(), viewerOf(principalOf(r.Context())), endpoint, c)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeEndpoint(e))
}

func (a *API) listWebhookDeliveries(w http.ResponseWriter, r *http.Request) error {
	endpoint, err := pathID(r, id.Webhook, "webhook_endpoint_id")
	if err != nil {
		return err
	}
	q := queryOf(r)
	p := q.page(idBytes)
	status := word[wire.WebhookDeliveryStatus](q, "status")
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Webhooks.Deliveries(r.Context(), viewerOf(principalOf(r.Context())), endpoint, events.DeliveryFilter{
		Status: events.DeliveryStatus(status), Before: p.before(), Limit: p.more(),
	})
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(d *events.Delivery) []byte { return idPosition(d.ID) }, encodeWebhookDelivery)
	return answer(w, http.StatusOK, wire.WebhookDeliveryPage{Data: data, NextCursor: next})
}

func (a *API) replayWebhookDelivery(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	endpoint, err := pathID(r, id.Webhook, "webhook_endpoint_id")
	if err != nil {
		return err
	}
	delivery, err := pathID(r, id.Delivery, "webhook_delivery_id")
	if err != nil {
		return err
	}
	d, err := a.Webhooks.Replay(r.Context(), viewerOf(principalOf(r.Context())), endpoint, delivery)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeWebhookDelivery(d))
}

// eventTypes checks words that name types of events.
func (f *faults) eventTypes(words []string) []string {
	if len(words) > maxEventTypes {
		f.add("event_types", "too_many_entries", "There are at most 100 types.")
	} else if _, known := events.Select(words); !known {
		f.add("event_types", "unknown_type", "A word names no type of events.")
	}
	return words
}

func encodeEndpoint(e *events.Endpoint) wire.WebhookEndpoint {
	encoded := wire.WebhookEndpoint{
		ID: id.Format(id.Webhook, e.ID), URL: e.URL, EventTypes: append([]string{}, e.Types...), Description: textOrNull(e.Description),
		Status: wire.WebhookEndpointStatus(e.Status), DisabledAt: timeOrNull(e.DisabledAt), FailingSince: timeOrNull(e.FailingSince),
		Secrets: make([]wire.WebhookEndpointSecret, len(e.Secrets)), CreatedAt: e.CreatedAt.UTC(),
	}
	if e.DisabledReason != "" {
		reason := wire.WebhookDisabledReason(e.DisabledReason)
		encoded.DisabledReason = &reason
	}
	for i, s := range e.Secrets {
		encoded.Secrets[i] = wire.WebhookEndpointSecret{ID: id.Format(id.HookSecret, s.ID), CreatedAt: s.CreatedAt.UTC(), ExpiresAt: timeOrNull(s.ExpiresAt)}
	}
	return encoded
}

// endpointCreation answers with the secret once, and never keeps it.
func endpointCreation(made *events.Endpoint, secret string) creation {
	if made == nil {
		return creation{}
	}
	e := encodeEndpoint(made)
	kept := wire.WebhookEndpointWithSecret{
		ID: e.ID, URL: e.URL, EventTypes: e.EventTypes, Description: e.Description, Status: e.Status, DisabledReason: e.DisabledReason,
		DisabledAt: e.DisabledAt, FailingSince: e.FailingSince, Secrets: e.Secrets, CreatedAt: e.CreatedAt,
	}
	first := kept
	first.Secret = &secret
	return creation{first: first, kept: kept}
}

func encodeWebhookDelivery(d *events.Delivery) wire.WebhookDelivery {
	encoded := wire.WebhookDelivery{
		ID: id.Format(id.Delivery, d.ID), WebhookEndpointID: id.Format(id.Webhook, d.EndpointID), EventID: id.Format(id.Event, d.EventID),
		EventType: wire.EventType(d.EventType), Status: wire.WebhookDeliveryStatus(d.Status), AttemptCount: d.Tried,
		Attempts: make([]wire.WebhookAttempt, len(d.Attempts)), NextAttemptAt: timeOrNull(d.NextAt), EndedAt: timeOrNull(d.EndedAt),
		CreatedAt: d.CreatedAt.UTC(),
	}
	for i, t := range d.Attempts {
		encoded.Attempts[i] = wire.WebhookAttempt{At: t.At.UTC(), Outcome: wire.WebhookOutcome(t.Outcome), Milliseconds: t.Milliseconds}
		if t.HTTPStatus != 0 {
			encoded.Attempts[i].HTTPStatus = &t.HTTPStatus
		}
	}
	return encoded
}
