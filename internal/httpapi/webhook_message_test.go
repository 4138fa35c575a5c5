package httpapi_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi"
	"github.com/ballast-compute/ballast/internal/id"
)

// outbox keeps what is sent to webhooks.
type outbox struct {
	mu   sync.Mutex
	sent []events.Message
}

func (o *outbox) Send(_ context.Context, m events.Message) events.Reply {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, m)
	return events.Reply{HTTPStatus: 204}
}

// The body of a message is what the contract's webhook says, and the event as the endpoint's owner reads it in the feed.
func TestWebhooksCarryWhatTheFeedHas(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	// The operators' is the world's, which has a test under way.
	owners := map[string]string{"alice": "https://hooks.example.com/alice", "bob": "https://hooks.example.com/bob", "provider": "https://hooks.example.com/provider", "operator": "http://127.0.0.1:8999/hook"}
	for _, who := range []string{"alice", "bob", "provider"} {
		s.post(who, "/v1/webhook-endpoints", object{"url": owners[who]}).want(201)
	}
	s.post("alice", "/v1/transfers", object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1"}).want(201)
	s.post("provider", "/v1/provider/redemptions/{redemption}/issue", object{"provider_grant_id": "g"}).want(200)
	var box outbox
	relay := events.NewRelay(s.api.Pool, s.api.Feed)
	courier := events.Courier{DB: s.api.Pool, Feed: s.api.Feed, Vault: s.api.Vault, Sender: &box, Encode: httpapi.EncodeEvent}
	for made, sent := 1, 1; made+sent > 0; {
		var err, sendErr error
		made, err = relay.Run(t.Context())
		if sent, sendErr = courier.Deliver(t.Context()); err != nil || sendErr != nil {
			t.Fatal(err, sendErr)
		}
	}
	fed := map[string]map[string]any{}
	for who, url := range owners {
		fed[url] = map[string]any{}
		_, all := s.feed(who, "limit=200")
		for _, e := range all {
			fed[url][e["id"].(string)] = e
		}
	}
	reached := map[string]int{}
	for _, m := range box.sent {
		reached[m.URL]++
		body, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Body))
		if err != nil {
			t.Fatalf("%s: %v", m.Body, err)
		}
		if err := theContract(t).check("#/webhooks/event/post/requestBody/content/application~1json/schema", body); err != nil {
			t.Errorf("%s: %v", m.Body, err)
		}
		if diff := cmp.Diff(fed[m.URL][id.Format(id.Event, m.ID)], body); diff != "" {
			t.Errorf("to %s (-feed +sent):\n%s", m.URL, diff)
		}
	}
	// The transfer, of which the provider hears nothing, and the issue, of which Bob does not.
	if diff := cmp.Diff(map[string]int{owners["alice"]: 2, owners["bob"]: 1, owners["provider"]: 1, owners["operator"]: 1}, reached); diff != "" {
		t.Error(diff)
	}
}
