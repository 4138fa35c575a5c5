package verify

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// StateFile is where a fetched directory has what is remembered of its log.
const StateFile = ".ballast-verify.json"

// maxStateBytes has room for a checkpoint of which each byte is escaped.
const maxStateBytes = 6*signed.MaxBytes + 4<<10

// state is what is remembered of a log: its key, whether the user gave it, and the last checkpoint that was verified.
type state struct {
	V          string `json:"v"`
	Key        string `json:"key"`
	Given      bool   `json:"key_given"`
	Checkpoint string `json:"checkpoint"`
}

// readState returns the zero state if nothing is remembered.
func readState(path string) (s state, err error) {
	data, err := source.ReadFile(path, maxStateBytes)
	switch {
	case errors.Is(err, source.ErrMissing):
		return s, nil
	case err != nil && !errors.Is(err, source.ErrTooLarge):
		return s, err
	}
	if err != nil || json.Unmarshal(data, &s) != nil || s.V != "1" {
		return s, fault.New(fault.Incomplete, "state", "%s is not what this program has written; move it away to forget what it remembers", path)
	}
	return s, nil
}

// PinnedKey returns the key that a directory was fetched with, or nil if there is none, and whether its user gave it, or it was believed on first use.
func PinnedKey(dir string) (key *signed.Key, given bool, err error) {
	s, err := readState(filepath.Join(dir, StateFile))
	if err != nil || s.Key == "" {
		return nil, false, err
	}
	key, err = signed.ParseKey(s.Key)
	return key, s.Given, err
}

// recall returns the remembered checkpoint of a log, or nil. That of another key is an error.
func recall(path string, key *signed.Key) (*signed.Checkpoint, error) {
	s, err := readState(path)
	if err != nil || s.Key == "" {
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

// remember keeps the checkpoint that was verified, unless a later one is remembered by now: what is remembered never goes back. What another run has remembered since the
// heads were read is compared by the files. It returns the fault of a fork, or what kept it from being remembered.
func remember(ctx context.Context, files source.Source, h heads, o Options) error {
	return changeState(ctx, o, func() (*signed.Checkpoint, error) {
		now, err := recall(o.State, o.Key)
		if err != nil || now == nil || h.remembered != nil && now.Size == h.remembered.Size && now.Root == h.remembered.Root {
			return latest(now, h.latest), err
		}
		fork, err := compareEither(ctx, files, now, h.latest)
		switch {
		case fork != nil:
			return nil, fork
		case err != nil && now.Size < h.latest.Size:
			return nil, fault.New(fault.Incomplete, "state", "another run has remembered a checkpoint of %d entries meanwhile, with which this one cannot be compared (%v): run it again", now.Size, err)
		}
		return latest(now, h.latest), nil
	})
}

// rememberKey keeps the key of a log of which nothing is remembered yet.
func rememberKey(ctx context.Context, o Options) error {
	return changeState(ctx, o, func() (*signed.Checkpoint, error) { return recall(o.State, o.Key) })
}

// changeState replaces the remembered checkpoint while nobody else does.
func changeState(ctx context.Context, o Options, next func() (*signed.Checkpoint, error)) error {
	unlock, err := lockFile(ctx, o.State+".lock")
	if err != nil {
		return fault.New(fault.Incomplete, "state", "the checkpoint cannot be remembered: %v", err)
	}
	defer unlock()
	before, err := readState(o.State)
	if err != nil {
		return fault.New(fault.Incomplete, "state", "the checkpoint cannot be remembered: %v", err)
	}
	c, err := next()
	if err != nil {
		return err
	}
	s := state{V: "1", Key: o.Key.String(), Given: before.Given || !o.Pinned && !o.Kept}
	if c != nil {
		s.Checkpoint = string(c.Raw)
	}
	if s == before {
		return nil
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = errors.Join(writeWhole(o.State, append(data, '\n')), syncDirectory(filepath.Dir(o.State)))
	}
	if err != nil {
		return fault.New(fault.Incomplete, "state", "the checkpoint cannot be remembered: %v", err)
	}
	return nil
}

// latest returns the larger of two checkpoints of one log, of which the first may be nil.
func latest(a, b *signed.Checkpoint) *signed.Checkpoint {
	if a == nil || a.Size < b.Size {
		return b
	}
	return a
}

// compareEither is compare for two checkpoints in any order.
func compareEither(ctx context.Context, files source.Source, a, b *signed.Checkpoint) (*fault.Fault, error) {
	if a.Size > b.Size {
		a, b = b, a
	}
	return compare(ctx, files, a, b)
}
