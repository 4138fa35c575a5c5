package api_test

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ballast-compute/ballast/internal/id"
)

// body is one place in the document where something of a media type is sent or answered.
type body struct {
	name      string
	mediaType string
	*openapi3.MediaType
}

// bodies lists every place once, shared answers under the first operation that has them.
func bodies(doc *openapi3.T) []body {
	var all []body
	seen := map[*openapi3.MediaType]bool{}
	for _, op := range operations(doc) {
		if op.RequestBody != nil {
			all = append(all, contentOf(op.name+" request", op.RequestBody.Value.Content)...)
		}
		for status, res := range op.Responses.Map() {
			all = append(all, contentOf(op.name+" "+status, res.Value.Content)...)
		}
	}
	return slices.DeleteFunc(all, func(b body) bool {
		again := seen[b.MediaType]
		seen[b.MediaType] = true
		return again
	})
}

func contentOf(name string, content openapi3.Content) []body {
	var all []body
	for mediaType, m := range content {
		all = append(all, body{name, mediaType, m})
	}
	return all
}

func (b body) isJSON() bool { return strings.HasSuffix(b.mediaType, "json") }

func (b body) check(value any) error {
	return b.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation())
}

func TestEveryBodyHasExamplesThatMatch(t *testing.T) {
	t.Parallel()
	count := 0
	for _, b := range bodies(load(t)) {
		if len(b.Examples) == 0 {
			t.Errorf("%s %s: no example", b.name, b.mediaType)
		}
		for name, example := range b.Examples {
			count++
			if example.Value.Summary == "" {
				t.Errorf("%s: example %s has no summary", b.name, name)
			}
			if err := b.check(example.Value.Value); err != nil {
				t.Errorf("%s: example %s: %v", b.name, name, err)
			}
		}
	}
	if count < 130 {
		t.Errorf("only %d examples were checked", count)
	}
}

// What has a field too many is refused, so that a test of the server's answers catches what the document does not say.
func TestUnknownFieldsDoNotMatch(t *testing.T) {
	t.Parallel()
	for _, b := range bodies(load(t)) {
		if !b.isJSON() {
			continue
		}
		for name, example := range b.Examples {
			more := maps.Clone(example.Value.Value.(map[string]any))
			more["unheard_of"] = true
			if b.check(more) == nil {
				t.Errorf("%s: example %s still matches with an unknown field", b.name, name)
			}
		}
	}
}

func TestProblemExamplesFitTheirStatus(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, b := range bodies(load(t)) {
		if b.mediaType != "application/problem+json" {
			continue
		}
		for name, example := range b.Examples {
			p := example.Value.Value.(map[string]any)
			status, code := strconv.Itoa(int(p["status"].(float64))), p["code"].(string)
			used[code] = true
			if !strings.HasSuffix(b.name, " "+status) {
				t.Errorf("%s: example %s has status %s", b.name, name, status)
			}
			if p["type"] != "urn:ballast:problem:"+code {
				t.Errorf("%s: example %s has type %v and code %s", b.name, name, p["type"], code)
			}
		}
	}
	for _, code := range load(t).Components.Schemas["ErrorCode"].Value.Enum {
		if !used[code.(string)] && code != "batch_aborted" { // which occurs inside of an answer only
			t.Errorf("no operation answers with %s", code)
		}
	}
}

// visitStrings calls fn with every string in a JSON value.
func visitStrings(value any, fn func(string)) {
	switch v := value.(type) {
	case string:
		fn(v)
	case []any:
		for _, item := range v {
			visitStrings(item, fn)
		}
	case map[string]any:
		for _, item := range v {
			visitStrings(item, fn)
		}
	}
}

func TestFixturesAreTheIdsOfTheExamples(t *testing.T) {
	t.Parallel()
	doc := load(t)
	nameOf := map[string]string{}
	for name, value := range doc.Extensions["x-fixtures"].(map[string]any) {
		text := value.(string)
		prefix, _, _ := strings.Cut(text, "_")
		if _, err := id.Parse(id.Prefix(prefix), text); err != nil {
			t.Errorf("fixture %s is %s: %v", name, text, err)
		}
		if other, ok := nameOf[text]; ok {
			t.Errorf("fixtures %s and %s are the same", name, other)
		}
		nameOf[text] = name
	}
	typeID := regexp.MustCompile(`^(acct|hldr|prov|key|pldg|txn|hold|rdmp|epoch|req|prin)_[0-9a-z]{26}$`)
	missing := func(where string) func(string) {
		return func(s string) {
			if typeID.MatchString(s) && nameOf[s] == "" {
				t.Errorf("%s: %s is not in x-fixtures", where, s)
			}
		}
	}
	for _, b := range bodies(doc) {
		for name, example := range b.Examples {
			visitStrings(example.Value.Value, missing(b.name+" "+name))
		}
	}
	for _, op := range operations(doc) {
		for _, p := range op.Parameters {
			visitStrings(p.Value.Example, missing(op.name))
		}
	}
	for _, want := range []string{
		"operator", "alice", "alice_account", "bob", "bob_account", "provider", "pledge", "pledge_pending",
		"hold", "transfer", "mint", "redemption", "api_key",
	} {
		if !slices.Contains(slices.Collect(maps.Values(nameOf)), want) {
			t.Errorf("no fixture %s", want)
		}
	}
}
