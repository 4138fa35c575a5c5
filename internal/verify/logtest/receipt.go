package logtest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// ReceiptAt writes a receipt that begins with head, as if its entry were at an index of a log of a size: the hashes of its path are made up, and a
// checkpoint is signed for the root to which they lead.
func ReceiptAt(keys *Keys, head, entry []byte, index, size uint64) []byte {
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		panic(err)
	}
	hashes := make([][]byte, len(nodes.IDs))
	for i := range hashes {
		hashes[i] = rfc6962.DefaultHasher.HashLeaf(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	if hashes, err = nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren); err != nil {
		panic(err)
	}
	root, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, index, size, rfc6962.DefaultHasher.HashLeaf(entry), hashes)
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nindex %d\n", head, index)
	for _, h := range hashes {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(h))
	}
	return append(append(b.Bytes(), '\n'), keys.Checkpoint(int64(size), [32]byte(root))...) //nolint:gosec // tests have smaller sizes
}
