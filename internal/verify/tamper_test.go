package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/sumtree"
	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/witness"
)

// options are those of who has the log's key and its policy of three witnesses.
func options(t testing.TB, m *logtest.Made) verify.Options {
	t.Helper()
	key, err := signed.ParseKey(m.Keys.VKey)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := witness.ParsePolicy(m.Keys.Policy(3))
	if err != nil {
		t.Fatal(err)
	}
	return verify.Options{Key: key, Policy: policy, Now: time.Now()}
}

// want fails unless a report has a verdict and, if any is given, its faults have a text.
func want(t *testing.T, r *verify.Report, verdict fault.Verdict, text string) {
	t.Helper()
	found := text == ""
	for _, f := range r.Faults {
		found = found || strings.Contains(f.Error(), text)
	}
	if r.Verdict != verdict || !found {
		t.Errorf("%s: %v; want %s and %q", r.Verdict, r.Faults, verdict, text)
	}
}

// small is a log with all types of entries but few, so that every bit can be turned.
func small(t *testing.T) *logtest.Made {
	t.Helper()
	return logtest.Tell(t.TempDir(), 3, func(w *logtest.World) {
		w.Begin(4, 2)
		w.Run(68)
		w.Liabilities([32]byte{1})
		w.Run(70)
	})
}

// TestEveryBitOfALog turns each bit of each file that the checkpoint needs, one at a time. The cosignatures are all needed, so that none is of an unknown key.
func TestEveryBitOfALog(t *testing.T) {
	t.Parallel()
	m := small(t)
	o := options(t, m)
	files := published(t, m.Dir)
	src := &memory{files: files}
	want(t, verify.Check(t.Context(), src, o), fault.Verified, "")
	bits, policy := map[string]int{}, o.Policy
	for _, path := range sortedNames(files) {
		if path == "vkey" {
			continue // The user has the key from elsewhere.
		}
		original := files[path]
		step := 1
		if strings.HasPrefix(path, "tile/") && os.Getenv("BALLAST_LONG") == "" {
			step = 101 // Every bit takes minutes; 101 has no factor in common with 8.
		}
		if o.Policy = policy; path != "checkpoint" {
			o.Policy = nil // To be faster: witnesses say nothing of tiles.
		}
		for bit := 0; bit < 8*len(original); bit += step {
			src.files[path] = flipped(original, bit)
			bits[filepath.Dir(path)]++
			if r := verify.Check(t.Context(), src, o); r.Verdict == fault.Verified {
				t.Errorf("%s: bit %d of byte %d (%q) may be anything", path, bit%8, bit/8, original[max(bit/8-10, 0):min(bit/8+10, len(original))])
			}
		}
		src.files[path] = original
	}
	t.Logf("bits turned, all noticed: %v", bits)
}

// TestEveryBitOfAReceipt turns each bit of a receipt with openings, of a promise, and of a proof of liabilities.
func TestEveryBitOfAReceipt(t *testing.T) {
	t.Parallel()
	m, proof, account := withLiabilities(t)
	o := options(t, m)
	receipt := receiptOf(t, m, m.Publisher.Size()-2)
	promise, _ := promiseOf(m, 5, 9)
	for _, tt := range []struct {
		name  string
		data  []byte
		check func([]byte) *verify.Report
	}{
		{"receipt", receipt, func(b []byte) *verify.Report { return verify.Receipt(b, "", o) }},
		{"promise", []byte(promise), func(b []byte) *verify.Report { return verify.Promise(t.Context(), string(b), nil, nil, o) }},
		{"liability", proof, func(b []byte) *verify.Report {
			return verify.Liability(b, "", verify.Expected{Account: account, Balance: "2500000"}, o)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want(t, tt.check(tt.data), fault.Verified, "")
			step := 1
			if os.Getenv("BALLAST_LONG") == "" {
				step = 7 // As above.
			}
			for bit := 0; bit < 8*len(tt.data); bit += step {
				if r := tt.check(flipped(tt.data, bit)); r.Verdict == fault.Verified {
					t.Errorf("bit %d of byte %d (%q) may be anything", bit%8, bit/8, tt.data[max(bit/8-20, 0):min(bit/8+20, len(tt.data))])
				}
			}
			t.Logf("%d bits, every one of %d turned, all noticed", 8*len(tt.data), step)
		})
	}
}

// TestUnknownSignaturesAreIgnored has the exception to the counts above: what keys that nobody named have signed is not looked at.
func TestUnknownSignaturesAreIgnored(t *testing.T) {
	t.Parallel()
	m := small(t)
	o := options(t, m)
	files := published(t, m.Dir)
	files["checkpoint"] = append(bytes.Clone(files["checkpoint"]), "— stranger.example AAAAAGhlbGxv\n"...)
	want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Verified, "")
	o.Policy = nil // Now the witnesses are strangers as well.
	lines := bytes.Split(bytes.TrimSuffix(files["checkpoint"], []byte("\n")), []byte("\n"))
	files["checkpoint"] = append(bytes.Join(lines[:5], []byte("\n")), '\n')
	want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Verified, "")
	o = options(t, m)
	want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Incomplete, "too few witnesses")
}

func flipped(data []byte, bit int) []byte {
	b := bytes.Clone(data)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// published reads the files of a log.
func published(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			files[filepath.ToSlash(name)], err = os.ReadFile(path) //nolint:gosec // the test's own
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// receiptOf writes a receipt of a transfer with both its sides opened.
func receiptOf(t testing.TB, m *logtest.Made, index int64) []byte {
	t.Helper()
	entry := m.Publisher.Entry(index)
	var said struct {
		Postings []struct{ From, To string }
	}
	if err := json.Unmarshal(entry, &said); err != nil {
		t.Fatal(err)
	}
	extra := append(bytes.Clone(entry), '\n')
	for _, side := range [][2]string{{"from", said.Postings[0].From}, {"to", said.Postings[0].To}} {
		for _, a := range m.World.Accounts {
			for version := int64(1); version <= a.Version; version++ {
				if a.Commitment(version) == side[1] {
					blind := a.Blind(version)
					extra = append(extra, logtest.Object(map[string]string{
						"account": logtest.ID("acct", a.ID), "blind": base64.StdEncoding.EncodeToString(blind[:]), "posting": "0", "side": side[0],
						"version": fmt.Sprint(version),
					})+"\n"...)
				}
			}
		}
	}
	if bytes.Count(extra, []byte("\n")) != 3 {
		t.Fatalf("entry %d has not two sides to open: %s", index, entry)
	}
	return tlogProof(m, index, extra)
}

func tlogProof(m *logtest.Made, index int64, extra []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n", base64.StdEncoding.EncodeToString(extra), index)
	for _, h := range m.Publisher.Prove(index) {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(h[:]))
	}
	return append(append(b.Bytes(), '\n'), m.Checkpoint...)
}

// withLiabilities makes a log with a real proof of liabilities, of which it returns one account's.
func withLiabilities(t *testing.T) (m *logtest.Made, document []byte, account string) {
	t.Helper()
	var proof sumtree.Proof
	var index int64
	m = logtest.Tell(t.TempDir(), 4, func(w *logtest.World) {
		w.Begin(8, 2)
		for i, a := range w.Accounts {
			w.Mint(w.Providers[0].Pledges[0], a, int64(i+1)*500_000)
		}
		account = logtest.ID("acct", w.Accounts[4].ID)
		var root sumtree.Root
		root, proof = sumOf(t, w, account)
		index = w.N
		w.Liabilities(root.Hash)
		for i := range w.Accounts[1:] {
			w.Transfer(w.Accounts[i+1], w.Accounts[i], 100)
		}
	})
	path, err := json.Marshal(proof)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := json.Marshal(string(tlogProof(m, index, append(m.Publisher.Entry(index), '\n'))))
	if err != nil {
		t.Fatal(err)
	}
	document = fmt.Appendf(nil, `{"v":"1","type":"liability-proof","account":"%s","asset":"SCH","balance":"2500000","receipt":%s,"proof":%s}`, account, receipt, path)
	return m, document, account
}

// promiseOf writes the promise of one leaf of a group of so many, and that of the whole group.
func promiseOf(m *logtest.Made, index, size int64) (one, batch string) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			out[i] = stored[n]
		}
		return out, nil
	})
	for n := range size {
		hashes, err := tlog.StoredHashes(n, m.Publisher.Entry(n), reader)
		if err != nil {
			panic(err)
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		panic(err)
	}
	proof, err := tlog.ProveRecord(size, index, reader)
	if err != nil {
		panic(err)
	}
	const by = "2026-11-22T20:18:36.670101Z"
	b64 := base64.RawURLEncoding
	sig := b64.EncodeToString(m.Keys.Sign(fmt.Sprintf("ballast-promise/v1\n%s\n%s\n%s\n", logtest.Origin, by, root)))
	hashes := make([]string, len(proof))
	for i, h := range proof {
		hashes[i] = b64.EncodeToString(h[:])
	}
	leaf := tlog.RecordHash(m.Publisher.Entry(index))
	one = fmt.Sprintf("v=1; leaf=%s; by=%s; index=%d; size=%d; proof=%s; sig=%s", b64.EncodeToString(leaf[:]), by, index, size, strings.Join(hashes, ","), sig)
	return one, fmt.Sprintf("v=1; by=%s; size=%d; sig=%s", by, size, sig)
}

// memory is a source in memory.
type memory struct{ files map[string][]byte }

var _ source.Source = (*memory)(nil)
