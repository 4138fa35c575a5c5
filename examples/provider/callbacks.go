package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// callbacks tells Ballast what became of redemptions that were answered accepted, until it has heard.
type callbacks struct {
	client *http.Client
	// url is Ballast's, with this provider's id.
	url    string
	signer *signer
	grants *Grants
	log    *slog.Logger

	queue chan callback
}

type callback struct {
	grant Grant
	what  fault
}

// callers is how many callbacks are sent at a time.
const callers = 8

// soon sends a callback in the background. One that finds the queue full is sent by the next round of what is owed.
func (c *callbacks) soon(g Grant, what fault) {
	select {
	case c.queue <- callback{g, what}:
	default:
	}
}

// run sends what is queued, and once a while everything that is still owed, until ctx ends.
func (c *callbacks) run(ctx context.Context) {
	for range callers {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case one := <-c.queue:
					c.send(ctx, one.grant, one.what)
				}
			}
		}()
	}
	ticks := time.NewTicker(2 * time.Second)
	defer ticks.Stop()
	for {
		for _, owed := range c.grants.Owed() { // Also those of before the last restart.
			c.soon(owed, faultNone)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// send tells Ballast of a grant, and notes when it has heard. What goes wrong on purpose does so before.
func (c *callbacks) send(ctx context.Context, g Grant, what fault) {
	body := replyOf(g)
	kind := "redemption." + g.Status
	switch what {
	case faultForge:
		c.expect(ctx, http.StatusUnauthorized, kind, body, forge)
	case faultStale:
		c.expect(ctx, http.StatusUnauthorized, kind, body, func(h http.Header, id string, at time.Time, body []byte) error {
			return c.signer.sign(h, id, at.Add(-time.Hour), body)
		})
	case faultDuplicate:
		twin := make(chan struct{})
		go func() {
			defer close(twin)
			_, _ = c.post(ctx, kind, body, c.signer.sign)
		}()
		defer func() { <-twin }()
		_, _ = c.post(ctx, kind, body, c.signer.sign)
	default:
	}
	status, err := c.post(ctx, kind, body, c.signer.sign)
	switch {
	case err != nil:
		c.log.Warn("a callback did not arrive, and is sent again", slog.Any("error", err))
		return
	case status == http.StatusOK:
	case status == http.StatusConflict || status == http.StatusNotFound: // Asking again does not change that.
		c.log.Error("Ballast says otherwise", slog.String("redemption", g.RedemptionID), slog.Int("status", status))
	default:
		c.log.Warn("a callback was not taken, and is sent again", slog.Int("status", status))
		return
	}
	if err := c.grants.Told(g.RedemptionID); err != nil {
		c.log.Error("that Ballast has heard could not be kept", slog.Any("error", err))
	}
}

// accepted says once more that a redemption was accepted, late.
func (c *callbacks) accepted(ctx context.Context, g Grant) {
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callPatience)
		defer cancel()
		_, _ = c.post(ctx, "redemption.accepted", reply{RedemptionID: g.RedemptionID, Status: "accepted"}, c.signer.sign)
	}()
}

// expect sends what Ballast has to refuse, and shouts if it does not.
func (c *callbacks) expect(ctx context.Context, want int, kind string, body reply, sign signing) {
	if got, err := c.post(ctx, kind, body, sign); err == nil && got != want {
		c.log.Error("Ballast believed what it should not have", slog.Int("status", got))
	}
}

type signing func(h http.Header, id string, at time.Time, body []byte) error

func (c *callbacks) post(ctx context.Context, kind string, data reply, sign signing) (int, error) {
	body, err := json.Marshal(struct {
		Type      string       `json:"type"`
		Timestamp time.Time    `json:"timestamp"`
		Data      callbackData `json:"data"`
	}{kind, time.Now().UTC(), callbackData{data.RedemptionID, data.GrantID, data.Hours, data.Partial, data.Reason}})
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if err := sign(r.Header, "msg_"+uuid.NewString(), time.Now(), body); err != nil {
		return 0, err
	}
	w, err := c.client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("callback: %w", err)
	}
	defer w.Body.Close() //nolint:errcheck // It was read.
	said, err := io.ReadAll(io.LimitReader(w.Body, maxBody))
	if w.StatusCode != http.StatusOK && w.StatusCode != http.StatusUnauthorized {
		c.log.Info("a callback was not taken", slog.String("redemption", data.RedemptionID), slog.String("type", kind), slog.String("answer", string(said)))
	}
	return w.StatusCode, err
}

type callbackData struct {
	RedemptionID string `json:"redemption_id"`
	GrantID      string `json:"provider_grant_id,omitempty"`
	Hours        string `json:"hours,omitempty"`
	Partial      bool   `json:"partial,omitempty"`
	Reason       string `json:"reason,omitempty"`
}
