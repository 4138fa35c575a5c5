package httpapi_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/httpapi/transparency"
)

// bigLog is a log of made-up entries whose hashes golang.org/x/mod/sumdb/tlog computes: what the browser's module is compared with.
type bigLog struct {
	stored hashes
	size   int64
	// wholeOnly serves whole tiles alone, where there are such, as a log does that has grown.
	wholeOnly bool
}

// bigLogSize is large enough for tiles on three levels.
const bigLogSize = 65536 + 700

func newBigLog(t *testing.T) *bigLog {
	t.Helper()
	l := &bigLog{size: bigLogSize}
	for i := range l.size {
		more, err := tlog.StoredHashesForRecordHash(i, tlog.RecordHash(bigEntry(i)), l.stored)
		if err != nil {
			t.Fatal(err)
		}
		l.stored = append(l.stored, more...)
	}
	return l
}

func bigEntry(i int64) []byte { return []byte("entry " + strconv.FormatInt(i, 10)) }

// ServeHTTP serves the page's files, and the log at tile/….
func (l *bigLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, isTile := strings.CutPrefix(r.URL.Path, "/tile/")
	if !isTile {
		if r.URL.Path == "/" || transparency.ServeAsset(w, r) != nil {
			w.Header().Set("Content-Type", "text/html")
		}
		return
	}
	data := l.tile(name)
	if data == nil {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(data) //nolint:gosec // hashes of entries that are made up
}

// tile returns a tile by its name, or nil.
func (l *bigLog) tile(name string) []byte {
	entries := strings.HasPrefix(name, "entries/")
	t, err := tlog.ParseTilePath("tile/8/" + strings.Replace(name, "entries/", "data/", 1))
	if err != nil {
		return nil
	}
	first := t.N << 8
	if l.wholeOnly && t.W < 256 && (first+256)<<(8*max(t.L, 0)) <= l.size {
		return nil
	}
	var data []byte
	for i := first; i < first+int64(t.W); i++ {
		if entries {
			if i >= l.size {
				return nil
			}
			data = append(binary.BigEndian.AppendUint16(data, uint16(len(bigEntry(i)))), bigEntry(i)...) //nolint:gosec // they are short
			continue
		}
		at := tlog.StoredHashIndex(t.L*8, i)
		if at >= int64(len(l.stored)) {
			return nil
		}
		data = append(data, l.stored[at][:]...)
	}
	return data
}

// question is a size of the log, an entry of it and a smaller size, with the right answers.
type question struct {
	Size, Index, Older int64
	Root, OlderRoot    string
	Path               []string
}

func (l *bigLog) question(t *testing.T, size, index, older int64) question {
	t.Helper()
	root, err := tlog.TreeHash(size, l.stored)
	if err != nil {
		t.Fatal(err)
	}
	olderRoot, err := tlog.TreeHash(older, l.stored)
	if err != nil {
		t.Fatal(err)
	}
	path, err := tlog.ProveRecord(size, index, l.stored)
	if err != nil {
		t.Fatal(err)
	}
	q := question{Size: size, Index: index, Older: older, Root: base64.StdEncoding.EncodeToString(root[:]), OlderRoot: base64.StdEncoding.EncodeToString(olderRoot[:])}
	for _, h := range path {
		q.Path = append(q.Path, base64.StdEncoding.EncodeToString(h[:]))
	}
	return q
}

// answering has the module answer all questions, and returns what is wrong, a line each.
const answering = `(async () => {
	const m = await import("/transparency/log.js");
	const wrong = [];
	const files = new Map(); // Each is fetched once, since to fetch is what takes the time. The module asks anew for every question.
	const file = async (path) => { const got = await fetch("/" + path); return got.ok ? new Uint8Array(await got.arrayBuffer()) : null; };
	const fetched = (path) => files.get(path) ?? files.set(path, file(path)).get(path);
	const fails = async (what, work, why = "") => {
		let said = "it passes";
		try { await work(); } catch (error) { said = error instanceof m.Tampered ? error.message : "" + error; if (said !== "" + error && said.includes(why)) return; }
		wrong.push(what + ": " + said);
	};
	for (const q of %s) {
		const what = JSON.stringify([q.Size, q.Index, q.Older]);
		try {
			const tiles = new m.Tiles(q.Size, async (path) => (await fetched(path))?.slice() ?? null);
			const now = { size: q.Size, root: m.fromBase64(q.Root) };
			const older = { size: q.Older, root: m.fromBase64(q.OlderRoot) };
			if (m.toBase64(await tiles.hash(0, q.Size)) !== q.Root) wrong.push(what + ": another root");
			const path = await tiles.path(q.Index);
			if (JSON.stringify(path.map(m.toBase64)) !== JSON.stringify(q.Path ?? [])) wrong.push(what + ": another path");
			const leaf = await m.leafHash(await tiles.entry(q.Index));
			await m.checkInclusion(q.Index, leaf, path, now);
			await m.checkConsistency(tiles, older, now);
			const flipped = (bytes) => bytes.map((byte, i) => (i === 31 ? byte ^ 1 : byte));
			await fails(what + " another leaf", () => m.checkInclusion(q.Index, flipped(leaf), path, now));
			await fails(what + " a longer path", () => m.checkInclusion(q.Index, leaf, [...path, leaf], now), "too long");
			await fails(what + " no such entry", () => m.checkInclusion(q.Size, leaf, path, now), "There is no entry");
			if (path.length) {
				await fails(what + " a shorter path", () => m.checkInclusion(q.Index, leaf, path.slice(1), now), "too short");
				await fails(what + " another path", () => m.checkInclusion(q.Index, leaf, path.with(-1, flipped(path.at(-1))), now));
				await fails(what + " another index", () => m.checkInclusion(q.Index ^ 1, leaf, path, now));
			}
			if (q.Older > 0) await fails(what + " another past", () => m.checkConsistency(tiles, { ...older, root: flipped(older.root) }, now));
			await fails(what + " another present", () => m.checkConsistency(tiles, { size: 1, root: theFirst }, { ...now, root: flipped(now.root) }));
		} catch (error) {
			wrong.push(what + ": " + error);
		}
	}
	return wrong.join("\n");
})()`

// The browser's module computes what an independent implementation does, on every shape of a tree.
func TestTheBrowsersModuleAgreesWithTlog(t *testing.T) {
	t.Parallel()
	browser := newChromium(t)
	log := newBigLog(t)
	random := rand.New(rand.NewPCG(5, 7)) // Any will do, always the same.
	var questions []question
	for _, size := range []int64{1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 300, 511, 512, 513, 1000, 65535, 65536, 65537, 65536 + 256, bigLogSize} {
		for range 3 {
			questions = append(questions, log.question(t, size, random.Int64N(size), random.Int64N(size+1)))
		}
		questions = append(questions, log.question(t, size, size-1, size), log.question(t, size, 0, 1))
	}
	asked, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	first := tlog.RecordHash(bigEntry(0))
	program := strings.Replace(fmt.Sprintf(answering, asked), "theFirst", fmt.Sprintf("m.fromBase64(%q)", base64.StdEncoding.EncodeToString(first[:])), 1)
	for _, wholeOnly := range []bool{false, true} {
		log := &bigLog{stored: log.stored, size: log.size, wholeOnly: wholeOnly}
		web := httptest.NewServer(log)
		t.Cleanup(web.Close)
		tab := browser.newTab()
		tab.open(web.URL)
		if wrong := tab.run(program); wrong != "" {
			t.Errorf("whole tiles only %v: %s", wholeOnly, wrong)
		}
	}
}
