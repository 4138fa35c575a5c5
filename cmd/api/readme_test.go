package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// readme is the part of README.md under a heading.
func readme(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

var (
	shellBlock = regexp.MustCompile("(?s)\n```sh\n(.*?)```\n")
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
)

// TestReadmeWalk pastes the walk through the main job. One call is refused: more than there is.
func TestReadmeWalk(t *testing.T) {
	t.Parallel()
	pasteWalk(t, "A walk through the main job", pgtest.DataDir(t), 1)
}

// TestReadmeCollateralWalk pastes the other one. Two calls are refused: an operator alone, and a mint while the coverage is too low.
func TestReadmeCollateralWalk(t *testing.T) {
	t.Parallel()
	pasteWalk(t, "A walk through collateral", pgtest.ClusterDir(t), 2)
}

// TestReadmeRedemptionWalk pastes the third, with examples/provider at work. Nothing is refused.
func TestReadmeRedemptionWalk(t *testing.T) {
	t.Parallel()
	pasteWalk(t, "A walk through redemption", pgtest.ClusterDir(t), 0)
}

// TestReadmeLogWalk pastes the fourth, with ballast-verify at work. One call is refused: liabilities that are not what the log says.
func TestReadmeLogWalk(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("psql is not there, which the walk changes a row with")
	}
	out := pasteWalk(t, "A walk through the log", pgtest.ClusterDir(t), 1)
	for line, want := range map[string]int{"\nVERIFIED": 7, "\nTAMPERED": 3, "\nexit status 1\n": 3} {
		if got := strings.Count("\n"+out, line); got != want {
			t.Errorf("%q is there %d times, want %d:\n%s", line, got, want, out)
		}
	}
}

// verifierBinary builds cmd/ballast-verify once.
var verifierBinary = sync.OnceValues(func() (string, error) { return buildBeside("ballast-verify", "../ballast-verify") })

// pasteWalk pastes a walk of README.md into a shell as a reader would, but for a port and a data directory of its own, and for programs that are linked to instead of
// built. It looks for every answer that the text promises, and for as many refusals.
func pasteWalk(t *testing.T, heading, dir string, refusals int) string {
	t.Helper()
	walk := readme(t, heading)
	var script strings.Builder
	script.WriteString("set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n")
	for _, block := range shellBlock.FindAllStringSubmatch(walk, -1) {
		script.WriteString(block[1])
	}
	script.WriteString("wait\n")
	address, called := freeAddress(t), freeAddress(t)
	text := strings.NewReplacer(append(copies(t),
		"127.0.0.1:8080", address, "/tmp/ballast-collateral-$$", dir, "/tmp/ballast-redemption-$$", dir, "/tmp/ballast-log-", dir+"/",
		"127.0.0.1:9090", called, "./provider-example ", "./provider-example --ballast http://"+address+" --listen "+called+" ",
	)...).Replace(script.String())
	if strings.Contains(text, "go run") || strings.Contains(text, "go build") {
		t.Fatalf("the walk runs something else than what the test puts in its place; what go run starts does not end when it is killed:\n%s", text)
	}

	cmd := exec.CommandContext(t.Context(), "bash", "-c", text)
	cmd.Dir = t.TempDir()
	cmd.Env = environment([]string{"BALLAST_ADDR=" + address, "BALLAST_DATA_DIR=" + dir})
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the walk ended with %v:\n%s", err, out)
	}
	leavesNothing(t, cmd.Dir)
	promised := inlineCode.FindAllStringSubmatch(shellBlock.ReplaceAllString(walk, ""), -1)
	answers := 0
	for _, p := range promised {
		if !strings.HasPrefix(p[1], `"`) && !slices.Contains([]string{"0 failed", "everything is the same", "VERIFIED", "TAMPERED"}, p[1]) {
			continue
		}
		answers++
		if !strings.Contains(string(out), p[1]) {
			t.Errorf("the text promises %s, which is not in:\n%s", p[1], out)
		}
	}
	if answers < 4 {
		t.Errorf("the text promises %d answers", answers)
	}
	if refused := strings.Count(string(out), `"request_id"`); refused != refusals {
		t.Errorf("%d calls were refused instead of the %d that should be:\n%s", refused, refusals, out)
	}
	if !strings.Contains(string(out), "Stopped.") {
		t.Errorf("the server did not stop:\n%s", out)
	}
	return string(out)
}

// copies has what a walk builds, and what is done in its place: the programs that the tests have built already are linked to.
func copies(t *testing.T) (oldnew []string) {
	t.Helper()
	for build, built := range map[string]func() (string, error){
		"ballast ./cmd/api":                    func() (string, error) { return binary, nil },
		"ballast-verify ./cmd/ballast-verify":  verifierBinary,
		"provider-example ./examples/provider": providerBinary,
	} {
		path, err := built()
		if err != nil {
			t.Fatal(err)
		}
		to, _, _ := strings.Cut(build, " ")
		for _, in := range []string{"", "$W/"} {
			oldnew = append(oldnew, "go build -o "+in+build, "ln -s "+path+" "+in+to)
		}
	}
	return oldnew
}

// leavesNothing fails if a walk leaves more where it was pasted than programs and what they said: another walk, there or in the same shell, would stumble over it.
func leavesNothing(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		if !slices.Contains([]string{"ballast", "provider-example"}, file.Name()) && filepath.Ext(file.Name()) != ".out" {
			t.Errorf("the walk leaves %s behind", file.Name())
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	ln, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// TestReadmeListsEveryVariable compares the table of README.md with what the program prints.
func TestReadmeListsEveryVariable(t *testing.T) {
	t.Parallel()
	section := readme(t, "Environment")
	_, printed, _ := strings.Cut(runBinary(t, nil, "--help").stdout, "\nEnvironment:\n")
	variables := regexp.MustCompile(`(?m)^  ([A-Z_]+)  .*?(?:Default (\S+)\.)?$`).FindAllStringSubmatch(printed, -1)
	if len(variables) < 15 {
		t.Fatalf("--help lists only %d variables:\n%s", len(variables), printed)
	}
	for _, v := range variables {
		row := regexp.MustCompile("(?m)^\\|[^|]*`" + v[1] + "`.*$").FindString(section)
		if row == "" {
			t.Errorf("%s is not in the table", v[1])
		}
		if v[2] != "" && !strings.Contains(row, "`"+v[2]+"`") {
			t.Errorf("the table says %q, and the default of %s is %s", row, v[1], v[2])
		}
	}
}

// TestLinksLeadSomewhere follows the links between the documents.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "internal/anchor/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	if len(documents) < 15 {
		t.Errorf("only %d documents", len(documents))
	}
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#\s]+)`).FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), link[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

// TestReadmeNamesEveryDocument has the documents under docs in the list of what to read on.
func TestReadmeNamesEveryDocument(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(documents) < 5 {
		t.Fatalf("%v, %v", documents, err)
	}
	listed := readme(t, "Read on")
	for _, document := range documents {
		if name := "docs/" + filepath.Base(document); !strings.Contains(listed, "("+name+")") {
			t.Errorf("%s is not in the list", name)
		}
	}
}
