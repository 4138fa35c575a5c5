//go:build !linux

package translog

import "errors"

// exchange would give each of two files the name of the other; this system cannot.
func exchange(string, string) error { return errors.ErrUnsupported }
