package logtest_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// TestMakeForPeople writes a log for trying things by hand: BALLAST_MAKE_LOG=directory BALLAST_MAKE_SIZE=1000000.
func TestMakeForPeople(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("BALLAST_MAKE_LOG")
	if dir == "" {
		t.Skip("BALLAST_MAKE_LOG is not set")
	}
	n, err := strconv.ParseInt(os.Getenv("BALLAST_MAKE_SIZE"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	logtest.Make(dir, 1, int(n/10), n)
}
