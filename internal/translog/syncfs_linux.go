package translog

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFileSystem brings to disk all that was written to the file system of a directory.
func syncFileSystem(dir *os.File) error { return unix.Syncfs(int(dir.Fd())) }
