//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating system's user that Postgres runs as. Postgres refuses to run as root.
type account struct {
	name       string
	uid, gid   uint32
	switchUser bool // This process is root, and children change to the account.
}

// chooseAccount returns this process's user, or, for root, the owner of the cluster if there is one, and else
// "postgres" or "nobody".
func chooseAccount(cluster string) (account, error) {
	owner, exists, err := ownerOf(cluster)
	if err != nil {
		return account{}, err
	}
	euid := uint32(os.Geteuid()) //nolint:gosec // A uid is never negative on Unix.
	switch {
	case euid != 0 && exists && owner.uid != euid:
		return account{}, fmt.Errorf("%s belongs to user %s: run as that user (or as root), or choose another data directory",
			cluster, owner.name)
	case euid != 0:
		return account{name: nameOf(euid), uid: euid, gid: uint32(os.Getegid())}, nil //nolint:gosec // As above.
	case exists && owner.uid != 0:
		owner.switchUser = true
		return owner, nil
	}
	return unprivileged()
}

func ownerOf(path string) (account, bool, error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return account{}, false, fmt.Errorf("%s: owner unknown", path)
	}
	return account{name: nameOf(stat.Uid), uid: stat.Uid, gid: stat.Gid}, true, nil
}

func nameOf(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func unprivileged() (account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if errors.Join(uidErr, gidErr) == nil && uid != 0 {
			return account{name: name, uid: uint32(uid), gid: uint32(gid), switchUser: true}, nil
		}
	}
	return account{}, errors.New("Postgres refuses to run as root, and there is neither a user postgres nor a user nobody: run as an ordinary user") //nolint:staticcheck // A name.
}

// attributes makes a child run as the account, in a process group of its own, so that a ctrl-C in the terminal
// reaches only this process, which then stops the child in order.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.switchUser {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own hands a file that this process made to the account.
func (a account) own(path string) error {
	if !a.switchUser {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// admitTo lets the account into dir, and says which directory above it is in the way if one is. Only dir's own
// mode is changed: what lies above it belongs to others.
func (a account) admitTo(dir string) error {
	if !a.switchUser {
		return nil
	}
	if obstacle, blocked := a.obstacle(filepath.Dir(dir)); blocked {
		return fmt.Errorf("Postgres runs as user %s, who cannot enter %s: choose a data directory elsewhere, for example %s", //nolint:staticcheck // A name.
			a.name, obstacle, DefaultDataDir())
	}
	if _, blocked := a.obstacle(dir); !blocked {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return os.Chmod(dir, info.Mode().Perm()|0o011)
}

// obstacle returns the first directory on the way to dir, from the root down, that the account cannot enter.
func (a account) obstacle(dir string) (string, bool) {
	if parent := filepath.Dir(dir); parent != dir {
		if obstacle, blocked := a.obstacle(parent); blocked {
			return obstacle, true
		}
	}
	return dir, !a.mayEnter(dir)
}

func (a account) mayEnter(dir string) bool {
	if a.uid == 0 {
		return true
	}
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	mode := info.Mode().Perm()
	switch {
	case stat.Uid == a.uid:
		return mode&0o100 != 0
	case stat.Gid == a.gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}
