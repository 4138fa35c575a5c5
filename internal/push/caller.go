// Package push reaches providers over HTTPS: it asks them for credits, asks what became of that, and takes what they say by
// callback, all signed by Standard Webhooks 1.0 in both directions. docs/provider-protocol.md has the protocol.
package push

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/outbound"
)

// Caller calls providers' endpoints. It is a dispatch.Caller.
type Caller struct {
	client  *outbound.Client
	secrets *Secrets
}

// NewCaller returns a caller that calls by client and signs with the provider's secrets.
func NewCaller(client *outbound.Client, secrets *Secrets) *Caller {
	return &Caller{client: client, secrets: secrets}
}

// Issue posts an order. What is answered counts only if it is exactly one of the answers of the protocol: everything else is Unclear.
func (c *Caller) Issue(ctx context.Context, o dispatch.Order) (dispatch.Answer, error) {
	body, err := encodeOrder(o, time.Now())
	if err != nil {
		return dispatch.Answer{}, err
	}
	r := outbound.Request{Method: http.MethodPost, URL: o.Endpoint, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
	response, answer, err := c.call(ctx, o, r, id.Format(id.Redemption, o.RedemptionID))
	if response == nil {
		return answer, err
	}
	return judgeIssue(o, response), nil
}

// Query asks for the redemption by its id, below the endpoint's path.
func (c *Caller) Query(ctx context.Context, o dispatch.Order) (dispatch.Answer, error) {
	r := outbound.Request{Method: http.MethodGet, URL: queryURL(o), Header: http.Header{}}
	response, answer, err := c.call(ctx, o, r, "query_"+rand.Text())
	if response == nil {
		return answer, err
	}
	return judgeQuery(o, response), nil
}

// queryURL keeps the endpoint's own parameters.
func queryURL(o dispatch.Order) string {
	path, query, has := strings.Cut(o.Endpoint, "?")
	url := strings.TrimSuffix(path, "/") + "/" + id.Format(id.Redemption, o.RedemptionID)
	if has {
		url += "?" + query
	}
	return url
}

// call signs and sends. Without a response, there is an answer that says how it failed, or an error if nothing was even tried.
func (c *Caller) call(ctx context.Context, o dispatch.Order, r outbound.Request, messageID string) (*outbound.Response, dispatch.Answer, error) {
	signer, err := c.secrets.signer(ctx, o.ProviderID)
	if err != nil {
		return nil, dispatch.Answer{}, err
	}
	r.Header.Set("User-Agent", "Ballast")
	r.Header.Set("Accept", "application/json")
	if err := signer.Sign(r.Header, messageID, time.Now(), r.Body); err != nil {
		return nil, dispatch.Answer{}, err
	}
	response, err := c.client.Do(ctx, r)
	if err == nil {
		return response, dispatch.Answer{}, nil
	}
	answer := dispatch.Answer{Outcome: dispatch.Unclear, Class: "malformed"}
	if failed, ok := errors.AsType[*outbound.Error](err); ok {
		answer.Class = failed.Class
	}
	if errors.Is(err, outbound.ErrNotSent) {
		answer.Outcome = dispatch.NotSent
	}
	return nil, answer, nil
}

// judgeIssue is the table of the protocol's answers to an order.
func judgeIssue(o dispatch.Order, r *outbound.Response) dispatch.Answer {
	unclear := dispatch.Answer{Outcome: dispatch.Unclear, HTTPStatus: r.Status, Class: "status"}
	if r.Status == http.StatusGone {
		return dispatch.Answer{Outcome: dispatch.Gone, HTTPStatus: r.Status}
	}
	m, class := readAnswer(o, r)
	if class != "" {
		if r.Status < 300 {
			unclear.Class = class
		}
		return unclear
	}
	switch status := r.Status; {
	case m.Status == "issued" && status == http.StatusOK:
		return judgeGrant(o, m, unclear)
	case m.Status == "accepted" && status == http.StatusAccepted:
		return dispatch.Answer{Outcome: dispatch.Accepted, HTTPStatus: status}
	case m.Status == "rejected" && (status == http.StatusOK || status == http.StatusConflict || status == http.StatusUnprocessableEntity):
		return dispatch.Answer{Outcome: dispatch.Rejected, Reason: cleaned(m.Reason), HTTPStatus: status}
	case m.Status == "not_accepted" && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable):
		return dispatch.Answer{Outcome: dispatch.NotAccepted, HTTPStatus: status, RetryAfter: retryAfter(r.Header)}
	}
	return unclear
}

// judgeQuery is the table of its answers to a query.
func judgeQuery(o dispatch.Order, r *outbound.Response) dispatch.Answer {
	unclear := dispatch.Answer{Outcome: dispatch.Unclear, HTTPStatus: r.Status, Class: "status", RetryAfter: retryAfter(r.Header)}
	if r.Status != http.StatusOK {
		return unclear
	}
	m, class := readAnswer(o, r)
	if class == "" && m.RedemptionID == "" { // What is said must be about this one.
		class = "wrong_redemption"
	}
	if class != "" {
		unclear.Class = class
		return unclear
	}
	switch m.Status {
	case "issued":
		return judgeGrant(o, m, unclear)
	case "accepted":
		return dispatch.Answer{Outcome: dispatch.Accepted, HTTPStatus: r.Status}
	case "rejected":
		return dispatch.Answer{Outcome: dispatch.Rejected, Reason: cleaned(m.Reason), HTTPStatus: r.Status}
	case "not_found":
		return dispatch.Answer{Outcome: dispatch.NotFound, HTTPStatus: r.Status}
	}
	unclear.Class = "unknown_status"
	return unclear
}

// readAnswer returns a message about this order, or a word for why there is none.
func readAnswer(o dispatch.Order, r *outbound.Response) (m answerMessage, class string) {
	m, err := decodeAnswer(r.Body)
	switch {
	case err != nil:
		return m, "malformed"
	case m.RedemptionID != "" && m.RedemptionID != id.Format(id.Redemption, o.RedemptionID):
		return m, "wrong_redemption"
	}
	return m, ""
}

// judgeGrant believes only hours that are all that was asked for, or fewer where the provider says that it means it, and not both at once.
func judgeGrant(o dispatch.Order, m answerMessage, unclear dispatch.Answer) dispatch.Answer {
	unclear.Class = "wrong_hours"
	if m.Hours == nil {
		return unclear
	}
	hours, err := parseHours(*m.Hours)
	switch {
	case err != nil, hours > o.Hours, hours < o.Hours != m.Partial:
		return unclear
	case !isGrantID(m.GrantID):
		unclear.Class = "no_grant"
		return unclear
	}
	a := dispatch.Answer{Outcome: dispatch.Issued, GrantID: m.GrantID, Hours: hours, HTTPStatus: http.StatusOK}
	if hours < o.Hours {
		a.Reason = cleaned(m.Reason)
	}
	return a
}

// isGrantID refuses an id that could not be kept as it is: it could not be told from another.
func isGrantID(text string) bool {
	return text != "" && cleaned(text) == text && len([]rune(text)) <= 200
}

// retryAfter understands seconds only, as does the protocol.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
