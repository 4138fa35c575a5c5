// Package eventpost sends events to webhook endpoints: signed by Standard Webhooks, over the one client that calls others.
package eventpost

import (
	"context"
	"errors"
	"net/http"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// Sender implements [events.Sender].
type Sender struct{ Client *outbound.Client }

// Send signs a message with every active secret and posts it. The id that receivers know repetitions by is the event's.
func (s Sender) Send(ctx context.Context, m events.Message) events.Reply {
	signer, err := webhook.NewSigner(m.Secrets...)
	if err != nil {
		return events.Reply{Outcome: events.OutcomeNotSent}
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Ballast-Webhooks/1"}}
	if err := signer.Sign(header, id.Format(id.Event, m.ID), m.At, m.Body); err != nil {
		return events.Reply{Outcome: events.OutcomeNotSent}
	}
	answer, err := s.Client.Do(ctx, outbound.Request{Method: http.MethodPost, URL: m.URL, Header: header, Body: m.Body})
	switch {
	case err == nil:
		return events.Reply{HTTPStatus: answer.Status}
	case errors.Is(err, outbound.ErrForbiddenAddress):
		return events.Reply{Outcome: events.OutcomeForbidden}
	case errors.Is(err, outbound.ErrNotSent):
		return events.Reply{Outcome: events.OutcomeNotSent}
	}
	return events.Reply{Outcome: events.OutcomeNoAnswer}
}
