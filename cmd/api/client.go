package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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

// post creates something. Its error has the problem that the server answered with.
func (c client) post(ctx context.Context, path, idempotencyKey string, body fields) (made, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return made{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address+path, bytes.NewReader(text))
	if err != nil {
		return made{}, err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", idempotencyKey)
	response, err := c.http.Do(request)
	if err != nil {
		return made{}, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return made{}, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return made{}, fmt.Errorf("POST %s: %s: %s", path, response.Status, bytes.TrimSpace(answer))
	}
	var m made
	return m, json.Unmarshal(answer, &m)
}
