package leaf

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
)

// sample is a transaction with everything that one can have.
func sample(asset, id string) Transaction {
	private, public := &Account{ID: uuid.New(), Key: Key{1}}, &Account{ID: uuid.New(), Name: "backing/pldg_1"}
	return Transaction{
		ID: id, Kind: "mint", Subject: "pldg_1", Epoch: "epoch_1", Seq: 17, Reverses: 3, At: time.Date(2026, 11, 22, 20, 18, 26, 670101000, time.FixedZone("", 3600)),
		Postings: []Posting{
			{Asset: asset, Amount: 1500000, From: public, To: private, FromVersion: 9, ToVersion: 4},
			{Asset: asset, Amount: 1, From: private, To: public, FromVersion: 5, ToVersion: 10},
		},
	}
}

// Another implementation of RFC 8785 leaves every entry as it is.
func FuzzEntriesAreCanonical(f *testing.F) {
	for _, text := range []string{"SCH", "GPUH:H100-SXM-80GB", "a\"b\\c/d", "\x00\x1f\b\f\n\r\t\x7f", "é\u2028𝄞"} {
		f.Add(text, "txn_1")
	}
	f.Fuzz(func(t *testing.T, asset, id string) {
		if !Valid(asset) || !Valid(id) {
			return
		}
		e := sample(asset, id)
		entry := new(Writer).append(nil, &e)
		canonical, err := jcs.Transform(entry)
		if err != nil || !bytes.Equal(canonical, entry) {
			t.Fatalf("%s\ncanonical %s (%v)", entry, canonical, err)
		}
		var back struct {
			ID       string
			At       string
			Postings []struct{ Asset string }
		}
		if err := json.Unmarshal(entry, &back); err != nil || back.ID != id || back.Postings[1].Asset != asset || back.At != "2026-11-22T19:18:26.670101Z" {
			t.Errorf("%s says %+v (%v)", entry, back, err)
		}
	})
}

func TestBundles(t *testing.T) {
	t.Parallel()
	var bundle []byte
	var err error
	want := []string{"", "a", strings.Repeat("x", MaxSize)}
	for _, entry := range want {
		if bundle, err = AppendTo(bundle, []byte(entry)); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := AppendTo(bundle, make([]byte, MaxSize+1)); !errors.Is(err, ErrTooLong) || len(after) != len(bundle) {
		t.Errorf("%v", err)
	}
	var got []string
	for entry, err := range Entries(bundle) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(entry))
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Error("the entries are not those that were put in")
	}
	for cut := range len(bundle) - 1 {
		if cut == 2 || cut == 5 { // Between two entries.
			continue
		}
		var last error
		for _, err := range Entries(bundle[:cut]) {
			last = err
		}
		if cut > 0 && !errors.Is(last, ErrBundle) {
			t.Fatalf("cut at %d: %v", cut, last)
		}
	}
}

// An entry that is made in its bundle is the one that is put into it, hashed.
func TestEntriesAreMadeInTheirBundle(t *testing.T) {
	t.Parallel()
	e := sample("SCH", "txn_1")
	entry := new(Writer).append(nil, &e)
	want, err := AppendTo([]byte("before"), entry)
	if err != nil {
		t.Fatal(err)
	}
	got, hash, err := new(Writer).AppendTo([]byte("before"), &e)
	if err != nil || !bytes.Equal(got, want) || hash != HashOf(entry) {
		t.Errorf("%q, hashed as %x (%v), want %q and %x", got, hash, err, want, HashOf(entry))
	}
	e.ID = strings.Repeat("x", MaxSize-len(entry)+len(e.ID))
	if got, _, err := new(Writer).AppendTo(nil, &e); err != nil || len(got) != 2+MaxSize {
		t.Errorf("%d bytes of the longest entry (%v)", len(got), err)
	}
	e.ID += "x"
	if got, _, err := new(Writer).AppendTo([]byte("before"), &e); !errors.Is(err, ErrTooLong) || string(got) != "before" {
		t.Errorf("%d bytes of one that is too long (%v)", len(got), err)
	}
}

// No two entries of an account look alike, and a blind opens only its own.
func TestCommitmentsDiffer(t *testing.T) {
	t.Parallel()
	account, key := uuid.New(), Key{7}
	seen := map[Hash]bool{}
	for version := range int64(1000) {
		blind := Blind(&key, version)
		c := Commit(&blind, account, version)
		if seen[c] || seen[blind] {
			t.Fatal("twice the same")
		}
		seen[c], seen[blind] = true, true
		if other := Commit(&blind, uuid.New(), version); other == c {
			t.Fatal("it commits to nobody")
		}
		if other := Commit(&blind, account, version+1); other == c {
			t.Fatal("it commits to no version")
		}
	}
}

func TestTimesAreWrittenAsRFC3339(t *testing.T) {
	t.Parallel()
	const format = "2006-01-02T15:04:05.000000Z"
	times := []time.Time{{}, time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", -7*3600))}
	for range 1000 {
		times = append(times, time.Unix(rand.Int64N(1<<37), rand.Int64N(1e9)))
	}
	var w Writer
	for _, at := range append(times, times[0], times[0]) {
		if got, want := string(appendTime(nil, at)), at.UTC().Format(format); got != want {
			t.Errorf("%s, not %s", got, want)
		}
		if got, want := string(w.instant(at)), at.UTC().Format(format); got != want {
			t.Errorf("%s from a writer of another time, not %s", got, want)
		}
	}
}
