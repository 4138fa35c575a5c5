package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ballast-compute/ballast/api"
)

// contract is the OpenAPI document, read once for all tests.
type contract struct {
	doc *openapi3.T
	// schemas has the compiled JSON Schema of a place in the document.
	schemas sync.Map
	compile sync.Mutex
	root    *jsonschema.Compiler
}

const contractURL = "https://ballast.test/openapi.json"

var readContract = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	if err != nil {
		return nil, err
	}
	text, err := doc.MarshalJSON()
	if err != nil {
		return nil, err
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := &contract{doc: doc, root: jsonschema.NewCompiler()}
	c.root.DefaultDraft(jsonschema.Draft2020)
	c.root.AssertFormat()
	return c, c.root.AddResource(contractURL, tree)
})

func theContract(t testing.TB) *contract {
	t.Helper()
	c, err := readContract()
	if err != nil {
		t.Fatalf("the contract cannot be read: %v", err)
	}
	return c
}

// check compares a JSON value with the schema at a place such as #/components/schemas/Account.
func (c *contract) check(place string, value any) error {
	compiled, ok := c.schemas.Load(place)
	if !ok {
		c.compile.Lock()
		made, err := c.root.Compile(contractURL + place)
		c.compile.Unlock()
		if err != nil {
			return err
		}
		compiled, _ = c.schemas.LoadOrStore(place, made)
	}
	return compiled.(*jsonschema.Schema).Validate(value)
}

// operation is one call of the contract.
type operation struct {
	*openapi3.Operation
	method, path string
}

func (o operation) String() string { return o.method + " " + o.path }

// operations are in the order of their paths.
func (c *contract) operations() []operation {
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(c.doc.Paths.Map())) {
		ops := c.doc.Paths.Value(path).Operations()
		for _, method := range slices.Sorted(maps.Keys(ops)) {
			all = append(all, operation{ops[method], method, path})
		}
	}
	return all
}

func (o operation) roles() []string {
	var roles []string
	for _, r := range o.Extensions["x-roles"].([]any) {
		roles = append(roles, r.(string))
	}
	return roles
}

// find returns the call that a request makes, and whether the path is one of the contract.
func (c *contract) find(method, path string) (op operation, known bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	parts := strings.Split(path, "/")
	for _, o := range c.operations() {
		if !fits(strings.Split(o.path, "/"), parts) {
			continue
		}
		known = true
		if o.method == method && (op.Operation == nil || !strings.Contains(o.path, "{")) {
			op = o
		}
	}
	return op, known
}

func fits(pattern, path []string) bool {
	if n := len(pattern); pattern[n-1] == "{tile_path}" && len(path) > n { // It has slashes in it.
		path = path[:n]
	}
	if len(pattern) != len(path) {
		return false
	}
	for i := range pattern {
		if !strings.HasPrefix(pattern[i], "{") && pattern[i] != path[i] {
			return false
		}
	}
	return true
}

// validated asks a handler in this process, and fails the test for every answer that the contract does not allow.
type validated struct {
	t        testing.TB
	handler  http.Handler
	contract *contract
}

func (v validated) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	inner := r.Clone(r.Context())
	inner.RequestURI = r.URL.RequestURI()
	inner.RemoteAddr = "192.0.2.7:4711"
	v.handler.ServeHTTP(rec, inner)
	res := rec.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err := v.check(r, res, body); err != nil {
		v.t.Errorf("%s %s answered %d, which the contract does not allow: %v\n%s", r.Method, r.URL, res.StatusCode, err, body)
	}
	return res, nil
}

func (v validated) check(r *http.Request, res *http.Response, body []byte) error {
	op, known := v.contract.find(r.Method, r.URL.Path)
	switch {
	case !known:
		return v.checkProblem(res, body)
	case op.Operation == nil && res.StatusCode != http.StatusMethodNotAllowed:
		return fmt.Errorf("it has no such method")
	case op.Operation == nil:
		return v.checkProblem(res, body)
	}
	documented := op.Responses.Value(strconv.Itoa(res.StatusCode))
	if documented == nil {
		return fmt.Errorf("the status is not documented")
	}
	if err := v.checkHeaders(documented.Value, res); err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return nil
	}
	return v.checkBody(documented.Value, res, body)
}

func (v validated) checkProblem(res *http.Response, body []byte) error {
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		return fmt.Errorf("content type %q", got)
	}
	return v.checkJSON("#/components/schemas/Problem", body)
}

func (v validated) checkHeaders(documented *openapi3.Response, res *http.Response) error {
	for name, header := range documented.Headers {
		values := res.Header.Values(name)
		switch {
		case len(values) == 0 && header.Value.Required:
			return fmt.Errorf("the header %s is missing", name)
		case len(values) == 0:
			continue
		case len(values) > 1:
			return fmt.Errorf("the header %s is there twice", name)
		}
		var value any = values[0]
		if header.Value.Schema.Value.Type.Is("integer") {
			value = json.Number(values[0])
		}
		place := "#/components/headers/" + strings.TrimPrefix(header.Ref, "#/components/headers/") + "/schema"
		if err := v.contract.check(place, value); err != nil {
			return fmt.Errorf("the header %s: %w", name, err)
		}
	}
	for _, name := range []string{"Idempotency-Replayed", "Ballast-Promise", "Allow", "Retry-After", "WWW-Authenticate"} {
		if len(res.Header.Values(name)) > 0 && documented.Headers[name] == nil {
			return fmt.Errorf("the header %s is not documented", name)
		}
	}
	return nil
}

func (v validated) checkBody(documented *openapi3.Response, res *http.Response, body []byte) error {
	mediaType, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	content := documented.Content[mediaType]
	switch {
	case content == nil:
		return fmt.Errorf("the content type %s is not documented", mediaType)
	case mediaType == "application/x-ndjson":
		for line := range bytes.Lines(body) {
			if err := v.checkJSON(content.Schema.Ref, line); err != nil {
				return err
			}
		}
		return nil
	case strings.HasSuffix(mediaType, "json"):
		return v.checkJSON(content.Schema.Ref, body)
	default:
		return v.contract.check(content.Schema.Ref, string(body))
	}
}

func (v validated) checkJSON(place string, body []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return v.contract.check(place, value)
}
