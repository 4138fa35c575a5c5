//go:build unix

package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// prepareCluster makes the cluster if there is none, and else sees that it can be opened: by the right version, with its
// password, and with nobody else inside.
func (s *Server) prepareCluster(ctx context.Context) error {
	major, err := s.dir.clusterMajor()
	if err != nil {
		return err
	}
	if s.binaries, err = findBinaries(ctx, s.dir, major, s.account, s.log); err != nil {
		return err
	}
	if major == 0 {
		return s.makeCluster(ctx)
	}
	if s.password, err = readPassword(s.dir); err != nil {
		return err
	}
	return s.settleOrphan(ctx)
}

func readPassword(dir layout) (string, error) {
	text, err := os.ReadFile(dir.passwordFile())
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("the superuser's password, %s, is missing, and the cluster beside it cannot be opened without: "+
			"put it back, or move the cluster away to start anew", dir.passwordFile())
	}
	if err != nil {
		return "", fmt.Errorf("superuser's password: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// makeCluster builds the cluster beside its final place and renames it there last, so that one that was interrupted is
// never taken for whole.
func (s *Server) makeCluster(ctx context.Context) error {
	began := time.Now()
	building := s.dir.newCluster()
	if err := os.RemoveAll(building); err != nil { // Of an initdb that was interrupted.
		return err
	}
	if err := os.Mkdir(building, 0o700); err != nil {
		return err
	}
	if err := s.account.own(building); err != nil {
		return err
	}
	s.password = rand.Text()
	if err := writeDurably(s.dir.passwordFile(), s.password+"\n"); err != nil {
		return err
	}
	if err := s.initdb(ctx, building); err != nil {
		return err
	}
	if err := os.Rename(building, s.dir.cluster()); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "made a Postgres cluster", "dir", s.dir.cluster(), "version", s.binaries.version,
		"user", s.account.name, "took", time.Since(began).Round(time.Millisecond))
	return syncDir(s.dir.root)
}

// initdb never says trust: whoever shares the machine reaches the loopback port too.
func (s *Server) initdb(ctx context.Context, building string) error {
	passwordFile, err := s.handOverPassword()
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(passwordFile) }()
	args := []string{
		"-D", building, "--username=" + superuser, "--pwfile=" + passwordFile,
		"--auth-host=scram-sha-256", "--auth-local=scram-sha-256",
		"--data-checksums", "--encoding=UTF8", "--locale=C", "--no-instructions",
	}
	if s.opts.FsyncOff {
		args = append(args, "--no-sync")
	}
	cmd := s.command(ctx, s.binaries.initdb(), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", errors.Join(err, context.Cause(ctx)), lastLines(string(out), 5))
	}
	return nil
}

// handOverPassword puts the password into a file that the account can read, since initdb takes it in no other way.
func (s *Server) handOverPassword() (string, error) {
	file, err := os.CreateTemp(s.dir.root, ".initdb-*") // Mode 0600.
	if err != nil {
		return "", err
	}
	_, writeErr := file.WriteString(s.password + "\n")
	return file.Name(), errors.Join(writeErr, file.Close(), s.account.own(file.Name()))
}

// writeDurably replaces a private file so that a crash leaves the old or the new one.
func writeDurably(path, text string) error {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, writeErr := file.WriteString(text)
	if err := errors.Join(writeErr, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
