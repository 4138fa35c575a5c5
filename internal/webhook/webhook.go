// Package webhook signs what Ballast sends to others' systems and verifies what those send back, by the Standard Webhooks specification
// 1.0: HMAC-SHA256 over id, time and body, in the headers webhook-id, webhook-timestamp and webhook-signature.
package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	prefix = "whsec_"
	// secretBytes is what is drawn, and minSecretBytes the least that the specification allows.
	secretBytes    = 32
	minSecretBytes = 24
)

var (
	// ErrForged means that none of the secrets signed the message, that it was signed more than five minutes ago or ahead, or that a header
	// is missing. It does not say which, since only a forger would want to know.
	ErrForged = errors.New("webhook: not signed by a secret that is active")
	// ErrNoSecret means that there is no secret to sign with.
	ErrNoSecret = errors.New("webhook: no secret is active")
)

// NewSecret draws a secret: whsec_ and 32 bytes in base64.
func NewSecret() string {
	var secret [secretBytes]byte
	_, _ = rand.Read(secret[:]) // Never fails.
	return prefix + base64.StdEncoding.EncodeToString(secret[:])
}

// Signer has the active secrets of one endpoint: all of them sign, and any of them verifies, so that a secret can be changed without a
// moment at which the other side's is wrong.
type Signer struct{ hooks []*standardwebhooks.Webhook }

// NewSigner takes secrets as NewSecret makes them. It returns ErrNoSecret for none, and an error that does not repeat the secret for a
// malformed one.
func NewSigner(secrets ...string) (*Signer, error) {
	if len(secrets) == 0 {
		return nil, ErrNoSecret
	}
	s := &Signer{}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, prefix))
		if err != nil || len(key) < minSecretBytes {
			return nil, errors.New("webhook: a secret is not whsec_ and base64 of 24 bytes or more")
		}
		hook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, errors.New("webhook: a secret was refused")
		}
		s.hooks = append(s.hooks, hook)
	}
	return s, nil
}

// Sign sets the three headers for a message. The id is the same for every repetition of it.
func (s *Signer) Sign(h http.Header, id string, at time.Time, body []byte) error {
	signatures := make([]string, len(s.hooks))
	for i, hook := range s.hooks {
		var err error
		if signatures[i], err = hook.Sign(id, at, body); err != nil {
			return err
		}
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// Verify returns nil if one of the secrets signed the message in the last five minutes, by this machine's clock, and else ErrForged.
func (s *Signer) Verify(h http.Header, body []byte) error {
	for _, hook := range s.hooks {
		if hook.Verify(body, h) == nil {
			return nil
		}
	}
	return ErrForged
}
