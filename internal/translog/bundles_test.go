package translog

import (
	"errors"
	"slices"
	"testing"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// A row that has another number of entries than it says is in no bundle, and is compared with none.
func TestARowHasTheEntriesThatItSays(t *testing.T) {
	t.Parallel()
	var two []byte
	for _, entry := range []string{"one", "two"} {
		var err error
		if two, err = leaf.AppendTo(two, []byte(entry)); err != nil {
			t.Fatal(err)
		}
	}
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := NewIntegrator(nil, nil, store, nil)
	for name, c := range map[string]struct {
		row row
		ok  bool
	}{
		"as many":     {row{entries: 2, bundle: two}, true},
		"fewer":       {row{entries: 1, bundle: two}, false},
		"more":        {row{entries: 3, bundle: two}, false},
		"cut short":   {row{entries: 2, bundle: two[:len(two)-1]}, false},
		"half a size": {row{entries: 3, bundle: append(slices.Clip(two), 0)}, false},
	} {
		if _, err := c.row.leaves(); (err == nil) != c.ok || !c.ok && !errors.Is(err, leaf.ErrBundle) {
			t.Errorf("%s: leaves: %v", name, err)
		}
		written, leaves, err := in.bundles(0, []row{c.row})
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, leaf.ErrBundle) {
			t.Errorf("%s: bundles: %v", name, err)
		}
		if c.ok && (len(written) != 1 || written[0].W != 2 || len(leaves) != 2 || leaves[1] != leaf.HashOf([]byte("two"))) {
			t.Errorf("%s: wrote %v with %v", name, written, leaves)
		}
	}
}

// The database keeps the bundle of a group in less than half of its size, where it has LZ4, and gives it back as it was; one entry is not worth it.
func TestBundlesAreKeptSmall(t *testing.T) {
	t.Parallel()
	w := newHandingWorld(t)
	small := w.count(`SELECT count(*) FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)`) // 0 where the server was built without LZ4.
	w.together(1)
	if n := w.count(`SELECT count(*) FROM log_entries WHERE pg_column_compression(bundle) IS NOT NULL`); n != 0 {
		t.Errorf("%d rows of one entry are compressed", n)
	}
	w.together(200)
	if n := w.count(`SELECT count(*) FROM log_entries WHERE pg_column_compression(bundle) = 'lz4' AND 2 * pg_column_size(bundle) < octet_length(bundle)`); n != small {
		t.Errorf("%d rows are of less than half of their size, want %d", n, small)
	}
	var got []byte
	if err := w.db.Pool.QueryRow(t.Context(), `SELECT bundle FROM log_entries ORDER BY seq DESC LIMIT 1`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if held := w.handOver.held[len(w.handOver.held)-1]; !slices.Equal(got, held.Bytes) {
		t.Error("a bundle is read otherwise than it was written")
	}
}
