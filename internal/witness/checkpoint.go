package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpointBytes bounds a signed checkpoint, with all its signatures. C2SP asks for room for 16 signatures of up to 5 kB.
const MaxCheckpointBytes = 96 << 10

// ErrMalformed is returned, wrapped with the reason, for a checkpoint, request, evidence or policy that is not of its form.
var ErrMalformed = errors.New("witness: malformed")

// emptyRoot is the root of a tree without leaves: the hash of nothing.
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// Checkpoint is what a log says of itself: it has Size entries, and Root is the hash of its tree.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   tlog.Hash
}

// ParseCheckpoint reads the text of a checkpoint, without its signatures: origin, size, root, and lines of extensions, which are
// not looked at. Each of the first three has one way to be written, and everything else is refused with [ErrMalformed].
func ParseCheckpoint(text string) (Checkpoint, error) {
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if !ended || len(lines) < 3 {
		return Checkpoint{}, malformed("a checkpoint has at least three lines")
	}
	if slices.Contains(lines, "") {
		return Checkpoint{}, malformed("a checkpoint has no empty lines")
	}
	size, err := parseSize(lines[1])
	if err != nil {
		return Checkpoint{}, err
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// parseSize reads a number of entries: decimal, without leading zeroes, and below 2^63, since that is how far libraries count.
func parseSize(text string) (uint64, error) {
	size, err := strconv.ParseUint(text, 10, 64)
	if err != nil || size > math.MaxInt64 || strconv.FormatUint(size, 10) != text {
		return 0, malformed("a size is a decimal number without leading zeroes, below 2^63")
	}
	return size, nil
}

// parseHash reads a hash in base64, in the one way in which it is written.
func parseHash(text string) (hash tlog.Hash, err error) {
	if len(text) != base64.StdEncoding.EncodedLen(len(hash)) {
		return hash, malformed("a hash is 32 bytes in base64")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return hash, malformed("a hash is 32 bytes in base64")
	}
	return tlog.Hash(raw), nil
}

// textOf returns the text of a signed note, whose signatures nobody has looked at yet.
func textOf(signed []byte) (string, error) {
	if len(signed) > MaxCheckpointBytes {
		return "", malformed("a checkpoint of more than %d bytes", MaxCheckpointBytes)
	}
	split := bytes.LastIndex(signed, []byte("\n\n"))
	if split < 0 {
		return "", malformed("a checkpoint ends in an empty line and signatures")
	}
	return string(signed[:split+1]), nil
}

// signedBy returns a note's text with those signatures alone that were verified.
func signedBy(n *note.Note) []byte {
	b := []byte(n.Text + "\n")
	for _, sig := range n.Sigs {
		b = fmt.Appendf(b, "— %s %s\n", sig.Name, sig.Base64)
	}
	return b
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
