//go:build !linux

package translog

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFileSystem brings to disk all that was written, to whatever file system.
func syncFileSystem(*os.File) error {
	unix.Sync()
	return nil
}
