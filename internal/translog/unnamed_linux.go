package translog

import (
	"errors"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// putNew puts data in the place of a file that is not there yet, whole: the file has no name until it is. That spares its directory a second one. It tells whether it did;
// where it did not, because the file is there, or its directory is not, or because this system cannot do it, nothing has changed.
func (s *Store) putNew(name string, data []byte) bool {
	if s.named.Load() {
		return false
	}
	fd, err := unix.Open(filepath.Dir(name), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		s.named.Store(incapable(err))
		return false
	}
	defer unix.Close(fd) //nolint:errcheck // it is whole, or has no name
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
		data = data[max(n, 0):]
	}
	err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		s.named.Store(true)
	}
	return err == nil
}

// incapable tells whether a file without a name was refused because there are none: by the file system, or by a kernel that takes it for a directory to be written to. What
// else is wrong, such as too many open files, passes.
func incapable(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EINVAL)
}
