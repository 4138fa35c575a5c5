package api_test

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ballast-compute/ballast/api"
)

// operation is one method of one path, with its place for messages.
type operation struct {
	*openapi3.Operation
	name string
	path string
	verb string
}

// parse reads the document once for all tests, none of which changes it.
var parse = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(api.Spec) })

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := parse()
	if err != nil {
		t.Fatalf("the document does not load: %v", err)
	}
	return doc
}

func operations(doc *openapi3.T) []operation {
	var ops []operation
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		for verb, op := range doc.Paths.Value(path).Operations() {
			ops = append(ops, operation{op, verb + " " + path, path, verb})
		}
	}
	return ops
}

func (o operation) roles() []string {
	var roles []string
	list, _ := o.Extensions["x-roles"].([]any)
	for _, r := range list {
		roles = append(roles, r.(string))
	}
	return roles
}

func (o operation) public() bool { return slices.Equal(o.roles(), []string{"public"}) }

func (o operation) headerRequired(name string) bool {
	p := o.Parameters.GetByInAndName("header", name)
	return p != nil && p.Required
}

func TestSpecIsValid(t *testing.T) {
	t.Parallel()
	doc := load(t)
	err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation())
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryOperationIsDescribed(t *testing.T) {
	t.Parallel()
	doc := load(t)
	camelCase := regexp.MustCompile(`^[a-z]+([A-Z][a-z]+)+$`)
	seen := map[string]string{}
	for _, op := range operations(doc) {
		if !camelCase.MatchString(op.OperationID) {
			t.Errorf("%s: operationId %q is not a verb and a noun in camelCase", op.name, op.OperationID)
		}
		if other, ok := seen[op.OperationID]; ok {
			t.Errorf("%s: operationId %s is that of %s", op.name, op.OperationID, other)
		}
		seen[op.OperationID] = op.name
		if op.Summary == "" || op.Description == "" {
			t.Errorf("%s: no summary or no description", op.name)
		}
		if len(op.Tags) != 1 || doc.Tags.Get(op.Tags[0]) == nil {
			t.Errorf("%s: tags %v, want one that is declared", op.name, op.Tags)
		}
	}
}

func TestEveryOperationSaysWhoMayCall(t *testing.T) {
	t.Parallel()
	known := []string{"operator", "provider", "holder", "finance", "auditor"}
	for _, op := range operations(load(t)) {
		open := op.Security != nil && len(*op.Security) == 0
		if op.public() != open {
			t.Errorf("%s: x-roles %v, but needs no key: %t", op.name, op.roles(), open)
		}
		if len(op.roles()) == 0 {
			t.Errorf("%s: no x-roles", op.name)
		}
		for _, role := range op.roles() {
			if !op.public() && !slices.Contains(known, role) {
				t.Errorf("%s: unknown role %s", op.name, role)
			}
		}
	}
}

func TestPostsThatCreateOrMoveNeedAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	// Doing these twice is doing them once. In a batch each transfer has a key of its own.
	without := []string{
		"freezeAccount", "unfreezeAccount", "closeAccount", "rejectPledge", "revokeApiKey", "createTransferBatch", "approvePolicy", "setProviderTier",
		"previewEpoch", "approveEpoch", "announceEpoch", "withdrawEpoch", "approveSunset", "withdrawSunset",
		"takeCallback", "revokeProviderSecret", "leaseRedemptions", "voidVouchers", "acknowledgeRedemption", "approveCorrection",
		"replayRedemption", "approveResolution", "updateWebhookEndpoint", "replayWebhookDelivery", "disableWebhookEndpoint", "enableWebhookEndpoint",
		"eraseHolder", "statePledge",
	}
	for _, op := range operations(load(t)) {
		want := op.verb == "POST" && !slices.Contains(without, op.OperationID)
		if got := op.headerRequired("Idempotency-Key"); got != want {
			t.Errorf("%s: needs an Idempotency-Key: %t, want %t", op.name, got, want)
		}
		if !want {
			continue
		}
		for _, status := range []int{200, 201} {
			res := op.Responses.Status(status)
			if res != nil && res.Value.Headers["Idempotency-Replayed"] == nil {
				t.Errorf("%s: %d does not say when it is a repetition", op.name, status)
			}
		}
	}
}

// wantErrors lists the errors that an operation must document, from what kind of operation it is.
func wantErrors(op operation) []int {
	want := []int{405}
	keyed := !op.public()
	if keyed {
		want = append(want, 401, 403, 429, 500, 503)
	}
	if op.Parameters.GetByInAndName("path", lastPathParameter(op)) != nil {
		want = append(want, 404)
	}
	if op.RequestBody != nil {
		want = append(want, 400, 413, 415)
	}
	if op.Parameters.GetByInAndName("query", "limit") != nil {
		want = append(want, 400)
	}
	if op.headerRequired("Idempotency-Key") {
		want = append(want, 400, 409, 422)
	}
	return want
}

func lastPathParameter(op operation) string {
	m := regexp.MustCompile(`\{(\w+)\}`).FindStringSubmatch(op.path)
	if m == nil {
		return ""
	}
	return m[1]
}

func TestEveryErrorIsDocumented(t *testing.T) {
	t.Parallel()
	for _, op := range operations(load(t)) {
		for _, status := range wantErrors(op) {
			res := op.Responses.Status(status)
			if res == nil {
				t.Errorf("%s: %d is not documented", op.name, status)
				continue
			}
			if res.Value.Content["application/problem+json"] == nil {
				t.Errorf("%s: %d is not a problem document", op.name, status)
			}
		}
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	needs := map[string][]string{
		"401": {"WWW-Authenticate"}, "405": {"Allow"}, "429": {"Retry-After", "RateLimit-Reset"}, "503": {"Retry-After"},
	}
	for _, op := range operations(load(t)) {
		for status, res := range op.Responses.Map() {
			for _, header := range append([]string{"X-Request-Id"}, needs[status]...) {
				if res.Value.Headers[header] == nil {
					t.Errorf("%s: %s has no %s", op.name, status, header)
				}
			}
		}
	}
}
