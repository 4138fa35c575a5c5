package sumtree_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/sumtree"
)

const million = 1_000_000

// balances makes up accounts in order, with names as long as those of Ballast, without keeping them.
func balances(n int) func(yield func(string, int64) bool) {
	return func(yield func(string, int64) bool) {
		for i := range n {
			if !yield(accountOf(i), balanceOf(i)) {
				return
			}
		}
	}
}

func accountOf(i int) string { return fmt.Sprintf("acct_01kq%022d", i) }

func balanceOf(i int) int64 { return int64(i%1000) * 1_234_567 }

var largeTree = sync.OnceValues(func() (*sumtree.Tree, error) {
	return sumtree.Build([32]byte{1}, "SCH", balances(million))
})

// BenchmarkBuildMillion builds the tree of a million accounts on one core, and says how many leaves it has and how much memory the program
// then has of the system. Run it alone for that: go test -bench BuildMillion -benchtime 1x.
func BenchmarkBuildMillion(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	before := processorTime(b)
	for b.Loop() {
		tree, err := sumtree.Build([32]byte{1}, "SCH", balances(million))
		if err != nil {
			b.Fatal(err)
		}
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(uint64(1)<<tree.Root().Depth), "leaves")
		b.ReportMetric(float64(memory.Sys>>20), "MiB-of-the-system")
		b.ReportMetric(float64(memory.HeapInuse>>20), "MiB-heap")
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "CPU-s/op")
}

// processorTime is what this process has used of processors: on a machine that others use too, it says more than the clock.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkProve(b *testing.B) {
	tree, err := largeTree()
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "tree")
	if err := tree.WriteFile(path); err != nil {
		b.Fatal(err)
	}
	file, err := sumtree.OpenFile(path, tree.Root())
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for name, p := range map[string]prover{"memory": tree, "file": file} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				prove(b, p, accountOf(i*7919%million))
				i++
			}
			b.ReportMetric(float64(info.Size()>>20), "MiB-file")
		})
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHoldersCheck is what a holder does: read a proof and verify it.
func BenchmarkHoldersCheck(b *testing.B) {
	tree, err := largeTree()
	if err != nil {
		b.Fatal(err)
	}
	text, err := json.Marshal(prove(b, tree, accountOf(4711)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		proof, err := sumtree.ParseProof(text)
		if err != nil {
			b.Fatal(err)
		}
		if err := proof.Verify(tree.Root(), "SCH", accountOf(4711), balanceOf(4711)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(text)), "bytes")
}
