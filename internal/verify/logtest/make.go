package logtest

import (
	"bytes"
	"os"
	"path/filepath"
)

// Made is a log on disk.
type Made struct {
	Dir        string
	Seed       byte
	Keys       *Keys
	World      *World
	Publisher  *Publisher
	Checkpoint []byte
	// View is the path of its view file.
	View string
}

// Make writes a log of n entries to dir/log, with the checkpoint cosigned by three witnesses, and beside it view.jsonl, policy and key.
func Make(dir string, seed byte, accounts int, n int64) *Made {
	return Tell(dir, seed, func(w *World) {
		w.Begin(accounts, 5)
		w.Run(n)
	})
}

// Tell is Make with a story of one's own.
func Tell(dir string, seed byte, story func(*World)) *Made {
	m := &Made{Dir: filepath.Join(dir, "log"), Seed: seed, Keys: NewKeys(seed, 3), View: filepath.Join(dir, "view.jsonl")}
	m.Publisher = NewPublisher(m.Dir)
	m.World = NewWorld(seed, m.Publisher.Add)
	story(m.World)
	m.Checkpoint = m.Publisher.Finish(m.Keys)
	for path, data := range map[string][]byte{
		m.View: m.World.View(), filepath.Join(dir, "policy"): m.Keys.Policy(3), filepath.Join(dir, "key"): append(bytes.Clone([]byte(m.Keys.VKey)), '\n'),
	} {
		if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // tests' files
			panic(err)
		}
	}
	return m
}
