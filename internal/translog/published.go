package translog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Published is the log's last checkpoint, for those who want to look at it.
type Published struct {
	Tree
	Origin string
	// Note is the checkpoint as it is served, with all of its signatures.
	Note string
	// SignedAt is when the log signed it, by the clock of this machine.
	SignedAt time.Time
	// Cosigners are the names of the witnesses whose cosignatures it has, in their order.
	Cosigners []string
}

// Published returns the last checkpoint. It returns ErrNoLog, and ErrNotPublished before the first.
func (l *Log) Published() (Published, error) {
	if l == nil {
		return Published{}, ErrNoLog
	}
	signed, err := l.Store.Read("checkpoint")
	if errors.Is(err, fs.ErrNotExist) {
		return Published{}, ErrNotPublished
	}
	if err != nil {
		return Published{}, fmt.Errorf("translog: read the checkpoint: %w", err)
	}
	tree, err := openCheckpoint(signed, l.Key.Verifier)
	if err != nil {
		return Published{}, err
	}
	head, err := os.Stat(filepath.Join(l.Store.dir, "head"))
	if err != nil {
		return Published{}, fmt.Errorf("translog: read when the checkpoint was signed: %w", err)
	}
	return Published{Tree: tree, Origin: l.Key.Signer.Name(), Note: string(signed), SignedAt: head.ModTime().UTC(), Cosigners: l.cosigners(string(signed))}, nil
}

// cosigners returns who else has signed a note. What came from witnesses was verified before it was published.
func (l *Log) cosigners(signed string) (names []string) {
	_, signatures, _ := strings.Cut(signed, "\n\n")
	for line := range strings.Lines(signatures) {
		name, _, ok := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		if ok && name != l.Key.Signer.Name() {
			names = append(names, name)
		}
	}
	return names
}
