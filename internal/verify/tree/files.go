package tree

import (
	"fmt"
	"iter"
	"strconv"
)

// Entries is the Level of a file that has entries.
const Entries = -1

// File is one of the published files.
type File struct {
	// Level is that of its tile, or Entries. Index is the tile's, and Width how many hashes or entries it has.
	Level int
	Index uint64
	Width int
}

// Path returns where the file is, by C2SP tlog-tiles.
func (f File) Path() string {
	path := f.FullPath()
	if f.Width < Width {
		path += ".p/" + strconv.Itoa(f.Width)
	}
	return path
}

// FullPath is that of the full tile in the same place. A log may drop a partial tile once it has the full one.
func (f File) FullPath() string {
	level := "entries"
	if f.Level != Entries {
		level = strconv.Itoa(f.Level)
	}
	number := fmt.Sprintf("%03d", f.Index%1000)
	for n := f.Index / 1000; n > 0; n /= 1000 {
		number = fmt.Sprintf("x%03d/%s", n%1000, number)
	}
	return "tile/" + level + "/" + number
}

// MaxBytes is the most that the file, or the full one in its place, may have.
func (f File) MaxBytes() int64 {
	if f.Level == Entries {
		return Width * (2 + 1<<16 - 1)
	}
	return Width * 32
}

// Files yields what a log of a size is published in, in the order in which they are needed to compute its tree: each bundle of entries,
// and then the tiles that it fills or leaves partial.
func Files(size uint64) iter.Seq[File] {
	return func(yield func(File) bool) {
		for index := uint64(0); index<<bits < size; index++ {
			width := int(min(size-index<<bits, Width))
			if !yield(File{Entries, index, width}) || !yield(File{0, index, width}) {
				return
			}
			if width == Width && !filled(index, yield) {
				return
			}
		}
		for level, hashes := 1, size>>bits; hashes > 0; level, hashes = level+1, hashes>>bits {
			if width := int(hashes % Width); width > 0 && !yield(File{level, hashes >> bits, width}) {
				return
			}
		}
	}
}

// filled yields the tiles above level 0 that are full with this one.
func filled(index uint64, yield func(File) bool) bool {
	for level := 1; index%Width == Width-1; level++ {
		index >>= bits
		if !yield(File{level, index, Width}) {
			return false
		}
	}
	return true
}

// Count returns how many files that are.
func Count(size uint64) uint64 {
	n := (size + Width - 1) >> bits * 2
	for hashes := size >> bits; hashes > 0; hashes >>= bits {
		n += (hashes + Width - 1) >> bits
	}
	return n
}
