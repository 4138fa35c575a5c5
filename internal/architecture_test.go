// Package internal_test holds the map of ARCHITECTURE.md to what the packages really import.
package internal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/ballast-compute/ballast/"

// floors are the packages from the top to the ground. A package imports only from floors below its own. "cmd/" stands for
// every command.
var floors = [][]string{
	{"cmd/"},
	{"internal/simulation"},
	{"internal/verify"},
	{"internal/verify/logtest"},
	{"internal/verify/replay", "internal/verify/signed", "internal/verify/source"},
	{"internal/verify/entry", "internal/verify/tree"},
	{"internal/verify/fault"},
	{"internal/httpapi"},
	{"internal/eventpost", "internal/jobs", "internal/push", "internal/translog"},
	{"internal/dispatch"},
	{"internal/settlement"},
	{"internal/httpapi/docs", "internal/httpapi/transparency", "internal/httpapi/wire", "internal/events", "internal/redeem"},
	{"internal/providers"},
	{"internal/coverage"},
	{"internal/anchor", "internal/voucher"},
	{"internal/access", "internal/ledger"},
	{"internal/idempotency", "internal/vault"},
	{"internal/pg/pgtest"},
	{"api", "db", "internal", "internal/pg"},
	{"internal/id", "internal/leaf", "internal/money", "internal/outbound", "internal/outbound/outboundtest", "internal/pg/embedded", "internal/problem", "internal/strictjson", "internal/sumtree", "internal/webhook", "internal/witness"},
	{"internal/filelock"},
	{"examples/provider"}, // Somebody else's program: it has nothing of ours.
}

// domain has the packages that must not reach HTTP or Prometheus, by however many steps.
var domain = []string{
	"db", "internal/access", "internal/anchor", "internal/coverage", "internal/events", "internal/id", "internal/idempotency", "internal/leaf", "internal/ledger", "internal/money",
	"internal/pg", "internal/pg/embedded", "internal/providers", "internal/redeem", "internal/settlement", "internal/sumtree", "internal/vault", "internal/voucher",
}

// testSupport may be imported by the tests of any package, and by nothing else.
var testSupport = []string{"internal/pg/pgtest", "internal/outbound/outboundtest", "internal/verify/logtest"}

// independent are the beginnings of packages that share nothing with the server but what is named in shared: a verifier that ran the server's code
// would believe it.
var (
	independent = []string{"cmd/ballast-verify", "internal/verify"}
	shared      = []string{"internal/witness", "internal/sumtree", "internal/filelock"}
)

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath                               string
	Imports, TestImports, XTestImports, Deps []string
}

func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	if len(packages) < len(domain) {
		t.Fatalf("go list knows only %d packages", len(packages))
	}
	for _, fault := range faultsOf(packages) {
		t.Error(fault)
	}
}

// TestFaultsAreFound breaks each rule once.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		p    goPackage
		want []string
	}{
		{"what is right", goPackage{ImportPath: "internal/redeem", Imports: []string{"internal/ledger", "fmt"}}, nil},
		{"a test's database", goPackage{ImportPath: "internal/money", XTestImports: []string{"internal/money", "internal/pg/pgtest"}}, nil},
		{"an import that points up", goPackage{ImportPath: "internal/ledger", Imports: []string{"internal/anchor"}}, []string{"internal/ledger imports internal/anchor, which is not below it"}},
		{"an import of the same floor", goPackage{ImportPath: "internal/access", Imports: []string{"internal/ledger"}}, []string{"internal/access imports internal/ledger, which is not below it"}},
		{"a test that imports from above", goPackage{ImportPath: "internal/anchor", XTestImports: []string{"internal/redeem"}}, []string{"internal/anchor imports internal/redeem, which is not below it"}},
		{"test support in a program", goPackage{ImportPath: "cmd/api", Imports: []string{"internal/pg/pgtest"}}, []string{"cmd/api imports internal/pg/pgtest outside of tests"}},
		{"a package without a place", goPackage{ImportPath: "internal/utils"}, []string{"internal/utils has no place on the map"}},
		{"a database in the verifier", goPackage{ImportPath: "internal/verify/replay", Deps: []string{"fmt", "github.com/jackc/pgx/v5"}}, []string{"internal/verify/replay reaches github.com/jackc/pgx/v5"}},
		{"the server's encoder in the verifier", goPackage{ImportPath: "cmd/ballast-verify", Deps: []string{module + "internal/leaf", module + "internal/witness"}}, []string{"cmd/ballast-verify reaches internal/leaf"}},
		{"HTTP in the domain", goPackage{ImportPath: "internal/ledger", Deps: []string{"net/http"}}, []string{"internal/ledger reaches net/http"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := tt.p
			p.ImportPath = module + p.ImportPath
			for _, list := range []*[]string{&p.Imports, &p.XTestImports} {
				for i, path := range *list {
					if strings.Contains(path, "/") {
						(*list)[i] = module + path
					}
				}
			}
			if diff := cmp.Diff(tt.want, faultsOf([]goPackage{p})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func faultsOf(packages []goPackage) []string {
	var faults []string
	for _, p := range packages {
		if floorOf(p.name()) < 0 {
			faults = append(faults, p.name()+" has no place on the map")
			continue
		}
		faults = append(faults, faultsOfImports(p)...)
		faults = append(faults, dependences(p)...)
		if !slices.Contains(domain, p.name()) {
			continue
		}
		for _, far := range []string{"net/http", "github.com/go-chi/chi/v5", "github.com/prometheus/client_golang/prometheus"} {
			if slices.Contains(p.Deps, far) {
				faults = append(faults, fmt.Sprintf("%s reaches %s", p.name(), far))
			}
		}
	}
	return faults
}

// dependences are what an independent package reaches and must not.
func dependences(p goPackage) []string {
	if !slices.ContainsFunc(independent, func(place string) bool { return strings.HasPrefix(p.name(), place) }) {
		return nil
	}
	var faults []string
	for _, path := range p.Deps {
		name, ours := strings.CutPrefix(path, module)
		ours = ours && !slices.Contains(shared, name) && !slices.ContainsFunc(independent, func(place string) bool { return strings.HasPrefix(name, place) })
		if ours || strings.HasPrefix(path, "github.com/jackc/pgx") || path == "database/sql" {
			faults = append(faults, fmt.Sprintf("%s reaches %s", p.name(), name))
		}
	}
	return faults
}

func faultsOfImports(p goPackage) []string {
	var faults []string
	seen := map[string]bool{p.name(): true} // A package's external tests import it.
	for i, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
		name, ours := strings.CutPrefix(path, module)
		if !ours || seen[name] {
			continue
		}
		seen[name] = true
		switch inTest := i >= len(p.Imports); {
		case slices.Contains(testSupport, name) && inTest:
		case slices.Contains(testSupport, name):
			faults = append(faults, fmt.Sprintf("%s imports %s outside of tests", p.name(), name))
		case floorOf(name) <= floorOf(p.name()):
			faults = append(faults, fmt.Sprintf("%s imports %s, which is not below it", p.name(), name))
		}
	}
	return faults
}

// floorOf counts from the top. It is -1 for a package that is not on the map.
func floorOf(name string) int {
	return slices.IndexFunc(floors, func(floor []string) bool {
		return slices.ContainsFunc(floor, func(place string) bool {
			return place == name || strings.HasSuffix(place, "/") && strings.HasPrefix(name, place)
		})
	})
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	list.Dir = ".."
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
