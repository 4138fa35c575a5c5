package push

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
)

// The messages of docs/provider-protocol.md. Amounts are decimal strings, ids TypeIDs.

type orderMessage struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      orderData `json:"data"`
}

type orderData struct {
	RedemptionID string         `json:"redemption_id"`
	ProviderID   string         `json:"provider_id"`
	GPUClass     string         `json:"gpu_class"`
	Hours        string         `json:"hours"`
	Amount       string         `json:"amount"`
	Recipient    *recipientData `json:"recipient"`
}

type recipientData struct {
	ProviderAccount string `json:"provider_account"`
}

// answerMessage is what a provider answers. What it says beyond that is its own business.
type answerMessage struct {
	RedemptionID string  `json:"redemption_id"`
	Status       string  `json:"status"`
	GrantID      string  `json:"provider_grant_id"`
	Hours        *string `json:"hours"`
	Partial      bool    `json:"partial"`
	Reason       string  `json:"reason"`
}

func encodeOrder(o dispatch.Order, at time.Time) ([]byte, error) {
	m := orderMessage{Type: "redemption.requested", Timestamp: at.UTC().Truncate(time.Second), Data: orderData{
		RedemptionID: id.Format(id.Redemption, o.RedemptionID), ProviderID: id.Format(id.Provider, o.ProviderID), GPUClass: o.GPUClass,
		Hours: money.Format(o.Hours, money.MaxScale), Amount: money.Format(o.Amount, money.MaxScale),
	}}
	if o.RecipientAccount != "" {
		m.Data.Recipient = &recipientData{ProviderAccount: o.RecipientAccount}
	}
	return json.Marshal(m)
}

// decodeAnswer refuses what is not one JSON object with every name once.
func decodeAnswer(body []byte) (m answerMessage, err error) {
	return m, json.Unmarshal(body, &m)
}

// parseHours returns millionths.
func parseHours(text string) (int64, error) {
	q, err := money.ParseQuantity(text)
	if err != nil {
		return 0, err
	}
	return q.Minor(money.MaxScale)
}

// maxReason is how much of a provider's reason is kept, in characters.
const maxReason = 500

// cleaned is a text that a provider sent, as it can be kept: a reason is no reason to doubt the answer that it came with.
func cleaned(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if runes := []rune(text); len(runes) > maxReason {
		text = string(runes[:maxReason])
	}
	return text
}
