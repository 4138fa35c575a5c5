// Package logtest makes transparency logs for tests and benchmarks: consistent, signed, of any size, with the view that an auditor would have.
// It writes entries in its own way, from docs/transparency-log.md, so that neither the server's encoder nor the verifier's parser is tested
// against itself. Everything follows from a seed.
package logtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Origin is that of every log made here.
const Origin = "ballast.test/log"

// Account is a private account.
type Account struct {
	ID      [16]byte
	Key     [32]byte
	Kind    string
	Balance int64
	Version int64
	// holds and escrow are its children.
	hold, escrow *Account
}

// Pledge is a provider's.
type Pledge struct {
	ID       [16]byte
	Provider *Provider
	Class    string
	Hours    int64
	K        int64
	// Haircut is the one agreed, 0.1 where it is "".
	Haircut  string
	versions map[string]int64
	hours    map[string]int64
}

// Provider issues tokens.
type Provider struct {
	ID       [16]byte
	issuance int64
	version  int64
	Pledges  []*Pledge
}

// World makes entries, one after another, and hands each to Emit.
type World struct {
	Emit func(entry []byte)
	// N is how many there were, and Seq the last.
	N, Seq    int64
	At        time.Time
	Accounts  []*Account
	Providers []*Provider
	Minted    int64
	Burned    int64
	EpochID   [16]byte
	random    *rand.ChaCha8
	rand      *rand.Rand
}

// NewWorld returns a world of a seed in which nothing has happened yet.
func NewWorld(seed byte, emit func([]byte)) *World {
	source := rand.NewChaCha8([32]byte{seed})
	return &World{
		Emit: emit, At: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), random: source, rand: rand.New(source), //nolint:gosec // tests are repeated
	}
}

// ID writes a TypeID.
func ID(prefix string, id [16]byte) string {
	const symbols = "0123456789abcdefghjkmnpqrstvwxyz"
	var out strings.Builder
	out.WriteString(prefix + "_")
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for shift := 125; shift >= 0; shift -= 5 {
		var five uint64
		switch {
		case shift >= 64:
			five = high >> (shift - 64)
		case shift > 59:
			five = high<<(64-shift) | low>>shift
		default:
			five = low >> shift
		}
		out.WriteByte(symbols[five&31])
	}
	return out.String()
}

// NewID draws an id.
func (w *World) NewID() (id [16]byte) {
	_, _ = w.random.Read(id[:])
	return id
}

// Time is the instant of the next entry, as it is written.
func (w *World) Time() string { return instant(w.At) }

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// Object writes members in the order of their names; a value that begins with a bracket is written as it is, others as strings.
func Object(members map[string]string) string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	var out strings.Builder
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		value := members[name]
		if !strings.HasPrefix(value, "{") && !strings.HasPrefix(value, "[") {
			value = `"` + value + `"`
		}
		out.WriteString(`"` + name + `":` + value)
	}
	return "{" + out.String() + "}"
}

// Write emits an entry of a type with these members, and a version and a time of its own.
func (w *World) Write(kind string, members map[string]string) {
	members["type"], members["v"] = kind, "1"
	if members["at"] == "" {
		members["at"] = w.Time()
	}
	w.Raw([]byte(Object(members)))
}

// Raw emits bytes as they are.
func (w *World) Raw(entry []byte) {
	w.Emit(entry)
	w.N++
	w.At = w.At.Add(time.Millisecond)
}

// Commitment names a private account at a version.
func (a *Account) Commitment(version int64) string {
	blind := a.Blind(version)
	b := append([]byte("ballast/account/v1\n"), blind[:]...)
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(append(b, a.ID[:]...), uint64(version))) //nolint:gosec // above zero
	return "#" + base64.RawURLEncoding.EncodeToString(hash[:])
}

// Blind opens one entry of an account.
func (a *Account) Blind(version int64) [32]byte {
	b := append([]byte("ballast/blind/v1\n"), a.Key[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(version))) //nolint:gosec // above zero
}

// next moves an amount into or out of an account, and names it.
func (a *Account) next(amount int64) string {
	a.Balance += amount
	a.Version++
	return a.Commitment(a.Version)
}

// next moves hours of a pledge, and names the account.
func (p *Pledge) next(place string, amount int64) string {
	p.hours[place] += amount
	p.versions[place]++
	return fmt.Sprintf("%s/%s@%d", place, ID("pldg", p.ID), p.versions[place])
}

func (p *Provider) next(amount int64) string {
	p.issuance += amount
	p.version++
	return fmt.Sprintf("issuance/%s@%d", ID("prov", p.ID), p.version)
}

// Posting writes one. The accounts are written before it is, in the order from, to.
func Posting(asset string, amount int64, from, to string) string {
	return fmt.Sprintf(`{"amount":"%d","asset":"%s","from":"%s","to":"%s"}`, amount, asset, from, to)
}

func (p *Pledge) posting(amount int64, from, to string) string {
	a := p.next(from, -amount)
	return Posting("GPUH:"+p.Class, amount, a, p.next(to, amount))
}

func tokens(amount int64, from, to *Account) string {
	a := from.next(-amount)
	return Posting("SCH", amount, a, to.next(amount))
}

// Transaction writes one with the next seq. Subject, epoch and reverses may be empty.
func (w *World) Transaction(kind, subject, epoch, reverses string, postings ...string) {
	w.Seq++
	w.TransactionAt(w.Seq, ID("txn", w.NewID()), kind, subject, epoch, reverses, postings...)
}

// TransactionAt writes one with a seq and an id.
func (w *World) TransactionAt(seq int64, id, kind, subject, epoch, reverses string, postings ...string) {
	var b bytes.Buffer
	b.WriteString(`{"at":"` + w.Time() + `"`)
	if epoch != "" {
		b.WriteString(`,"epoch":"` + epoch + `"`)
	}
	b.WriteString(`,"id":"` + id + `","kind":"` + kind + `","postings":[` + strings.Join(postings, ",") + `]`)
	if reverses != "" {
		b.WriteString(`,"reverses":"` + reverses + `"`)
	}
	fmt.Fprintf(&b, `,"seq":"%d"`, seq)
	if subject != "" {
		b.WriteString(`,"subject":"` + subject + `"`)
	}
	b.WriteString(`,"type":"transaction","v":"1"}`)
	w.Raw(b.Bytes())
}

// View writes what an auditor is given, of the log as it is now.
func (w *World) View() []byte {
	var lines []string
	add := func(a *Account) {
		if a != nil && a.Version > 0 {
			lines = append(lines, Object(map[string]string{
				"account": ID("acct", a.ID), "asset": "SCH", "balance": fmt.Sprint(a.Balance), "key": base64.StdEncoding.EncodeToString(a.Key[:]),
				"kind": a.Kind, "version": fmt.Sprint(a.Version),
			}))
		}
	}
	for _, a := range w.Accounts {
		add(a)
		add(a.hold)
		add(a.escrow)
	}
	slices.Sort(lines) // By id: a TypeID has the order of its bytes.
	head := Object(map[string]string{"v": "1", "type": "view", "origin": Origin, "size": fmt.Sprint(w.N)})
	return []byte(head + "\n" + strings.Join(append(lines, Object(map[string]string{"v": "1", "type": "end", "accounts": fmt.Sprint(len(lines))})), "\n") + "\n")
}
