package eventpost_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/eventpost"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// What arrives is the message as it is, with the event's id, signed by each of the secrets; and each way to fail is told from the others.
func TestMessagesArriveSigned(t *testing.T) {
	t.Parallel()
	old, current := webhook.NewSecret(), webhook.NewSecret()
	event, body := uuid.New(), `{"type":"webhook.test"}`
	var status int
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != body || r.Method != http.MethodPost || r.Header.Get("webhook-id") != id.Format(id.Event, event) {
			t.Errorf("%s %q (%v), id %s", r.Method, got, err, r.Header.Get("webhook-id"))
		}
		for _, secret := range []string{old, current} {
			if signer, err := webhook.NewSigner(secret); err != nil || signer.Verify(r.Header, got) != nil {
				t.Errorf("one secret did not sign (%v)", err)
			}
		}
		if other, err := webhook.NewSigner(webhook.NewSecret()); err != nil || other.Verify(r.Header, got) == nil {
			t.Errorf("a secret that is nobody's verifies (%v)", err)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(receiver.Close)
	here := eventpost.Sender{Client: outbound.New(outbound.Config{AllowLoopback: true})}
	message := events.Message{URL: receiver.URL, ID: event, At: time.Now(), Body: []byte(body), Secrets: []string{old, current}}
	for _, status = range []int{200, 204, 410, 500} {
		if got := here.Send(t.Context(), message); got.HTTPStatus != status {
			t.Errorf("an answer of %d is %+v", status, got)
		}
	}
	strict := eventpost.Sender{Client: outbound.New(outbound.Config{})}
	unsigned, private := message, message
	unsigned.Secrets, private.URL = nil, "https://10.0.0.1/hook"
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		sender eventpost.Sender
		m      events.Message
		want   events.Outcome
	}{
		"no secret":         {here, unsigned, events.OutcomeNotSent},
		"a private address": {strict, private, events.OutcomeForbidden},
	} {
		if got := tt.sender.Send(t.Context(), tt.m); got.Outcome != tt.want {
			t.Errorf("%s: %+v, want %s", name, got, tt.want)
		}
	}
	if got := here.Send(over, message); got.Outcome != events.OutcomeNotSent {
		t.Errorf("nobody waits: %+v", got)
	}
}
