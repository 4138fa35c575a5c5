package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Grant is this provider's answer to one redemption, given once and kept for ever.
type Grant struct {
	RedemptionID string `json:"redemption_id"`
	// Status is issued or rejected.
	Status string `json:"status"`
	// ID is this provider's id of the credits, empty if it was rejected.
	ID string `json:"provider_grant_id,omitempty"`
	// Hours were asked for, of which Granted were given: decimal strings, as they came.
	Hours   string `json:"hours"`
	Granted string `json:"granted,omitempty"`
	Class   string `json:"gpu_class"`
	Account string `json:"account,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Later says that Ballast was told accepted, and is owed a callback.
	Later bool `json:"later,omitempty"`
}

// entry is one line of the file: a grant, or that Ballast has heard of one.
type entry struct {
	Grant *Grant `json:"grant,omitempty"`
	Told  string `json:"told,omitempty"`
}

// Grants is what this provider has granted, in a file that only grows. What was put in is there after a power cut: the line is
// on disk before anybody hears of it. That, and looking here before granting, is what makes a repeated request harmless.
type Grants struct {
	mu    sync.Mutex
	file  *os.File
	given map[string]Grant
	owed  map[string]bool
	// broken is why nothing more is accepted.
	broken error
}

// OpenGrants reads the file, or makes it. A line that a crash cut short was never answered for, and is dropped.
func OpenGrants(path string) (*Grants, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, err
	}
	g := &Grants{file: file, given: map[string]Grant{}, owed: map[string]bool{}}
	if err := g.replay(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return g, nil
}

func (g *Grants) replay() error {
	in := bufio.NewReader(g.file)
	var whole int64
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return fmt.Errorf("at byte %d: %w", whole, err)
		}
		g.apply(e)
		whole += int64(len(line))
	}
	if err := g.file.Truncate(whole); err != nil {
		return err
	}
	_, err := g.file.Seek(whole, io.SeekStart)
	return err
}

func (g *Grants) apply(e entry) {
	if e.Grant != nil {
		g.given[e.Grant.RedemptionID] = *e.Grant
		g.owed[e.Grant.RedemptionID] = e.Grant.Later
	}
	if e.Told != "" {
		g.owed[e.Told] = false
	}
}

// append writes one line and waits until it is on disk. After an error the file's end is unknown, and whether the line is in it: so nothing more is
// accepted until the file is opened again, which finds out.
func (g *Grants) append(e entry) error {
	if g.broken != nil {
		return fmt.Errorf("an earlier line could not be kept: %w", g.broken)
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if g.broken = g.write(append(line, '\n')); g.broken != nil {
		return g.broken
	}
	g.apply(e)
	return nil
}

func (g *Grants) write(line []byte) error {
	if _, err := g.file.Write(line); err != nil {
		return err
	}
	return g.file.Sync()
}

// Once returns the grant of a redemption, which it makes by decide if there is none yet: once, whoever asks at the same time.
func (g *Grants) Once(redemption string, decide func() Grant) (Grant, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if given, ok := g.given[redemption]; ok {
		return given, nil
	}
	grant := decide()
	grant.RedemptionID = redemption
	return grant, g.append(entry{Grant: &grant})
}

// Of returns the grant of a redemption, if there is one.
func (g *Grants) Of(redemption string) (Grant, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	given, ok := g.given[redemption]
	return given, ok
}

// Told notes that Ballast has heard.
func (g *Grants) Told(redemption string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.owed[redemption] {
		return nil
	}
	return g.append(entry{Told: redemption})
}

// Owed returns the grants that Ballast is owed a callback for.
func (g *Grants) Owed() []Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	var owed []Grant
	for redemption, is := range g.owed {
		if is {
			owed = append(owed, g.given[redemption])
		}
	}
	return owed
}

// Close closes the file.
func (g *Grants) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.file.Close()
}
