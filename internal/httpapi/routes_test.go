package httpapi

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/api"
	"github.com/ballast-compute/ballast/internal/idempotency"
)

// line is what the contract and the table both say of a call.
type line struct {
	// roles are sorted; "public" stands for no key at all.
	roles string
	// idempotent calls need an Idempotency-Key.
	idempotent bool
}

func TestRoutesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]line{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			var roles []string
			for _, role := range op.Extensions["x-roles"].([]any) {
				roles = append(roles, role.(string))
			}
			key := op.Parameters.GetByInAndName("header", idempotency.Header)
			want[method+" "+path] = lineOf(roles, key != nil && key.Required)
		}
	}
	got := map[string]line{}
	for _, rt := range everyRoute() {
		roles := []string{"public"}
		if rt.roles != nil {
			roles = nil
		}
		for _, role := range rt.roles {
			roles = append(roles, string(role))
		}
		got[rt.method+" "+rt.pattern] = lineOf(roles, rt.idempotent)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); diff != "" {
		t.Errorf("the table of routes is not the contract's (-contract +table):\n%s", diff)
	}
}

func lineOf(roles []string, idempotent bool) line {
	slices.Sort(roles)
	return line{strings.Join(roles, " "), idempotent}
}

func everyRoute() []route {
	logger := slog.New(slog.DiscardHandler)
	return (&API{}).routes(Transport{Health: NewHealth(logger), Metrics: NewMetrics()})
}

// A nil list of roles opens a call to everybody, so each that has none is named here too.
func TestPublicRoutes(t *testing.T) {
	t.Parallel()
	var public []string
	for _, rt := range everyRoute() {
		if rt.roles == nil {
			public = append(public, rt.pattern)
		}
	}
	want := []string{
		"/v1/provider-callbacks/{provider_id}", // It has signatures.
		"/v1/gpu-classes", "/v1/anchor", "/v1/index", "/v1/index/{gpu_class}", "/v1/supply", "/v1/supply/history", "/v1/log/liabilities", "/log/checkpoint", "/log/checkpoint.witnessed", "/log/vkey", "/log/tile/{tile_path}",
		"/transparency", "/transparency/page.css", "/transparency/page.js", "/transparency/log.js", "/healthz", "/readyz", "/metrics", "/openapi.yaml", "/docs", "/docs/rapidoc-min.js",
	}
	if diff := cmp.Diff(want, public); diff != "" {
		t.Error(diff)
	}
}
