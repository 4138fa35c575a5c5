package webhook_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/webhook"
)

func signer(t *testing.T, secrets ...string) *webhook.Signer {
	t.Helper()
	s, err := webhook.NewSigner(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signed(t *testing.T, s *webhook.Signer, at time.Time) http.Header {
	t.Helper()
	h := http.Header{}
	if err := s.Sign(h, "msg_1", at, []byte("body")); err != nil {
		t.Fatal(err)
	}
	return h
}

// The example of the specification's reference implementations.
func TestSignatureOfTheSpecification(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	if err := signer(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Webhook-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	for name := range want {
		if h.Get(name) != want.Get(name) {
			t.Errorf("%s: %s, want %s", name, h.Get(name), want.Get(name))
		}
	}
}

// While a secret is changed, each side may know only one of the two.
func TestAnyActiveSecretVerifies(t *testing.T) {
	t.Parallel()
	one, two, three := webhook.NewSecret(), webhook.NewSecret(), webhook.NewSecret()
	both := signer(t, two, one)
	h := signed(t, both, time.Now())
	for name, s := range map[string]*webhook.Signer{"the new one": signer(t, two), "the old one": signer(t, one), "both": both} {
		if err := s.Verify(h, []byte("body")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := both.Verify(signed(t, s, time.Now()), []byte("body")); err != nil {
			t.Errorf("signed by %s: %v", name, err)
		}
	}
	if err := signer(t, three).Verify(h, []byte("body")); !errors.Is(err, webhook.ErrForged) {
		t.Errorf("another secret: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	s := signer(t, webhook.NewSecret())
	for name, spoil := range map[string]func(h http.Header) (body string){
		"another body": func(http.Header) string { return "bodY" },
		"another id":   func(h http.Header) string { h.Set("webhook-id", "msg_2"); return "body" },
		"another time": func(h http.Header) string {
			h.Set("webhook-timestamp", "1"+h.Get("webhook-timestamp")[1:]+"0")
			return "body"
		},
		"no id":              func(h http.Header) string { h.Del("webhook-id"); return "body" },
		"no time":            func(h http.Header) string { h.Del("webhook-timestamp"); return "body" },
		"no signature":       func(h http.Header) string { h.Del("webhook-signature"); return "body" },
		"an empty signature": func(h http.Header) string { h.Set("webhook-signature", "v1,"); return "body" },
		"another version": func(h http.Header) string {
			h.Set("webhook-signature", "v2"+h.Get("webhook-signature")[2:])
			return "body"
		},
		"a time that is none":  func(h http.Header) string { h.Set("webhook-timestamp", "now"); return "body" },
		"signed too long ago":  func(h http.Header) string { resign(t, s, h, -5*time.Minute-2*time.Second); return "body" },
		"signed too far ahead": func(h http.Header) string { resign(t, s, h, 5*time.Minute+30*time.Second); return "body" },
	} {
		h := signed(t, s, time.Now())
		body := spoil(h)
		if err := s.Verify(h, []byte(body)); !errors.Is(err, webhook.ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := http.Header{}
	resign(t, s, h, -4*time.Minute)
	if err := s.Verify(h, []byte("body")); err != nil {
		t.Errorf("four minutes ago: %v", err)
	}
}

func resign(t *testing.T, s *webhook.Signer, h http.Header, ago time.Duration) {
	t.Helper()
	if err := s.Sign(h, "msg_1", time.Now().Add(ago), []byte("body")); err != nil {
		t.Fatal(err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	one := webhook.NewSecret()
	if one == webhook.NewSecret() || !strings.HasPrefix(one, "whsec_") || len(one) != 50 {
		t.Errorf("%d characters", len(one))
	}
	if _, err := webhook.NewSigner(); !errors.Is(err, webhook.ErrNoSecret) {
		t.Errorf("none: %v", err)
	}
	for _, bad := range []string{"", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"} {
		if _, err := webhook.NewSigner(one, bad); err == nil || strings.Contains(err.Error(), "c2hvcnQ") || strings.Contains(err.Error(), "!!!") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
