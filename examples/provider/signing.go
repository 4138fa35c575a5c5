package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

var errForged = errors.New("no secret of ours signed this, or too long ago")

// signer signs what goes to Ballast and verifies what comes from it, by the Standard Webhooks specification 1.0, with the secrets that
// Ballast has shown: the newest signs, any of them verifies, so that a secret can be rotated without a gap.
type signer struct{ hooks []*standardwebhooks.Webhook }

func newSigner(secrets []string) (*signer, error) {
	s := &signer{}
	for _, secret := range secrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, errors.New("a secret is not whsec_ and base64") // The library's error might repeat it.
		}
		s.hooks = append(s.hooks, hook)
	}
	if len(s.hooks) == 0 {
		return nil, errors.New("there is no secret to sign with")
	}
	return s, nil
}

// verify also refuses what was signed more than five minutes ago.
func (s *signer) verify(h http.Header, body []byte) error {
	for _, hook := range s.hooks {
		if hook.Verify(body, h) == nil {
			return nil
		}
	}
	return errForged
}

func (s *signer) sign(h http.Header, id string, at time.Time, body []byte) error {
	signature, err := s.hooks[0].Sign(id, at, body)
	if err != nil {
		return err
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return nil
}

// forge signs with a secret that nobody knows.
func forge(h http.Header, id string, at time.Time, body []byte) error {
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // It never fails.
	s, err := newSigner([]string{base64.StdEncoding.EncodeToString(secret)})
	if err != nil {
		return err
	}
	return s.sign(h, id, at, body)
}
