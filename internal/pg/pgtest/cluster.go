//go:build unix

package pgtest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/embedded"
)

// blankFiles are what makes a data directory one that has a cluster: the cluster itself, and its password. The rest belongs to a run.
var blankFiles = []string{"pgdata", "superuser-password"}

// saved is a file or a directory of a cluster that is not running.
type saved struct {
	name     string
	mode     fs.FileMode
	uid, gid int
	data     []byte // Of a file.
}

// blank is a cluster that nobody has used, in memory: some forty megabytes. It is made once in a process, since initdb takes a second that tests
// about something else need not spend each.
var blank = sync.OnceValues(makeBlank)

// ClusterDir is DataDir for tests that are not about the making of a cluster: there is one in it, which nobody has used and which does not run.
func ClusterDir(t testing.TB) string {
	t.Helper()
	base, err := throwAwayBase()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return clusterDirIn(t, base)
}

func clusterDirIn(t testing.TB, base string) string {
	t.Helper()
	files, err := blank()
	if err != nil {
		t.Fatalf("pgtest: make a cluster to copy: %v", err)
	}
	dir := dataDirIn(t, base)
	for _, file := range files {
		if err := file.write(dir); err != nil {
			t.Fatalf("pgtest: copy a cluster: %v", err)
		}
	}
	return dir
}

func (s *saved) write(dir string) error {
	path := filepath.Join(dir, s.name)
	var err error
	if s.mode.IsDir() {
		err = os.Mkdir(path, s.mode.Perm())
	} else {
		err = os.WriteFile(path, s.data, s.mode.Perm())
	}
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return os.Chown(path, s.uid, s.gid) // Postgres's own user has it.
}

func makeBlank() (files []saved, err error) {
	ctx := context.Background() // Outlives the test that happens to come first.
	base, err := throwAwayBase()
	if err != nil {
		return nil, err
	}
	dir, err := embedded.MakeTempDirIn(base, "ballast-pgtest-blank-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, embedded.Remove(ctx, dir)) }()
	server, err := embedded.Start(ctx, embedded.Options{DataDir: dir, FsyncOff: true, NoRestart: true})
	if err != nil {
		return nil, err
	}
	if err := server.Stop(ctx); err != nil {
		return nil, err
	}
	for _, name := range blankFiles {
		err := filepath.WalkDir(filepath.Join(dir, name), func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			file, err := save(dir, path)
			files = append(files, file)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// save reads a file, or what a directory itself is like.
func save(dir, path string) (saved, error) {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return saved{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return saved{}, err
	}
	s := saved{name: name, mode: info.Mode()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.uid, s.gid = int(stat.Uid), int(stat.Gid)
	}
	if info.Mode().IsRegular() {
		s.data, err = os.ReadFile(path)
	}
	return s, err
}
