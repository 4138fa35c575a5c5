//go:build unix

package main

import (
	"runtime"
	"syscall"
)

// peakBytes is the most resident memory that the process had.
func peakBytes() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" { // There it is bytes.
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}
