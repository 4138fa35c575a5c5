package httpapi

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Packages whose errors never reach a handler as they are: pg's are judged by what they say of the database, problem only
// writes what it is given, jobs have no caller, what outbound could not send is tried again later, and whoever takes a filelock says what it means that it is taken. leaf, sumtree and witness are
// formats and protocols that translog uses, and verify is another program's.
var notOfTheDomain = []string{"filelock", "httpapi", "jobs", "leaf", "outbound", "pg", "problem", "sumtree", "verify", "witness"}

// Every sentinel that a domain package exports must have a row: a new one without a row would be answered with 500.
func TestEverySentinelHasARow(t *testing.T) {
	t.Parallel()
	rows := rowsOfTable(t)
	count := 0
	packages, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if !p.IsDir() || slices.Contains(notOfTheDomain, p.Name()) {
			continue
		}
		for _, sentinel := range sentinelsOf(t, filepath.Join("..", p.Name())) {
			count++
			if !rows[p.Name()+"."+sentinel] {
				t.Errorf("%s.%s has no row in errorTable", p.Name(), sentinel)
			}
			delete(rows, p.Name()+"."+sentinel)
		}
	}
	if count < 40 {
		t.Errorf("only %d sentinels were found: has the source moved?", count)
	}
	for row := range rows {
		if !strings.HasPrefix(row, "context.") {
			t.Errorf("errorTable has %s, which is none", row)
		}
	}
}

// parseDir returns the files of a package that are not tests.
func parseDir(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// sentinelsOf returns the names of the package's exported variables that begin with Err.
func sentinelsOf(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, file := range parseDir(t, dir) {
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(name.Name, "Err") {
						found = append(found, name.Name)
					}
				}
			}
		}
	}
	return found
}

// rowsOfTable reads the table's first column out of the source, as package.Name with the package's last path element.
func rowsOfTable(t *testing.T) map[string]bool {
	t.Helper()
	rows := map[string]bool{}
	for _, file := range parseDir(t, ".") {
		packages := map[string]string{}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			name := filepath.Base(path)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			packages[name] = filepath.Base(path)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Names[0].Name != "errorTable" {
				return true
			}
			for _, row := range spec.Values[0].(*ast.CompositeLit).Elts {
				sentinel := row.(*ast.CompositeLit).Elts[0].(*ast.SelectorExpr)
				rows[packages[sentinel.X.(*ast.Ident).Name]+"."+sentinel.Sel.Name] = true
			}
			return false
		})
	}
	return rows
}

func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want kind
	}{
		{"a sentinel", ledger.ErrInsufficientFunds, insufficientFunds},
		{"a wrapped sentinel", fmt.Errorf("transfer: %w", ledger.ErrInsufficientFunds), insufficientFunds},
		{"no database", fmt.Errorf("read: %w", &pgconn.PgError{Severity: "FATAL", Code: "57P01"}), unavailable},
		{"a full disk", &pgconn.PgError{Severity: "ERROR", Code: "53100"}, unavailable},
		{"too late", fmt.Errorf("read: %w", context.DeadlineExceeded), overloaded},
		{"a defect", errors.New("boom"), internal},
		{"a guard of the database", &pgconn.PgError{Severity: "ERROR", Code: "BL001"}, internal},
	} {
		if got := kindOf(tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRowsAreConsistent(t *testing.T) {
	t.Parallel()
	statusOf := map[string]int{}
	for _, row := range errorTable {
		code := string(row.code)
		if status, ok := statusOf[code]; ok && status != row.status {
			t.Errorf("%s has the statuses %d and %d", code, status, row.status)
		}
		statusOf[code] = row.status
		if !row.code.Valid() || row.detail == "" || !strings.HasSuffix(row.detail, ".") {
			t.Errorf("the row of %v is not whole: %+v", row.err, row.kind)
		}
	}
}
