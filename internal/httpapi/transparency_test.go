package httpapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/witness"
)

// publishLiabilities publishes what is committed, a proof of the liabilities, and the entry that tells of it.
func (s *server) publishLiabilities() translog.Liability {
	s.t.Helper()
	s.publish()
	made, err := translog.NewLiabilities(s.db.App, s.api.Log.Store, s.api.Log.Key, translog.LiabilitiesOptions{}).Publish(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.publish()
	return made
}

func TestSupplyHistory(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if points := s.get("", "/v1/supply/history").want(200).at("points").([]any); len(points) != 0 {
		t.Fatalf("points %v before there is a proof", points)
	}
	made := s.publishLiabilities()
	supply := s.get("", "/v1/supply").want(200)
	history := s.get("", "/v1/supply/history").want(200).expect(
		"points.0.supply", supply.string("supply"), "points.0.minted", supply.string("minted"), "points.0.burned", supply.string("burned"), "points.0.size", fmt.Sprint(made.Size))
	if n := len(history.at("points").([]any)); n != 1 {
		t.Errorf("%d points, want 1", n)
	}
	// What is said is what the log has there.
	bundle, err := s.api.Log.File("tile/" + s.names["tile_path"])
	if err != nil {
		t.Fatal(err)
	}
	entries := entriesOf(t, bundle)
	index := fmt.Sprint(history.at("points.0.index"))
	if entry := entries[len(entries)-1]; index != fmt.Sprint(len(entries)-1) || !bytes.Contains(entry, []byte(`"type":"liabilities"`)) {
		t.Errorf("point 0 is entry %s; the log ends with %s", index, entry)
	}
	at := history.string("points.0.at")
	for query, want := range map[string]int{
		"?from=" + at: 0, "?to=" + at: 1, "?from=2020-01-01T00:00:00Z&to=" + at: 1, "?to=2020-01-01T00:00:00Z": 0,
	} {
		if points := s.get("", "/v1/supply/history"+query).want(200).at("points").([]any); len(points) != want {
			t.Errorf("%s: %d points, want %d", query, len(points), want)
		}
	}
	for _, query := range []string{"?from=yesterday", "?from=" + at + "&to=" + at, "?to=2020-01-01T00:00:00Z&from=" + at, "?limit=5", "?from=" + at + "&from=" + at} {
		s.get("", "/v1/supply/history"+query).want(400, "invalid_request")
	}
}

// A proof that no checkpoint has yet is not told of: nobody could verify it.
func TestSupplyHistoryHasWhatIsPublished(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.publish()
	if _, err := translog.NewLiabilities(s.db.App, s.api.Log.Store, s.api.Log.Key, translog.LiabilitiesOptions{}).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if points := s.get("", "/v1/supply/history").want(200).at("points").([]any); len(points) != 0 {
		t.Errorf("points %v", points)
	}
}

func TestTransparencyHasTheFactsWithoutScript(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	empty := s.get("", "/transparency").want(200)
	if !strings.Contains(string(empty.text), "Nothing is published yet.") {
		t.Errorf("before the first checkpoint: %s", empty.text)
	}
	logless := newServer(t, func(set *settings) { set.logless = true })
	if page := logless.get("", "/transparency").want(200); !strings.Contains(string(page.text), "This server keeps no log.") {
		t.Errorf("without a log: %s", page.text)
	}
	full := newServer(t)
	full.publishLiabilities()
	page := string(full.get("", "/transparency").want(200).text)
	published, err := full.api.Log.Published()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		published.Origin, base64.StdEncoding.EncodeToString(published.Hash[:]), fmt.Sprintf("%d entries", published.N), full.api.Log.Key.Text,
		"H100-SXM-80GB", "<path class=\"line\" d=\"M", "supply_is_held",
	} {
		if !strings.Contains(strings.ReplaceAll(page, "&#43;", "+"), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func entriesOf(t testing.TB, bundle []byte) (entries [][]byte) {
	t.Helper()
	for entry, err := range leaf.Entries(bundle) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	return entries
}

// front serves the real thing, but for files of the log that a test has changed.
type front struct {
	s    *server
	mu   sync.Mutex
	lies map[string][]byte
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	lie, ok := f.lies[strings.TrimPrefix(r.URL.Path, "/log/")]
	f.mu.Unlock()
	switch {
	case ok && lie == nil:
		http.NotFound(w, r)
		return
	case ok:
		_, _ = w.Write(lie) //nolint:gosec // it is the test that lies
		return
	}
	f.s.handler.ServeHTTP(w, r)
}

func (f *front) lie(files map[string][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lies = files
}

// theVerdict waits until an element has come to a verdict.
const theVerdict = `new Promise((done) => {
	const at = document.getElementById(%q);
	const look = () => { if (!["busy", "off"].includes(at.dataset.verdict)) done(at.dataset.verdict + "\n" + at.innerText); };
	new MutationObserver(look).observe(at, { attributes: true });
	look();
})`

// visit opens the page and returns its verdict, and all that it says of it.
func (p *tab) visit(address string) (verdict, said string) {
	p.b.t.Helper()
	p.open(address)
	verdict, said, _ = strings.Cut(p.run(fmt.Sprintf(theVerdict, "verdict")), "\n")
	return verdict, said
}

func (p *tab) prove(asked string) (verdict, said string) {
	p.b.t.Helper()
	p.run(fmt.Sprintf(`document.getElementById("proof").dataset.verdict = "off"; document.getElementById("asked").value = %q; document.getElementById("prove").requestSubmit(); ""`, asked))
	verdict, said, _ = strings.Cut(p.run(fmt.Sprintf(theVerdict, "proof")), "\n")
	return verdict, said
}

func expectVerdict(t *testing.T, what, verdict, said, want string, words ...string) {
	t.Helper()
	if verdict != want {
		t.Errorf("%s: the page says %s, want %s:\n%s", what, verdict, want, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%s: the page does not say %q:\n%s", what, word, said)
		}
	}
}

// forged is the log with its last entry changed, and all that follows from that, signed by the log's own key: it is consistent in itself.
func forged(t *testing.T, s *server) map[string][]byte {
	t.Helper()
	bundle, err := s.api.Log.File("tile/" + s.names["tile_path"])
	if err != nil {
		t.Fatal(err)
	}
	entries := entriesOf(t, bundle)
	last := &entries[len(entries)-1]
	*last = bytes.Replace(*last, []byte(`"at":"20`), []byte(`"at":"19`), 1)
	var lied, tile []byte
	var stored hashes
	for i, entry := range entries {
		if lied, err = leaf.AppendTo(lied, entry); err != nil {
			t.Fatal(err)
		}
		hash := tlog.RecordHash(entry)
		tile = append(tile, hash[:]...)
		more, err := tlog.StoredHashesForRecordHash(int64(i), hash, stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(int64(len(entries)), stored)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"checkpoint": signed(t, s, len(entries), root), "tile/" + s.names["tile_path"]: lied,
		"tile/" + strings.Replace(s.names["tile_path"], "entries", "0", 1): tile,
	}
}

func signed(t *testing.T, s *server, size int, root tlog.Hash) []byte {
	t.Helper()
	return signedBy(t, s.api.Log.Key, size, root)
}

func signedBy(t *testing.T, key *translog.Key, size int, root tlog.Hash) []byte {
	t.Helper()
	return signedText(t, key, fmt.Sprintf("%s\n%d\n%s\n", key.Signer.Name(), size, root))
}

func signedText(t *testing.T, key *translog.Key, text string) []byte {
	t.Helper()
	checkpoint, err := note.Sign(&note.Note{Text: text}, key.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

// hashes are those of a tree, as tlog stores them.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	read := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		read[i] = h[index]
	}
	return read, nil
}

func flipped(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

func TestTransparencyInABrowser(t *testing.T) {
	t.Parallel()
	browser := newChromium(t)
	s := newServer(t)
	paid := s.as("alice", http.MethodPost, "/v1/transfers", object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1"}).want(201)
	clock := pgtest.NewClock(t, s.db, time.Now())
	for i := range 16 {
		s.post("provider", "/v1/mints", fmt.Sprintf(`{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"%d"}`, 1+i*i%13)).want(201)
		s.publishLiabilities()
		clock.Advance(9 * time.Hour)
	}
	f := &front{s: s}
	web := httptest.NewServer(f)
	t.Cleanup(web.Close)
	address := web.URL + "/transparency"
	file := func(name string) []byte {
		t.Helper()
		data, err := s.api.Log.File(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}

	// A visitor, from their first visit on.
	visitor := browser.newTab()
	verdict, said := visitor.visit(address)
	expectVerdict(t, "at first", verdict, said, "unkeyed", "as this server gives it", "has not been here before")
	visitor.picture("first", 1200, false)
	useKeys := func(p *tab, keys string) (string, string) {
		t.Helper()
		p.run(fmt.Sprintf(`document.getElementById("keys").value = %q; document.getElementById("key-form").requestSubmit(); ""`, keys))
		return p.visit(address)
	}
	verdict, said = useKeys(visitor, s.api.Log.Key.Text)
	expectVerdict(t, "with a key of one's own", verdict, said, "verified", "which you entered", "as were seen here before")
	size := visitor.run(`document.getElementById("entries").rows.length.toString()`)
	if size != "10" {
		t.Errorf("%s entries are listed, want 10", size)
	}
	verdict, said = visitor.prove("0")
	expectVerdict(t, "entry 0", verdict, said, "verified", "lead from it to the signed root")
	verdict, said = visitor.prove("100000")
	expectVerdict(t, "an entry that is not there", verdict, said, "incomplete", "the last is")

	receipt := s.get("alice", "/v1/transactions/"+paid.string("id")+"/receipt").want(200)
	proof := receipt.string("proof")
	verdict, said = visitor.prove(proof)
	expectVerdict(t, "a receipt", verdict, said, "verified", s.names["alice_account"], "still begins with")
	verdict, said = visitor.prove(string(receipt.text))
	expectVerdict(t, "a receipt in JSON", verdict, said, "verified")
	for name, picture := range map[string]struct {
		width int
		dark  bool
	}{"desktop-light": {1200, false}, "desktop-dark": {1200, true}, "phone-light": {390, false}, "phone-dark": {390, true}} {
		visitor.picture(name, picture.width, picture.dark)
	}
	for what, changed := range changedReceipts(t, proof) {
		if verdict, said = visitor.prove(changed); verdict != "tampered" {
			t.Errorf("a receipt with %s: %s:\n%s", what, verdict, said)
		}
	}

	// The log goes on, and the visitor comes again.
	s.as("alice", http.MethodPost, "/v1/transfers", object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "2"}).want(201)
	s.publish()
	verdict, said = visitor.visit(address)
	expectVerdict(t, "later", verdict, said, "verified", "1 more came since")
	verdict, said = visitor.prove(proof)
	expectVerdict(t, "the receipt later", verdict, said, "verified")

	// A witness cosigns.
	checkpoint := file("checkpoint")
	dir := t.TempDir()
	witnessKey, err := witness.CreateKey(dir, "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(dir, []string{s.api.Log.Key.Text}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cosignature, err := w.AddCheckpoint(t.Context(), witness.Request{Checkpoint: checkpoint})
	if err != nil {
		t.Fatal(err)
	}
	f.lie(map[string][]byte{"checkpoint": append(bytes.Clone(checkpoint), cosignature...)})
	verdict, said = useKeys(visitor, s.api.Log.Key.Text+"\n"+witnessKey)
	expectVerdict(t, "cosigned", verdict, said, "verified", "1 of 1 witness cosigned it: witness.example/w1")
	f.lie(map[string][]byte{"checkpoint": append(bytes.Clone(checkpoint), flippedSignature(t, cosignature)...)})
	verdict, said = visitor.visit(address)
	expectVerdict(t, "a forged cosignature", verdict, said, "tampered", "The cosignature of witness.example/w1 does not fit")
	f.lie(nil)
	verdict, said = useKeys(visitor, s.api.Log.Key.Text)
	expectVerdict(t, "without the witness", verdict, said, "verified")

	tile := "tile/" + strings.Replace(s.names["tile_path"], "entries", "0", 1)
	bundle := "tile/" + s.names["tile_path"]
	size = strings.Split(string(checkpoint), "\n")[1]
	stranger := browser.newTab()
	newcomer := func() *tab { stranger.forget(); return stranger }
	regular := func() *tab { return visitor }
	other := newLog(t, s.db.App)
	for what, lie := range map[string]struct {
		files map[string][]byte
		by    func() *tab
		says  string
	}{
		"a tile's first bit":     {map[string][]byte{tile: flipped(file(tile), 0)}, newcomer, "is not the one whose hash is in"},
		"a tile's last bit":      {map[string][]byte{tile: flipped(file(tile), len(file(tile))*8-1)}, newcomer, "is not the one whose hash is in"},
		"an entry's bit":         {map[string][]byte{bundle: flipped(file(bundle), len(file(bundle))*8-9)}, newcomer, "is not the one whose hash is in"},
		"a bundle cut short":     {map[string][]byte{bundle: file(bundle)[:len(file(bundle))-1]}, newcomer, "ends within entry"},
		"a tile cut short":       {map[string][]byte{tile: file(tile)[:len(file(tile))-1]}, newcomer, "bytes long"},
		"another size":           {map[string][]byte{"checkpoint": bytes.Replace(checkpoint, []byte("\n"+size+"\n"), []byte("\n"+size+"0\n"), 1)}, newcomer, "does not fit"},
		"a root of nothing":      {map[string][]byte{"checkpoint": signed(t, s, len(file(tile))/32, sha256.Sum256(nil))}, newcomer, "and signed is"},
		"another log of the key": {map[string][]byte{"checkpoint": signedText(t, s.api.Log.Key, strings.Replace(strings.Split(string(checkpoint), "\n\n")[0], "ballast", "other", 1)+"\n")}, newcomer, "The checkpoint is of log.example.com/other"},
		"nothing, under a root":  {map[string][]byte{"checkpoint": signed(t, s, 0, tlog.RecordHash(nil))}, newcomer, "do not lead to the signed root"},
		"another key than it is": {map[string][]byte{"vkey": []byte(other.Key.Text + "\n")}, newcomer, "no signature by this key"},
		"a fork":                 {forged(t, s), regular, "forked"},
		"a shorter log":          {map[string][]byte{"checkpoint": signed(t, s, 1, tlog.RecordHash(entriesOf(t, file(bundle))[0])), "tile/0/000.p/1": file(tile)[:32], "tile/entries/000.p/1": firstEntry(t, file(bundle))}, regular, "never gets shorter"},
	} {
		f.lie(lie.files)
		by := lie.by()
		by.forgetCache()
		verdict, said = by.visit(address)
		expectVerdict(t, what, verdict, said, "tampered", lie.says)
		if what == "a fork" {
			by.picture("fork", 1200, false)
			by.picture("fork-dark-phone", 390, true)
		}
	}
	// A server that changes its key is noticed by who has been here, whatever key they entered.
	f.lie(nil)
	keyless := newcomer()
	verdict, said = keyless.visit(address)
	expectVerdict(t, "without a key", verdict, said, "unkeyed")
	root, err := base64.StdEncoding.DecodeString(strings.Split(string(checkpoint), "\n")[2])
	if err != nil {
		t.Fatal(err)
	}
	f.lie(map[string][]byte{"vkey": []byte(other.Key.Text + "\n"), "checkpoint": signedBy(t, other.Key, len(file(tile))/32, tlog.Hash(root))})
	verdict, said = keyless.visit(address)
	expectVerdict(t, "another key", verdict, said, "tampered", "signed by another key")
	// Who has never been here cannot tell a fork from the log. That is what witnesses are for.
	f.lie(forged(t, s))
	verdict, said = newcomer().visit(address)
	expectVerdict(t, "a fork at first", verdict, said, "unkeyed")
	f.lie(nil)
	verdict, said = useKeys(visitor, other.Key.Text)
	expectVerdict(t, "a wrong key", verdict, said, "tampered", "no signature by this key")
	verdict, said = useKeys(visitor, "nonsense")
	expectVerdict(t, "no key", verdict, said, "incomplete", "no verifier key")
	verdict, said = useKeys(visitor, strings.Replace(s.api.Log.Key.Text, "ballast+", "ballasd+", 1))
	expectVerdict(t, "a damaged key", verdict, said, "incomplete", "damaged on its way")
	f.lie(map[string][]byte{tile: nil})
	verdict, said = newcomer().visit(address)
	expectVerdict(t, "a tile that is gone", verdict, said, "incomplete", "does not serve "+tile)

	f.lie(nil)
	for lacking, says := range map[string]string{
		`Object.defineProperty(globalThis, "crypto", { value: {} })`: "was not loaded over https", `crypto.subtle.importKey = () => Promise.reject(new Error("no"))`: "has no Ed25519",
	} {
		old := browser.newTab()
		old.before(lacking)
		verdict, said = old.visit(address)
		expectVerdict(t, "an old browser", verdict, said, "incomplete", says)
	}

	for _, p := range browser.everyTab() {
		for _, asked := range p.visited() {
			if !strings.HasPrefix(asked, web.URL+"/") && asked != "about:blank" && !strings.HasPrefix(asked, "data:") {
				t.Errorf("the page asked for %s", asked)
			}
		}
		if len(p.asked) == 0 || len(p.complaints) > 0 {
			t.Errorf("%d requests, and complaints %q", len(p.asked), p.complaints)
		}
	}
}

// before runs a script before those of each page.
func (p *tab) before(script string) {
	p.b.t.Helper()
	p.b.must(p.session, "Page.addScriptToEvaluateOnNewDocument", object{"source": script}, &struct{}{})
}

// forgetCache has the tab fetch everything anew. A browser that keeps tiles for ever would notice a forged one even earlier.
func (p *tab) forgetCache() {
	p.b.t.Helper()
	p.b.must(p.session, "Network.setCacheDisabled", object{"cacheDisabled": true}, &struct{}{})
}

// forget makes the tab that of somebody who has never been here, as a new one is, which costs a process each time.
func (p *tab) forget() {
	p.b.t.Helper()
	p.forgetCache()
	if len(p.visited()) > 0 {
		p.run(`localStorage.clear(); sessionStorage.clear(); ""`)
	}
}

// visited lists what the tab has asked for.
func (p *tab) visited() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// flippedSignature changes the last bit of a signature in a line of a note.
func flippedSignature(t *testing.T, line []byte) []byte {
	t.Helper()
	at := bytes.LastIndexByte(line, ' ') + 1
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(line[at:])))
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(line[:at]), base64.StdEncoding.EncodeToString(flipped(raw, len(raw)*8-1))+"\n"...)
}

func (b *chromium) everyTab() []*tab {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.tabs))
}

func firstEntry(t *testing.T, bundle []byte) []byte {
	t.Helper()
	first, err := leaf.AppendTo(nil, entriesOf(t, bundle)[0])
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// changedReceipts returns a receipt with one thing changed in each of its parts.
func changedReceipts(t *testing.T, proof string) map[string]string {
	t.Helper()
	head, checkpoint, _ := strings.Cut(proof, "\n\n")
	lines := strings.Split(head, "\n")
	flip := func(line int, prefix string, bit int) string {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[line], prefix))
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(lines)
		changed[line] = prefix + base64.StdEncoding.EncodeToString(flipped(raw, (bit+len(raw)*8)%(len(raw)*8)))
		return strings.Join(changed, "\n") + "\n\n" + checkpoint
	}
	other := slices.Clone(lines)
	other[2] = "index 0"
	return map[string]string{
		"a bit of its entry": flip(1, "extra ", 80), "a bit of a version": flip(1, "extra ", -4*8), "a bit of its path": flip(3, "", 7), "another index": strings.Join(other, "\n") + "\n\n" + checkpoint,
		"a hash too many": head + "\n" + lines[3] + "\n\n" + checkpoint, "another root": head + "\n\n" + strings.Replace(checkpoint, "\n", "\n1", 1), "no form": "c2sp.org/tlog-proof@v2\n" + proof,
	}
}
