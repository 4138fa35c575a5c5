package sumtree

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The file of a tree: a header of headerBytes; then for each account where its record begins, and where the last one ends; the records; the nodes, level by
// level from keptLevel, as 32 bytes of hash and eight of sum. Whole numbers are big-endian.
const (
	fileMagic   = "ballast.sumtree.v1.file\n"
	headerBytes = 256
	nodeBytes   = HashBytes + 8
)

// header is the beginning of a file. What is left of headerBytes before its own SHA-256 is zero.
type header struct {
	asset          string
	seed           [HashBytes]byte
	root           Root
	accounts       uint64
	recordsInBytes uint64
}

func (h header) marshal() []byte {
	b := append(make([]byte, 0, headerBytes), fileMagic...)
	b = append(b, byte(h.root.Depth)) //nolint:gosec // It is at most MaxDepth.
	b = appendName(b, h.asset)
	b = append(b, h.seed[:]...)
	b = appendSum(append(b, h.root.Hash[:]...), h.root.Sum)
	b = binary.BigEndian.AppendUint64(b, h.accounts)
	b = binary.BigEndian.AppendUint64(b, h.recordsInBytes)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	return b[:headerBytes]
}

// parseHeader returns [ErrCorrupt] unless the bytes are exactly what marshal gives.
func parseHeader(b []byte) (h header, err error) {
	at := len(fileMagic)
	name := at + 2
	if len(b) != headerBytes || string(b[:at]) != fileMagic || b[at] > MaxDepth || b[at] < keptLevel || b[at+1] > MaxNameBytes {
		return header{}, ErrCorrupt
	}
	h.root.Depth = int(b[at])
	h.asset = string(b[name : name+int(b[at+1])])
	rest := b[name+len(h.asset):]
	rest = rest[copy(h.seed[:], rest):]
	rest = rest[copy(h.root.Hash[:], rest):]
	h.root.Sum = int64(binary.BigEndian.Uint64(rest)) //nolint:gosec // The comparison below finds what was not one.
	h.accounts = binary.BigEndian.Uint64(rest[8:])
	h.recordsInBytes = binary.BigEndian.Uint64(rest[16:])
	if string(h.marshal()) != string(b) || checkName(h.asset) != nil || h.root.Sum < 0 || h.accounts > MaxAccounts ||
		depthFor(h.accounts) != h.root.Depth || h.recordsInBytes > h.accounts*(MaxNameBytes+8) {
		return header{}, ErrCorrupt
	}
	return h, nil
}

func (h header) recordsAt() int64 { return headerBytes + 8*int64(h.accounts+1) } //nolint:gosec // At most MaxAccounts.

// nodesAt returns where the nodes of a level begin; of the level above the top, where the file ends.
func (h header) nodesAt(level int) int64 {
	below := int64(1)<<(h.root.Depth-keptLevel+1) - int64(1)<<(h.root.Depth-level+1)
	if level > h.root.Depth {
		below = int64(1)<<(h.root.Depth-keptLevel+1) - 1
	}
	return h.recordsAt() + int64(h.recordsInBytes) + nodeBytes*below //nolint:gosec // Bounded by parseHeader.
}

// WriteTo writes the tree as [OpenFile] reads it. What it writes is as secret as all balances are.
func (t *Tree) WriteTo(w io.Writer) (int64, error) {
	counted := &counter{w: w}
	buffered := bufio.NewWriterSize(counted, 1<<20)
	if err := t.write(buffered); err != nil {
		return counted.n, err
	}
	err := buffered.Flush()
	return counted.n, err
}

func (t *Tree) write(w *bufio.Writer) error {
	h := header{asset: t.asset, seed: t.secrets.seed, root: t.root, accounts: t.accounts, recordsInBytes: uint64(len(t.memory.records))}
	if _, err := w.Write(h.marshal()); err != nil {
		return err
	}
	var space [nodeBytes]byte
	for _, offset := range t.memory.offsets {
		if _, err := w.Write(binary.BigEndian.AppendUint64(space[:0], offset)); err != nil {
			return err
		}
	}
	if _, err := w.Write(t.memory.records); err != nil {
		return err
	}
	for _, level := range t.memory.nodes {
		for _, node := range level {
			if _, err := w.Write(appendSum(append(space[:0], node.Hash[:]...), node.Sum)); err != nil {
				return err
			}
		}
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// WriteFile writes the tree to a file that only its owner may read, whole and durable or not at all.
func (t *Tree) WriteFile(path string) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".sumtree-*") // Its mode is 0600.
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, temporary.Close(), os.Remove(temporary.Name()))
		}
	}()
	if _, err := t.WriteTo(temporary); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return errors.Join(temporary.Close(), syncDirectory(filepath.Dir(path)))
}

func syncDirectory(path string) error {
	dir, err := os.Open(path) //nolint:gosec // The caller chose it.
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// File is a tree in a file. Of the file, a proof reads the nodes of its paths, and the accounts whose leaves are near. It may be used from many
// goroutines.
type File struct {
	prover
	file *os.File
}

// OpenFile opens the file of the tree with this published root. It returns [ErrCorrupt] if the file is not one that [Tree.WriteTo] has written
// for it. What it does not read now is checked when a proof needs it.
func OpenFile(path string, published Root) (*File, error) {
	file, err := os.Open(path) //nolint:gosec // The caller chose it.
	if err != nil {
		return nil, err
	}
	p, err := open(file)
	if err == nil && p.root != published {
		err = ErrCorrupt
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &File{prover: p, file: file}, nil
}

// OpenAnyFile opens the file of a tree whose published root the caller does not know: its proofs prove nothing to anybody, but it can be asked
// whether it has an account.
func OpenAnyFile(path string) (*File, error) {
	file, err := os.Open(path) //nolint:gosec // The caller chose it.
	if err != nil {
		return nil, err
	}
	p, err := open(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &File{prover: p, file: file}, nil
}

// Close closes the file. No proof may be asked for after that.
func (f *File) Close() error { return f.file.Close() }

func open(file *os.File) (prover, error) {
	b := make([]byte, headerBytes)
	if _, err := file.ReadAt(b, 0); err != nil {
		return prover{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	h, err := parseHeader(b)
	if err != nil {
		return prover{}, err
	}
	info, err := file.Stat()
	if err != nil {
		return prover{}, err
	}
	if info.Size() != h.nodesAt(h.root.Depth+1) {
		return prover{}, ErrCorrupt
	}
	secrets, err := newSecrets(h.seed, h.asset)
	if err != nil {
		return prover{}, err
	}
	return prover{secrets: secrets, asset: h.asset, accounts: h.accounts, root: h.root, source: &onDisk{header: h, file: file}}, nil
}

// onDisk reads what a prover asks for.
type onDisk struct {
	header header
	file   io.ReaderAt
}

func (d *onDisk) account(n uint64) (string, int64, error) {
	var at [16]byte
	if err := d.read(at[:], headerBytes+8*int64(n)); err != nil { //nolint:gosec // n is below the number of accounts.
		return "", 0, err
	}
	from, to := binary.BigEndian.Uint64(at[:]), binary.BigEndian.Uint64(at[8:])
	if to > d.header.recordsInBytes || from > to || to-from < 9 || to-from > MaxNameBytes+8 {
		return "", 0, ErrCorrupt
	}
	record := make([]byte, to-from)
	if err := d.read(record, d.header.recordsAt()+int64(from)); err != nil { //nolint:gosec // Bounded above.
		return "", 0, err
	}
	name, balance := string(record[:len(record)-8]), int64(binary.BigEndian.Uint64(record[len(record)-8:])) //nolint:gosec // Judged below.
	if checkName(name) != nil || balance < 0 {
		return "", 0, ErrCorrupt
	}
	return name, balance, nil
}

func (d *onDisk) node(level int, n uint64) (node Node, err error) {
	var b [nodeBytes]byte
	if err := d.read(b[:], d.header.nodesAt(level)+nodeBytes*int64(n)); err != nil { //nolint:gosec // n is below 2^MaxDepth.
		return Node{}, err
	}
	copy(node.Hash[:], b[:])
	node.Sum = int64(binary.BigEndian.Uint64(b[HashBytes:])) //nolint:gosec // join refuses what is negative.
	return node, nil
}

func (d *onDisk) read(b []byte, at int64) error {
	if _, err := d.file.ReadAt(b, at); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
