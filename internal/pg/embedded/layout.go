//go:build unix

package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// layout names the files of a data directory. The cluster has a directory of its own within it, so that whatever else
// lies there is never touched, and a cluster appears by a rename, whole or not at all.
type layout struct{ root string }

func (l layout) cluster() string      { return filepath.Join(l.root, "pgdata") }
func (l layout) newCluster() string   { return filepath.Join(l.root, "pgdata.new") }
func (l layout) passwordFile() string { return filepath.Join(l.root, "superuser-password") }
func (l layout) portFile() string     { return filepath.Join(l.root, "port") }
func (l layout) lockFile() string     { return filepath.Join(l.root, "lock") }
func (l layout) log() string          { return filepath.Join(l.root, "postgres.log") }

// openLayout makes the directory if it is missing and resolves links in its path, so that one directory has one name.
func openLayout(root string) (layout, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return layout{}, err
	}
	if _, err := os.Stat(filepath.Join(root, "PG_VERSION")); err == nil {
		return layout{}, fmt.Errorf("%s is itself a Postgres cluster that Ballast did not make: choose another data directory", root)
	}
	if err := os.MkdirAll(root, dirMode()); err != nil {
		return layout{}, fmt.Errorf("make data directory: %w", err)
	}
	root, err = filepath.EvalSymlinks(root)
	if err != nil {
		return layout{}, fmt.Errorf("data directory: %w", err)
	}
	return layout{root: root}, nil
}

// dirMode lets Postgres's own user through a directory that root makes, and nobody through that of an ordinary user.
func dirMode() os.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// clusterMajor returns the major version of the cluster, or 0 if there is none yet.
func (l layout) clusterMajor() (int, error) {
	text, err := os.ReadFile(filepath.Join(l.cluster(), "PG_VERSION"))
	if os.IsNotExist(err) {
		return 0, l.checkNoCluster()
	}
	if err != nil {
		return 0, fmt.Errorf("cluster: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("cluster %s: PG_VERSION says %q", l.cluster(), text)
	}
	return major, nil
}

// checkNoCluster refuses a cluster directory without PG_VERSION, since a new cluster may not replace whatever it is.
func (l layout) checkNoCluster() error {
	if _, err := os.Lstat(l.cluster()); !os.IsNotExist(err) {
		return fmt.Errorf("%s exists but is no Postgres cluster: move it away or choose another data directory", l.cluster())
	}
	return nil
}

// DefaultDataDir returns where the data is kept if nobody says: the user's data directory; for root a place that
// Postgres's own user can enter, which root's home is not; and a temporary directory if neither can be written.
func DefaultDataDir() string {
	return firstWritable(append(dataHomes(), filepath.Join(os.TempDir(), "ballast-"+strconv.Itoa(os.Geteuid()))))
}

func dataHomes() []string {
	if os.Geteuid() == 0 {
		return []string{"/var/lib/ballast", "/var/tmp/ballast"}
	}
	var homes []string
	if xdg := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(xdg) {
		homes = append(homes, filepath.Join(xdg, "ballast"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		homes = append(homes, filepath.Join(home, ".local", "share", "ballast"))
	}
	return homes
}

// firstWritable returns the first directory that can be made and written, or the last one.
func firstWritable(dirs []string) string {
	for _, dir := range dirs {
		if os.MkdirAll(dir, dirMode()) != nil {
			continue
		}
		probe, err := os.CreateTemp(dir, ".probe-*")
		if err != nil {
			continue
		}
		_ = probe.Close()
		_ = os.Remove(probe.Name())
		return dir
	}
	return dirs[len(dirs)-1]
}

// MakeTempDir makes a directory, for a cluster that is thrown away, that the user whom Postgres will run as can enter,
// in TempBase. The caller removes it.
func MakeTempDir(pattern string) (string, error) {
	base, err := TempBase()
	if err != nil {
		return "", err
	}
	return MakeTempDirIn(base, pattern)
}

// MakeTempDirIn is MakeTempDir in a directory that the user whom Postgres will run as can enter.
func MakeTempDirIn(base, pattern string) (string, error) {
	dir, err := os.MkdirTemp(base, pattern)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, dirMode())
}

// TempBase returns the temporary directory, or, where this process is root and has one that is closed to others, one that
// all users share.
func TempBase() (string, error) {
	who, err := chooseAccount("/nonexistent")
	if err != nil {
		return "", err
	}
	for _, base := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		base, err := filepath.EvalSymlinks(base)
		if err != nil {
			continue
		}
		if _, blocked := who.obstacle(base); !blocked {
			return base, nil
		}
	}
	return "", fmt.Errorf("user %s, as whom Postgres runs, can enter none of %s, /tmp and /var/tmp: set TMPDIR", who.name, os.TempDir())
}
