package verify_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/signed"
)

// replaced changes a text that must be there.
func replaced(t *testing.T, in, from, to string) string {
	t.Helper()
	if !strings.Contains(in, from) {
		t.Errorf("%q is not there", from)
	}
	return strings.Replace(in, from, to, 1)
}

// TestReceiptsAsNobodyWritesThem has what would be read as the same receipt, or as another, by a reader that is less strict.
func TestReceiptsAsNobodyWritesThem(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 31, 10, 100)
	o := options(t, m)
	good := string(receiptOf(t, m, 99))
	lines := strings.Split(good, "\n")
	extra, index, hash := lines[1], lines[2], lines[3]
	entry := m.Publisher.Entry(99)
	many := func(n int) string { return strings.Repeat(hash+"\n", n-len(m.Publisher.Prove(99))) + hash }
	opening := func(posting, side string) string {
		return logtest.Object(map[string]string{"account": logtest.ID("acct", m.World.Accounts[0].ID), "blind": strings.Repeat("A", 43) + "=", "posting": posting, "side": side, "version": "1"})
	}
	pledge := int64(0)
	for !bytes.Contains(m.Publisher.Entry(pledge), []byte(`"pledge_activation"`)) {
		pledge++
	}
	of := func(index int64, extra string) string { return string(tlogProof(m, index, []byte(extra))) }
	for name, tt := range map[string]struct{ receipt, want string }{
		"right":                     {good, ""},
		"no base64":                 {replaced(t, good, extra, "extra !"), "extra data, which has the entry"},
		"base64 in two lines":       {replaced(t, good, extra, extra[:20]+"\r"+extra[20:]), "extra data, which has the entry"},
		"base64 that ends in bits":  {replaced(t, good, extra, "extra e30Kf==="), "extra data, which has the entry"},
		"an entry without its end":  {of(99, string(entry)), "not lines"},
		"no entry":                  {replaced(t, good, extra, "extra "), "not lines"},
		"an opening without an end": {of(99, string(entry)+"\n"+opening("0", "to")), "not lines"},
		"no index":                  {replaced(t, good, index, "indes 99"), "its index is missing"},
		"an index that is none":     {replaced(t, good, index, "index x"), "its index is missing"},
		"an index of more digits":   {replaced(t, good, index, "index 099"), "its index is missing"},
		"an index beyond measure":   {replaced(t, good, index, "index 9223372036854775808"), "its index is missing"},
		"a hash that is none":       {replaced(t, good, hash, strings.Repeat("!", 44)), "hashes in base64"},
		"a hash of 31 bytes":        {replaced(t, good, hash, strings.Repeat("A", 42)+"=="), "hashes in base64"},
		"a hash of 33 bytes":        {replaced(t, good, hash, strings.Repeat("A", 44)), "hashes in base64"},
		"a hash that ends in bits":  {replaced(t, good, hash, strings.Repeat("A", 42)+"B="), "hashes in base64"},
		"a hash in two lines":       {replaced(t, good, hash, hash[:20]+"\r"+hash[20:]), "hashes in base64"},
		"a hash and no end":         {strings.Join(lines[:4], "\n"), "hashes in base64"},
		"63 hashes":                 {replaced(t, good, hash, many(63)), "does not lead"},
		"64 hashes":                 {replaced(t, good, hash, many(64)), "hashes in base64"},
		"an opening of a public account": {
			of(pledge, string(m.Publisher.Entry(pledge))+"\n"+opening("0", "to")+"\n"), "does not open its account",
		},
		"an opening of no transaction": {of(0, string(m.Publisher.Entry(0))+"\n"+opening("0", "to")+"\n"), "of a posting that is not there"},
		"an entry that is none":        {string(logtest.ReceiptAt(m.Keys, []byte("c2sp.org/tlog-proof@v1\nextra e30K"), []byte("{}"), 5, 100)), "it is not an entry: byte 0: there is no type"},
		"JSON that is none":            {"{", "it is not a receipt"},
		"huge":                         {strings.Repeat("x", verify.MaxReceiptBytes+1), "more than 262144 bytes"},
		"huge JSON":                    {`{"proof":"` + strings.Repeat("x", 2*verify.MaxReceiptBytes) + `"}`, "more than 262144 bytes"},
	} {
		r := verify.Receipt([]byte(tt.receipt), "", o)
		verdict := fault.Tampered
		if tt.want == "" {
			verdict = fault.Verified
		}
		if want(t, r, verdict, tt.want); t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestPromisesAsNobodyWritesThem does the same with promises.
func TestPromisesAsNobodyWritesThem(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 32, 10, 60)
	o := options(t, m)
	one, batch := promiseOf(m, 5, 9)
	part := func(name string) string {
		_, after, _ := strings.Cut(one, "; "+name+"=")
		value, _, _ := strings.Cut(after, "; ")
		return value
	}
	change := func(name, to string) string { return replaced(t, one, "; "+name+"="+part(name), "; "+name+"="+to) }
	sig, leaf := part("sig"), part("leaf")
	for name, tt := range map[string]struct{ value, want string }{
		"right":                       {one, ""},
		"too long":                    {one + strings.Repeat(" ", 8<<10), "too long"},
		"other parts":                 {one + "; more=x", "other parts"},
		"another name":                {replaced(t, one, "; index=", "; place="), "part 4 is not index"},
		"another version":             {replaced(t, one, "v=1", "v=2"), "its version is not known"},
		"a time that is none":         {change("by", "tomorrow"), "its time is not an instant"},
		"a time in another zone":      {change("by", "2026-11-22T20:18:36.670101+00:00"), "its time is not an instant"},
		"a time of fewer digits":      {change("by", "2026-11-22T20:18:36.67Z"), "its time is not an instant"},
		"a comma in the time":         {change("by", "2026-11-22T20:18:36,670101Z"), "its time is not an instant"},
		"a size that is none":         {change("size", "x"), "its size is not a number"},
		"a size of nothing":           {change("size", "0"), "its size is not a number"},
		"a size of more digits":       {change("size", "09"), "its size is not a number"},
		"an index that is none":       {change("index", "-1"), "its index is not below its size"},
		"an index at the size":        {change("index", "9"), "its index is not below its size"},
		"a signature that is none":    {change("sig", strings.Repeat("!", 86)), "its signature is not one"},
		"a short signature":           {change("sig", sig[:84]), "its signature is not one"},
		"a signature in two lines":    {change("sig", sig[:20]+"\n"+sig[20:]), "its signature is not one"},
		"a signature with other bits": {change("sig", sig[:85]+"_"), "its signature is not one"},
		"a leaf that is none":         {change("leaf", strings.Repeat("!", 43)), "its hashes are not base64url"},
		"a leaf with other bits":      {change("leaf", leaf[:42]+"_"), "its hashes are not base64url"},
		"a leaf in two lines":         {change("leaf", leaf[:20]+"\n"+leaf[20:]), "its hashes are not base64url"},
		"a short leaf":                {change("leaf", leaf[:40]), "its hashes are not base64url"},
		"an empty hash":               {change("proof", part("proof")+","), "its hashes are not base64url"},
		"a hash too many":             {change("proof", part("proof")+","+leaf), "another length"},
		"no hash":                     {change("proof", ""), "another length"},
		"another index":               {change("index", "4"), "is not one of the log"},
		"another time":                {change("by", "2026-11-22T20:18:36.670102Z"), "is not one of the log"},
	} {
		verdict := fault.Tampered
		if tt.want == "" {
			verdict = fault.Verified
		}
		if want(t, verify.Promise(t.Context(), tt.value, nil, nil, o), verdict, tt.want); t.Failed() {
			t.Fatal(name)
		}
	}
	leaves := make([]string, 9)
	for i := range leaves {
		leaves[i] = strings.Repeat("A", 43) + "="
	}
	for name, text := range map[string]string{"no base64": strings.Repeat("!", 44), "33 bytes": strings.Repeat("A", 44), "other bits": strings.Repeat("A", 42) + "B=", "short": "AAAA"} {
		wrong := append(leaves[:8:8], text)
		if want(t, verify.Promise(t.Context(), batch, wrong, nil, o), fault.Incomplete, "is not a leaf hash in base64"); t.Failed() {
			t.Fatal(name)
		}
	}
	want(t, verify.Promise(t.Context(), batch, leaves, nil, o), fault.Tampered, "is not one of the log")
	in := &memory{files: published(t, m.Dir)}
	in.files["checkpoint"] = m.Keys.CheckpointOf("elsewhere.test/log", 60, m.Publisher.Root())
	want(t, verify.Promise(t.Context(), one, nil, in, o), fault.Tampered, "of another log")
	in.files["checkpoint"] = m.Checkpoint
	delete(in.files, "tile/0/000.p/60")
	want(t, verify.Promise(t.Context(), one, nil, in, o), fault.Incomplete, "is missing")
}

// TestLiabilitiesAsNobodyWritesThem does the same with proofs of liabilities.
func TestLiabilitiesAsNobodyWritesThem(t *testing.T) {
	t.Parallel()
	m, proof, account := withLiabilities(t)
	o := options(t, m)
	good := string(proof)
	for name, tt := range map[string]struct{ document, want string }{
		"right":                    {good, ""},
		"huge":                     {good + strings.Repeat(" ", verify.MaxLiabilityBytes), "more than"},
		"no JSON":                  {good[1:], "it is not a proof of liabilities"},
		"more":                     {replaced(t, good, `{"v"`, `{"more":"x","v"`), "it is not a proof of liabilities"},
		"another version":          {replaced(t, good, `"v":"1"`, `"v":"2"`), "of version 1"},
		"another type":             {replaced(t, good, `"liability-proof"`, `"liability"`), "of version 1"},
		"a balance that is none":   {replaced(t, good, `"balance":"2500000"`, `"balance":"x"`), "its balance is not a whole number"},
		"a balance of more digits": {replaced(t, good, `"balance":"2500000"`, `"balance":"02500000"`), "its balance is not a whole number"},
		"another asset":            {replaced(t, good, `"asset":"SCH"`, `"asset":"USD"`), "of another asset than the entry"},
		"another account":          {replaced(t, good, account, "acct_00000000000000000000000000"), "not"},
		"a proof that is none":     {good[:strings.Index(good, `"proof":`)] + `"proof":{}}`, "proof"},
		"a receipt that is none":   {replaced(t, good, "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"), "its first line"},
	} {
		verdict := fault.Tampered
		if tt.want == "" {
			verdict = fault.Verified
		}
		if want(t, verify.Liability([]byte(tt.document), "", verify.Expected{}, o), verdict, tt.want); t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestCheckpointsThatAreNotBelieved has notes that are signed with the log's key, and are no checkpoints.
func TestCheckpointsThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 33, 10, 60)
	key, root := mustKey(t, m.Keys.VKey), m.Publisher.Root()
	signs := func(text string) []byte {
		n, err := note.Sign(&note.Note{Text: text}, m.Keys.Signer)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	head := fmt.Sprintf("%s\n60\n%s\n", logtest.Origin, base64.StdEncoding.EncodeToString(root[:]))
	whole := func(n int) []byte { // As many bytes, by signatures of nobody known.
		good := signs(head)
		rest := n - len(good) - len("— x \n") - len("AAAAAA==")
		return fmt.Appendf(good, "— x AAAAAA==\n%s", strings.Repeat("— y AAAAAA==\n", rest/len("— y AAAAAA==\n")))
	}
	if c, err := signed.Open(signs(head+"more\n"), key, nil); err != nil || !c.Extended {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := signed.Open(signs(head), key, nil); err != nil || c.Extended || !c.Latest().IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	cosigned := bytes.Replace(m.Checkpoint, []byte("— w0.example "), []byte("— w0.example ////"), 1)
	for name, tt := range map[string]struct {
		raw  []byte
		want string
	}{
		"too long":                        {append(bytes.Clone(m.Checkpoint), bytes.Repeat([]byte("x"), signed.MaxBytes)...), "more than"},
		"too many signatures":             {whole(signed.MaxBytes + 100), "more than"},
		"no text":                         {[]byte("hello"), "not a signed checkpoint"},
		"a text that is none":             {signs("hello\n"), "what the log signed is not a checkpoint"},
		"a size that is none":             {signs(strings.Replace(head, "\n60\n", "\n060\n", 1)), "what the log signed is not a checkpoint"},
		"a log without entries":           {signs(strings.Replace(head, "\n60\n", "\n0\n", 1)), "another root than that of nothing"},
		"a wrong signature of a witness":  {wrongWitness(t, m.Checkpoint), "the signature of a witness of the policy is wrong"},
		"a signature of another's key id": {cosigned, ""},
	} {
		_, err := signed.Open(tt.raw, key, mustPolicy(t, m.Keys.Policy(1)))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// wrongWitness turns a bit of the first witness's signature.
func wrongWitness(t *testing.T, checkpoint []byte) []byte {
	t.Helper()
	const before = "— w0.example "
	text := string(checkpoint)
	i := strings.Index(text, before) + len(before)
	end := i + strings.Index(text[i:], "\n")
	sig, err := base64.StdEncoding.DecodeString(text[i:end])
	if err != nil {
		t.Fatal(err)
	}
	sig[40] ^= 1
	return []byte(text[:i] + base64.StdEncoding.EncodeToString(sig) + text[end:])
}
