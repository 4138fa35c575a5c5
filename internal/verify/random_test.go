package verify

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// TestRandomBitsOfALargeLog turns random bits of the files of a large log. Reading all of it ten thousand times would take a day, so the walk is stopped before each file once, and goes
// on from there with the file that has the bit turned, and the tile after a bundle: with the code, and in the state, in which a check of the whole log comes to it.
func TestRandomBitsOfALargeLog(t *testing.T) {
	t.Parallel()
	size, turns := int64(3_000), 1_000
	if os.Getenv("BALLAST_LONG") != "" {
		size, turns = 1_000_000, 10_000
	}
	m := logtest.Make(t.TempDir(), 21, 1000, size)
	key, err := signed.ParseKey(m.Keys.VKey)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := signed.Open(m.Checkpoint, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	type stop struct {
		before tree.Builder
		file   tree.File
		bytes  int
	}
	var stops []stop
	var ends []int
	total := 0
	w := &walk{}
	src := source.Directory(m.Dir)
	for r := range source.InOrder(t.Context(), src, tree.Files(latest.Size)) {
		total += len(r.Bytes)
		stops, ends = append(stops, stop{w.tree.Clone(), r.File, len(r.Bytes)}), append(ends, total)
		if err := w.file(&r); err != nil {
			t.Fatal(err)
		}
	}
	if w.tree.Root() != latest.Root {
		t.Fatal("the log is not right")
	}
	random := rand.New(rand.NewPCG(1, 2))
	counts := map[int]int{}
	for range turns {
		place := random.IntN(total)
		n := 0
		for ends[n] <= place {
			n++
		}
		bit := random.IntN(8 * stops[n].bytes)
		resumed := &walk{tree: stops[n].before.Clone()}
		read := source.ReadTile(t.Context(), src, stops[n].file)
		read.Bytes = bytes.Clone(read.Bytes)
		read.Bytes[bit/8] ^= 1 << (bit % 8)
		err := resumed.file(&read)
		if err == nil && stops[n].file.Level == tree.Entries {
			next := source.ReadTile(t.Context(), src, stops[n+1].file)
			err = resumed.file(&next)
		}
		if err == nil {
			t.Errorf("bit %d of %s may be anything", bit, stops[n].file.Path())
		}
		counts[stops[n].file.Level]++
	}
	t.Logf("%d bits of %d files of %d entries turned, all noticed; by level, −1 for entries: %v", turns, len(stops), size, counts)
}
