package verify

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
)

// StateFile is where a fetched directory has what is remembered of its log.
const StateFile = ".ballast-verify.json"

const maxStateBytes = signed.MaxBytes + 4<<10

// state is what is remembered of a log: its key, and the last checkpoint that was verified.
type state struct {
	V          string `json:"v"`
	Key        string `json:"key"`
	Checkpoint string `json:"checkpoint"`
}

func readState(path string) (s state, err error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user's own file
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil || s.V != "1" || len(data) > maxStateBytes {
		return s, fault.New(fault.Incomplete, "state", "%s is not what this program has written; move it away to forget what it remembers", path)
	}
	return s, nil
}

// PinnedKey returns the key that a directory was fetched with, or nil if there is none.
func PinnedKey(dir string) (*signed.Key, error) {
	s, err := readState(filepath.Join(dir, StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is remembered
	}
	if err != nil {
		return nil, err
	}
	return signed.ParseKey(s.Key)
}

// recall returns the remembered checkpoint of a log, or nil. That of another key is none.
func recall(path string, key *signed.Key) (*signed.Checkpoint, error) {
	s, err := readState(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is remembered
	}
	if err != nil {
		return nil, err
	}
	if s.Key != key.String() {
		return nil, fault.New(fault.Incomplete, "state", "%s remembers a log of another key", path).Differ(s.Key, key.String())
	}
	if s.Checkpoint == "" {
		return nil, nil //nolint:nilnil // only the key is
	}
	c, err := signed.Open([]byte(s.Checkpoint), key, nil)
	if err != nil {
		return nil, fault.New(fault.Incomplete, "state", "what %s remembers was changed: %v", path, err)
	}
	return c, nil
}

// remember writes a checkpoint, whole or not at all.
func remember(path string, key *signed.Key, c *signed.Checkpoint) error {
	s := state{V: "1", Key: key.String()}
	if c != nil {
		s.Checkpoint = string(c.Raw)
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(path, append(data, '\n'))
}

// writeWhole writes a file beside its place, and then puts it there.
func writeWhole(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // what is published is for everybody
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
