package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// client calls the API as the owner of a key.
type client struct {
	http         *http.Client
	address, key string
}

// fields is a JSON object to send.
type fields map[string]any

// made is what all creations answer with, and key creations besides.
type made struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// maxAnswerBytes is more than any creation answers with.
const maxAnswerBytes = 1 << 20

// post creates something. Its error has the problem that the server answered with. Where a rate limit holds it up, it waits.
func (c client) post(ctx context.Context, path, idempotencyKey string, body fields) (made, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return made{}, err
	}
	for {
		m, wait, err := c.postOnce(ctx, path, idempotencyKey, text)
		if wait == 0 {
			return m, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return made{}, ctx.Err()
		}
	}
}

// postOnce returns how long to wait before the same is asked again, or zero.
func (c client) postOnce(ctx context.Context, path, idempotencyKey string, text []byte) (m made, wait time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address+path, bytes.NewReader(text))
	if err != nil {
		return made{}, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", idempotencyKey)
	response, err := c.http.Do(request)
	if err != nil {
		return made{}, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return made{}, 0, err
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && response.StatusCode == http.StatusTooManyRequests {
		return made{}, time.Duration(max(seconds, 1)) * time.Second, nil
	}
	if response.StatusCode >= http.StatusBadRequest {
		return made{}, 0, fmt.Errorf("POST %s: %s: %s", path, response.Status, bytes.TrimSpace(answer))
	}
	return m, 0, json.Unmarshal(answer, &m)
}
