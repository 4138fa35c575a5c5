package httpapi_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// orderOf is the contract's webhook of orders.
func orderOf(t *testing.T) *openapi3.Operation {
	t.Helper()
	hook := theContract(t).doc.Webhooks["order"]
	if hook == nil || hook.Post == nil {
		t.Fatal("the contract has no orders")
	}
	return hook.Post
}

// An order is sent as the contract and docs/provider-protocol.md show it: the same names, in the same forms, and but for the ids and the time the same values.
func TestOrdersAreSentAsTheContractShowsThem(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	p.says(202, `{"status":"accepted"}`)
	redemption := p.redeem()
	p.dispatch()
	p.mu.Lock()
	sent, id := p.heard[0].body, p.heard[0].id
	p.mu.Unlock()
	if id != redemption {
		t.Errorf("webhook-id is %s", id)
	}
	example := orderOf(t).RequestBody.Value.Content["application/json"].Examples["order"].Value.Value
	shown := map[string]any{"in the contract": example, "in docs/provider-protocol.md": documentedOrder(t)}
	for where, value := range shown {
		if err := theContract(t).check("#/components/schemas/ProviderOrder", anonymous(t, value, redemption, p.names["provider"])); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if diff := cmp.Diff(anonymous(t, value, redemption, p.names["provider"]), anonymous(t, sent, redemption, p.names["provider"])); diff != "" {
			t.Errorf("%s (-shown +sent):\n%s", where, diff)
		}
	}
	if err := theContract(t).check("#/webhooks/order/post/requestBody/content/application~1json/schema", sent); err != nil {
		t.Error(err)
	}
	if sent["timestamp"] == example.(object)["timestamp"] {
		t.Error("the example's time was sent")
	}
}

// anonymous is an order with its ids and its time replaced.
func anonymous(t *testing.T, order any, redemption, provider string) object {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	var same object
	if err := json.Unmarshal(text, &same); err != nil {
		t.Fatal(err)
	}
	if at, ok := same["timestamp"].(string); !ok || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(at) {
		t.Errorf("the time is %v", same["timestamp"])
	}
	same["timestamp"] = "2026-08-03T11:00:00Z"
	data := same["data"].(object)
	for name, value := range map[string]string{"redemption_id": redemption, "provider_id": provider} {
		if had, ok := data[name].(string); !ok || had[:5] != value[:5] {
			t.Errorf("%s is %v", name, data[name])
		}
		data[name] = value
	}
	return same
}

// documentedOrder is the first example of the protocol's page.
func documentedOrder(t *testing.T) (order any) {
	t.Helper()
	page, err := os.ReadFile("../../docs/provider-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## An order")
	_, rest, _ = strings.Cut(rest, "```json\n")
	text, _, _ := strings.Cut(rest, "```")
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return order
}

// Every answer that the contract shows is understood for what it says.
func TestAnswersOfTheContractAreUnderstood(t *testing.T) {
	t.Parallel()
	p := newPartner(t)
	understood := map[string]string{
		"200 issued": "issued", "200 partial": "issued", "200 rejected": "rejected", "202 accepted": "accepted", "409 rejected": "rejected", "422 rejected": "rejected",
		"429 notAccepted": "not_accepted", "503 notAccepted": "not_accepted",
	}
	var tried []string
	responses := orderOf(t).Responses.Map()
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		media := responses[status].Value.Content["application/json"]
		if media == nil {
			if status != "410" {
				t.Errorf("%s has no body", status)
			}
			continue
		}
		code, err := strconv.Atoi(status)
		if err != nil {
			t.Fatal(err)
		}
		for name, example := range media.Examples {
			text, err := json.Marshal(example.Value.Value)
			if err != nil {
				t.Fatal(err)
			}
			p.says(code, strings.ReplaceAll(string(text), "rdmp_01kz3n1y0per2vrbs8xjk2e8x2", "{id}"))
			redemption := p.mintAndRedeem()
			if _, err := p.api.Dispatcher.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.api.Dispatcher.Wait()
			what := status + " " + name
			tried = append(tried, what)
			if got := p.outcomes(redemption); len(got) != 1 || got[0] != "send:"+understood[what]+":<nil>" {
				t.Errorf("%s was understood as %v", what, got)
			}
		}
	}
	if slices.Sort(tried); !slices.Equal(tried, slices.Sorted(maps.Keys(understood))) {
		t.Errorf("tried were %v", tried)
	}
}
