//go:build unix && !linux

package embedded

// MemoryBase finds nothing: only Linux has a place in memory that everybody knows.
func MemoryBase(uint64) (string, bool) { return "", false }
