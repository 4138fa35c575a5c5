package sumtree_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/sumtree"
)

// written returns the file of a tree, as its path and its bytes.
func written(t testing.TB, tree *sumtree.Tree) (string, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tree")
	if err := tree.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, data
}

func TestFileGivesTheSameProofs(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{0, 1, 2, 57, 700} {
		holders := people(int(n)) //nolint:gosec // It is small.
		tree := build(t, [32]byte{20}, holders)
		path, data := written(t, tree)
		var stream bytes.Buffer
		if size, err := tree.WriteTo(&stream); err != nil || size != int64(len(data)) || !bytes.Equal(stream.Bytes(), data) {
			t.Fatalf("%d bytes written, %d in the file: %v", size, len(data), err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("mode %v: %v", info.Mode(), err)
		}
		file, err := sumtree.OpenFile(path, tree.Root())
		if err != nil {
			t.Fatal(err)
		}
		if file.Root() != tree.Root() || file.Asset() != "SCH" || file.Accounts() != n {
			t.Fatalf("%+v %s %d", file.Root(), file.Asset(), file.Accounts())
		}
		var group sync.WaitGroup
		for _, h := range holders {
			group.Go(func() {
				proof, err := file.Prove(h.account)
				if err != nil {
					t.Error(err)
				} else if diff := cmp.Diff(prove(t, tree, h.account), proof); diff != "" {
					t.Error(diff)
				}
			})
		}
		group.Wait()
		if _, err := file.Prove("acct_00000015"); !errors.Is(err, sumtree.ErrUnknownAccount) {
			t.Error(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryByteOfAFileCounts spoils each byte of a small tree's file. Then the file is not opened, or proofs are refused, or they hold as they
// did because the byte is not on their way. No account is said to be unknown.
func TestEveryByteOfAFileCounts(t *testing.T) {
	t.Parallel()
	holders := people(9)
	tree := build(t, [32]byte{21}, holders)
	_, data := written(t, tree)
	path := filepath.Join(t.TempDir(), "spoiled")
	refused, opened := 0, 0
	for at := range data {
		spoiled := slices.Clone(data)
		spoiled[at] ^= 0x10
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := sumtree.OpenFile(path, tree.Root())
		if err != nil {
			if !errors.Is(err, sumtree.ErrCorrupt) {
				t.Fatalf("byte %d: %v", at, err)
			}
			continue
		}
		if at < 256 {
			t.Fatalf("byte %d of the header was not missed", at)
		}
		opened++
		for _, h := range holders {
			proof, err := file.Prove(h.account)
			switch {
			case errors.Is(err, sumtree.ErrCorrupt):
				refused++
			case err != nil:
				t.Fatalf("byte %d, %s: %v", at, h.account, err)
			default:
				if err := proof.Verify(tree.Root(), "SCH", h.account, h.balance); err != nil {
					t.Fatalf("byte %d, %s: %v", at, h.account, err)
				}
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if opened == 0 || refused == 0 {
		t.Errorf("%d files opened, %d proofs refused", opened, refused)
	}
	t.Logf("%d bytes, %d files opened, %d proofs refused", len(data), opened, refused)
}

func TestOtherFilesAreRefused(t *testing.T) {
	t.Parallel()
	tree := build(t, [32]byte{22}, people(24))
	_, data := written(t, tree)
	other := build(t, [32]byte{23}, people(24))
	for name, tt := range map[string]struct {
		data []byte
		root sumtree.Root
	}{
		"empty": {nil, tree.Root()}, "truncated": {data[:len(data)-1], tree.Root()}, "longer": {append(slices.Clone(data), 0), tree.Root()},
		"half a header": {data[:100], tree.Root()}, "of another tree": {data, other.Root()},
	} {
		path := filepath.Join(t.TempDir(), "tree")
		if err := os.WriteFile(path, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sumtree.OpenFile(path, tt.root); !errors.Is(err, sumtree.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sumtree.OpenFile(filepath.Join(t.TempDir(), "none"), tree.Root()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := tree.WriteFile(filepath.Join(t.TempDir(), "no", "such", "directory")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// FuzzOpenFile puts anything where a tree's file should be.
func FuzzOpenFile(f *testing.F) {
	tree := build(f, [32]byte{24}, people(3))
	_, data := written(f, tree)
	f.Add(data)
	f.Add(data[:300])
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "tree")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := sumtree.OpenFile(path, tree.Root())
		if err != nil {
			return
		}
		if proof, err := file.Prove("acct_0000001"); err == nil && proof.Verify(tree.Root(), "SCH", "acct_0000001", 2*1_000_003) != nil {
			t.Fatal("a proof that does not hold")
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
