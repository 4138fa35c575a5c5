package providers_test

import (
	"flag"
	"os"
	"testing"
)

// long is whether there is time for everything.
func long() bool { return os.Getenv("BALLAST_LONG") == "1" }

// TestMain compares with the model 40 times instead of rapid's hundred, unless BALLAST_LONG or the command line says otherwise: each time
// takes dozens of transactions, and every run of the tests draws others.
func TestMain(m *testing.M) {
	if !long() {
		if err := flag.Set("rapid.checks", "40"); err != nil { // Before the command line is parsed.
			panic(err)
		}
	}
	os.Exit(m.Run())
}
