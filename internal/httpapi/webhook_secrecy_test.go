package httpapi_test

import (
	"bytes"
	"strings"
	"testing"
)

// Where somebody has events sent is theirs to know: staff who read the events of all see which server it is, and no token in its URL.
func TestTokensInWebhookURLsAreNotShownToStaff(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const url = "https://hooks.example.com/T123/sesame?token=sesame"
	e := s.post("alice", "/v1/webhook-endpoints", object{"url": url}).want(201).string("id")
	s.post("alice", "/v1/webhook-endpoints/"+e+"/test", nil).want(201)
	for who, want := range map[string]string{"alice": url, "operator": "https://hooks.example.com", "finance": "https://hooks.example.com", "auditor": "https://hooks.example.com"} {
		_, told := s.feed(who, "types=webhook.test")
		got := ""
		for _, one := range told {
			if one["object"].(map[string]any)["id"] == e {
				got = one["data"].(map[string]any)["url"].(string)
			}
		}
		if got != want {
			t.Errorf("%s reads %q, want %q", who, got, want)
		}
	}
	if text := s.get("operator", "/v1/events").send().text; bytes.Contains(text, []byte("sesame")) {
		t.Error("the token is in the feed")
	}
}

// Whatever endpoint is accepted can also be asked what became of a redemption, which takes a longer URL.
func TestAnEndpointLeavesRoomForTheQuery(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	base, tail := p.web.URL+"/redemptions/", "?tenant=1"
	long := func(bytes int, letter string) object {
		return object{"transport": "push", "endpoint": base + strings.Repeat(letter, (bytes-len(base)-len(tail))/len(letter)) + tail}
	}
	p.as("provider", "PUT", "/v1/provider/delivery", long(1901, "a")).want(400)
	p.as("provider", "PUT", "/v1/provider/delivery", long(1990, "\u20ac")).want(400) // Fewer characters, as many bytes.
	p.deliver(long(1900, "a")["endpoint"].(string))
	p.breaks()
	redemption := p.redeem()
	p.dispatch()
	p.says(200, `{"redemption_id":"`+redemption+`","status":"issued","provider_grant_id":"g","hours":"10"}`)
	p.clock.Advance(25 * 60 * 60 * 1e9)
	p.dispatch()
	p.get("alice", "/v1/redemptions/"+redemption).send().expect("status", "issued")
}
