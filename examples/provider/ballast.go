package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// callPatience is how long a call of Ballast may take.
const callPatience = 30 * time.Second

// ballast is the API of Ballast, as a provider with its key sees it.
type ballast struct {
	url, key string
	client   *http.Client
}

// refusal is an answer of Ballast that is no success: RFC 9457's problem document.
type refusal struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	} `json:"errors"`
}

// Error says what Ballast said.
func (r *refusal) Error() string {
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "Ballast answers %d %s: %s", r.Status, r.Code, r.Detail)
	for _, e := range r.Errors {
		_, _ = fmt.Fprintf(&text, " %s: %s", e.Field, e.Detail)
	}
	return text.String()
}

// call sends a request and decodes the answer. The same key of idempotency may be used again: what took effect is answered, and not done twice.
func (b *ballast) call(ctx context.Context, method, path, idempotencyKey, contentType string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+b.key)
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	if idempotencyKey != "" {
		r.Header.Set("Idempotency-Key", idempotencyKey)
	}
	w, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close() //nolint:errcheck // It was read.
	answer, err := io.ReadAll(io.LimitReader(w.Body, 4<<20))
	if err != nil {
		return err
	}
	if w.StatusCode >= http.StatusMultipleChoices {
		refused := &refusal{}
		if json.Unmarshal(answer, refused) != nil {
			refused.Detail = "no problem document"
		}
		refused.Status = w.StatusCode
		return refused
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

func (b *ballast) json(ctx context.Context, method, path, idempotencyKey string, body, into any) error {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return err
		}
	}
	return b.call(ctx, method, path, idempotencyKey, "application/json", encoded, into)
}

// delivery is how redemptions reach this provider.
type delivery struct {
	ProviderID string `json:"provider_id"`
	Transport  string `json:"transport"`
	// Secret is what both sides sign with. Ballast shows it once.
	Secret string `json:"secret"`
	// SLASeconds is how long this provider may take.
	SLASeconds int `json:"sla_seconds"`
}

// deliverBy says how, and leaves how long it may take as it is.
func (b *ballast) deliverBy(ctx context.Context, transport, endpoint string) (d delivery, err error) {
	if err := b.json(ctx, http.MethodGet, "/v1/provider/delivery", "", nil, &d); err != nil {
		return d, err
	}
	ask := map[string]any{"transport": transport, "sla_seconds": d.SLASeconds}
	if endpoint != "" {
		ask["endpoint"] = endpoint
	}
	return d, b.json(ctx, http.MethodPut, "/v1/provider/delivery", "", ask, &d)
}

// newSecret has Ballast make another secret, in the place of those that there are: for when none of them is known here.
func (b *ballast) newSecret(ctx context.Context) (string, error) {
	var made struct {
		Secret string `json:"secret"`
	}
	return made.Secret, b.json(ctx, http.MethodPost, "/v1/provider/delivery/secrets", uuid.NewString(), map[string]any{"overlap_seconds": 0}, &made)
}

func newBallast(url, key string) *ballast {
	return &ballast{url: url, key: key, client: &http.Client{Timeout: callPatience}}
}
