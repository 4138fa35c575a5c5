package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ballast-compute/ballast/internal/redeem"
)

// caller returns who of the world makes a call's examples: the one whose the document says that they are, or else an operator where
// one may, since an operator sees everything.
func caller(op operation) string {
	roles := op.roles()
	if role, ok := op.Extensions["x-example-role"].(string); ok {
		roles = []string{role}
	}
	for _, one := range []struct{ role, name string }{
		{"operator", "operator"}, {"provider", "provider"}, {"holder", "alice"}, {"finance", "finance"}, {"auditor", "auditor"},
	} {
		if slices.Contains(roles, one.role) {
			return one.name
		}
	}
	return ""
}

// realIDs replaces the ids of the document by those of the world, and of none where the world has no such thing.
func realIDs(t *testing.T, s *server, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	filled := string(text)
	for name, example := range theContract(t).doc.Extensions["x-fixtures"].(map[string]any) {
		if own, ok := s.names[name]; ok {
			filled = strings.ReplaceAll(filled, example.(string), own)
		}
	}
	var out any
	if err := json.Unmarshal([]byte(filled), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// examplesOf returns the examples of a call's answer in JSON, if it has one.
func examplesOf(op operation) openapi3.Examples {
	if content := success(op).Content["application/json"]; content != nil {
		return content.Examples
	}
	return nil
}

// pathOf fills in the path of a call: with the thing that the example's answer is about, if the world has it, or else with
// the example of the parameter. Parameters of the query are there where they must be.
func pathOf(t *testing.T, s *server, op operation) string {
	t.Helper()
	path, query := op.path, url.Values{}
	for _, p := range op.Parameters {
		if p.Value.In == "query" && p.Value.Required {
			query.Set(p.Value.Name, realIDs(t, s, p.Value.Example).(string))
		}
		if p.Value.In != "path" {
			continue
		}
		id, named := realIDs(t, s, p.Value.Example).(string)
		if !named { // A number of something within what the path names.
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", fmt.Sprint(p.Value.Example))
			continue
		}
		if own, ok := s.names[p.Value.Name]; ok { // It is no id, and what it names is the world's own.
			id = own
		}
		for _, example := range examplesOf(op) {
			answered, _ := realIDs(t, s, example.Value.Value).(object)["id"].(string)
			if strings.HasPrefix(answered, id[:4]) && slices.Contains(slices.Collect(maps.Values(s.names)), answered) {
				id = answered
			}
		}
		path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", id)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func success(op operation) *openapi3.Response {
	if r := op.Responses.Value("201"); r != nil {
		return r.Value
	}
	return op.Responses.Value("200").Value
}

func successStatus(op operation) int {
	if op.Responses.Value("201") != nil {
		return http.StatusCreated
	}
	return http.StatusOK
}

// bodiesOf returns the examples of a call's body, and nil where it may be left out.
func bodiesOf(op operation) map[string]any {
	bodies := map[string]any{}
	if op.RequestBody == nil || !op.RequestBody.Value.Required {
		bodies["without a body"] = nil
	}
	if op.RequestBody != nil {
		for name, example := range op.RequestBody.Value.Content["application/json"].Examples {
			bodies[name] = example.Value.Value
		}
	}
	return bodies
}

// before has what must have happened in the world before an example can work.
var before = map[string]func(s *server){
	// The world's quote is perhaps as old as its template.
	"createRedemption":      func(s *server) { s.names["redemption_quote"] = s.quote("2.5") },
	"acknowledgeRedemption": issueRedemption,
	"proposeCorrection":     issueRedemption,
	"approveCorrection": func(s *server) {
		issueRedemption(s)
		s.post("second", "/v1/redemptions/{redemption}/corrections", object{"hours": "2", "reason": "Two machines never started"}).want(201)
	},
	"proposeResolution": loseRedemption,
	"approveResolution": func(s *server) {
		loseRedemption(s)
		s.post("second", "/v1/redemptions/{redemption}/resolve", object{"outcome": "issued", "provider_grant_id": "g", "evidence": "A ticket"}).want(201)
	},
	"replayRedemption":   pushRedemption,
	"publishLiabilities": func(s *server) { s.publish() },
	"eraseHolder":        closeBob,
}

// pushRedemption puts a redemption that is pushed in the place of the story's.
func pushRedemption(s *server) {
	s.t.Helper()
	s.as("provider", http.MethodPut, "/v1/provider/delivery", object{"transport": "push", "endpoint": "https://northwind.example/ballast"}).want(200)
	s.names["redemption"] = s.post("alice", "/v1/redemptions", object{
		"account_id": "{alice_account}", "amount": "10", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB",
	}).want(201).string("id")
}

func issueRedemption(s *server) {
	s.t.Helper()
	s.post("provider", "/v1/provider/redemptions/{redemption}/issue", object{"provider_grant_id": "g"}).want(200)
}

// loseRedemption makes it unknown what the provider did.
func loseRedemption(s *server) {
	s.t.Helper()
	err := redeem.New(s.db.App, nil).MarkUnknown(s.t.Context(), uuidOf(s.t, "rdmp", s.names["redemption"]), "There was no answer.")
	if err != nil {
		s.t.Fatal(err)
	}
}

// Every example of a request in the contract works as it stands, but for the ids, which are those of the test's own world.
func TestExamplesOfTheContractWork(t *testing.T) {
	t.Parallel()
	count := 0
	read := newServer(t)
	read.publish()
	read.post("operator", "/v1/log/liabilities", nil).want(201)
	read.publish()
	for _, op := range theContract(t).operations() {
		if op.method == http.MethodGet {
			read.as(caller(op), op.method, pathOf(t, read, op), nil).want(http.StatusOK)
			count++
			continue
		}
		for name, body := range bodiesOf(op) {
			count++
			t.Run(op.OperationID+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newServer(t)
				if prepare := before[op.OperationID]; prepare != nil {
					prepare(s)
				}
				if body != nil {
					body = realIDs(t, s, body)
				}
				s.as(caller(op), op.method, pathOf(t, s, op), body).want(successStatus(op))
			})
		}
	}
	if count < 55 {
		t.Errorf("only %d examples were tried", count)
	}
}

// closeBob leaves Bob with nothing that is open.
func closeBob(s *server) {
	s.t.Helper()
	s.post("operator", "/v1/transfers", object{"from_account": "{bob_account}", "to_account": "{carol_account}", "amount": "12.5"}).want(201)
	s.post("operator", "/v1/accounts/{bob_account}/close", nil).want(200)
}
