//go:build unix

package embedded

import (
	"errors"
	"os"
	"testing"
)

func TestMemoryIsUsedOnlyWhereThereIsEnough(t *testing.T) {
	t.Parallel()
	if base, ok := MemoryBase(1 << 62); ok {
		t.Errorf("%s has four exabytes to spare", base)
	}
	base, ok := MemoryBase(0)
	if !ok {
		t.Skip("there is no file system in memory here")
	}
	file, err := os.CreateTemp(base, "ballast-memory-*")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		t.Error(err)
	}
}
