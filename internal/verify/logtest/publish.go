package logtest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Keys are the log's and those of witnesses.
type Keys struct {
	Signer    note.Signer
	VKey      string
	Private   ed25519.PrivateKey
	Witnesses []Witness
}

// Witness cosigns whatever it is shown.
type Witness struct {
	VKey    string
	signer  *cosignature.Signer
	private ed25519.PrivateKey
}

// NewKeys returns keys of a seed, with so many witnesses.
func NewKeys(seed byte, witnesses int) *Keys {
	skey, vkey := generate(seed, Origin)
	signer, err := note.NewSigner(skey)
	if err != nil {
		panic(err)
	}
	k := &Keys{Signer: signer, VKey: vkey}
	k.Private = privateOf(seed)
	for n := range witnesses {
		skey, vkey := generate(seed+byte(100+n), fmt.Sprintf("w%d.example", n))
		signer, err := cosignature.NewSignerForCosignatureV1(skey)
		if err != nil {
			panic(err)
		}
		if vkey, err = cosignature.VKeyToCosignatureV1(vkey); err != nil {
			panic(err)
		}
		k.Witnesses = append(k.Witnesses, Witness{vkey, signer, privateOf(seed + byte(100+n))})
	}
	return k
}

// privateOf returns the key that is generated from a seed's entropy.
func privateOf(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed, 7}, ed25519.SeedSize/2))
}

// generate returns a key of a seed, as signed notes have it.
func generate(seed byte, name string) (skey, vkey string) {
	private := privateOf(seed)
	vkey, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	id := vkey[len(name)+1:][:8]
	return fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", name, id, base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...))), vkey
}

// Policy is the witnesses' as C2SP tlog-policy has it: need of them.
func (k *Keys) Policy(need int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "log %s\n", k.VKey)
	var names strings.Builder
	for n, w := range k.Witnesses {
		fmt.Fprintf(&b, "witness w%d %s\n", n, w.VKey)
		fmt.Fprintf(&names, " w%d", n)
	}
	fmt.Fprintf(&b, "group all-of-them %d%s\nquorum all-of-them\n", need, names.String())
	return b.Bytes()
}

// Sign signs a text with the log's key.
func (k *Keys) Sign(text string) []byte { return ed25519.Sign(k.Private, []byte(text)) }

// Checkpoint signs one of a size and a root, with all witnesses at a time that is now.
func (k *Keys) Checkpoint(size int64, root [32]byte) []byte {
	signers := []note.Signer{k.Signer}
	for _, w := range k.Witnesses {
		signers = append(signers, w.signer)
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", Origin, size, base64.StdEncoding.EncodeToString(root[:]))}, signers...)
	if err != nil {
		panic(err)
	}
	return signed
}

// CheckpointOf signs one of another origin with the log's key.
func (k *Keys) CheckpointOf(origin string, size int64, root [32]byte) []byte {
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))}, k.Signer)
	if err != nil {
		panic(err)
	}
	return signed
}

// CheckpointWith signs one with another line.
func (k *Keys) CheckpointWith(line string, size int64, root [32]byte) []byte {
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n%s\n", Origin, size, base64.StdEncoding.EncodeToString(root[:]), line)}, k.Signer)
	if err != nil {
		panic(err)
	}
	return signed
}

// CheckpointAt signs one with a cosignature of the first witness at another time.
func (k *Keys) CheckpointAt(size int64, root [32]byte, at time.Time) []byte {
	text := fmt.Sprintf("%s\n%d\n%s\n", Origin, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, k.Signer)
	if err != nil {
		panic(err)
	}
	w := k.Witnesses[0]
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
	sig := binary.BigEndian.AppendUint32(nil, w.signer.KeyHash())
	sig = binary.BigEndian.AppendUint64(sig, uint64(at.Unix())) //nolint:gosec // tests are after 1970
	sig = append(sig, ed25519.Sign(w.private, []byte(message))...)
	return fmt.Appendf(signed, "— %s %s\n", w.signer.Name(), base64.StdEncoding.EncodeToString(sig))
}

// Publisher writes tiles and bundles of entries to a directory as they come.
type Publisher struct {
	dir    string
	bundle []byte
	size   int64
	tree   []tlog.Hash
	// first has the first entries, for tests that look at them.
	first [][]byte
}

// NewPublisher writes to a directory.
func NewPublisher(dir string) *Publisher { return &Publisher{dir: dir} }

// Add takes an entry.
func (p *Publisher) Add(entry []byte) {
	p.bundle = append(binary.BigEndian.AppendUint16(p.bundle, uint16(len(entry))), entry...) //nolint:gosec // tests have short entries
	hashes, err := tlog.StoredHashes(p.size, entry, p)
	if err != nil {
		panic(err)
	}
	p.tree = append(p.tree, hashes...)
	if len(p.first) < 1000 {
		p.first = append(p.first, bytes.Clone(entry))
	}
	if p.size++; p.size%256 == 0 {
		p.write(fmt.Sprintf("tile/entries/%s", number((p.size-1)/256)), p.bundle)
		p.bundle = p.bundle[:0]
	}
}

// ReadHashes is for tlog.
func (p *Publisher) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		out[i] = p.tree[n]
	}
	return out, nil
}

func number(n int64) string {
	out := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		out = fmt.Sprintf("x%03d/%s", n%1000, out)
	}
	return out
}

func (p *Publisher) write(path string, data []byte) {
	path = filepath.Join(p.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a published log is for everybody
		panic(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // as above
		panic(err)
	}
}

// Entry returns one of the first thousand.
func (p *Publisher) Entry(index int64) []byte { return p.first[index] }

// Root is that of all entries so far.
func (p *Publisher) Root() [32]byte {
	root, err := tlog.TreeHash(p.size, p)
	if err != nil {
		panic(err)
	}
	return root
}

// RootOf is that of the first entries.
func (p *Publisher) RootOf(size int64) [32]byte {
	root, err := tlog.TreeHash(size, p)
	if err != nil {
		panic(err)
	}
	return root
}

// Size is how many entries there are.
func (p *Publisher) Size() int64 { return p.size }

// Prove returns the inclusion proof of an entry.
func (p *Publisher) Prove(index int64) []tlog.Hash {
	proof, err := tlog.ProveRecord(p.size, index, p)
	if err != nil {
		panic(err)
	}
	return proof
}

// Finish writes the tiles, what is left of entries, and a checkpoint.
func (p *Publisher) Finish(keys *Keys) []byte {
	if rest := p.size % 256; rest > 0 {
		p.write(fmt.Sprintf("tile/entries/%s.p/%d", number(p.size/256), rest), p.bundle)
	}
	for level, n := 0, p.size; n > 0; level, n = level+1, n/256 {
		for index := int64(0); index*256 < n; index++ {
			width := min(n-index*256, 256)
			tile := tlog.Tile{H: 8, L: level, N: index, W: int(width)}
			data, err := tlog.ReadTileData(tile, p)
			if err != nil {
				panic(err)
			}
			path := fmt.Sprintf("tile/%d/%s", level, number(index))
			if width < 256 {
				path += fmt.Sprintf(".p/%d", width)
			}
			p.write(path, data)
		}
	}
	signed := keys.Checkpoint(p.size, p.Root())
	p.write("checkpoint", signed)
	p.write("vkey", []byte(keys.VKey+"\n"))
	return signed
}
