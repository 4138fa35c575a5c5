//go:build !linux

package translog

// putNew would put data in the place of a file that is not there yet without another name; this system cannot.
func (*Store) putNew(string, []byte) bool { return false }
