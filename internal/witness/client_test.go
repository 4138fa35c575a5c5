package witness_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/witness"
)

// hand is a cosigner made by hand after tlog-cosignature, for comparing and for lying.
type hand struct {
	name    string
	private ed25519.PrivateKey
}

func newHand(name string) hand {
	seed := sha256.Sum256([]byte(name))
	return hand{name, ed25519.NewKeyFromSeed(seed[:])}
}

func (h hand) public() []byte { return h.private.Public().(ed25519.PublicKey) }

func (h hand) id() []byte {
	sum := sha256.Sum256(append([]byte(h.name+"\n\x04"), h.public()...))
	return sum[:4]
}

func (h hand) key() string {
	return h.name + "+" + hex.EncodeToString(h.id()) + "+" + base64.StdEncoding.EncodeToString(append([]byte{4}, h.public()...))
}

// line cosigns a text as of a time.
func (h hand) line(text string, at int64) string {
	sig := ed25519.Sign(h.private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	raw := append(binary.BigEndian.AppendUint64(h.id(), uint64(at)), sig...) //nolint:gosec // As it is.
	return "— " + h.name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

// textOf returns what a signed note says.
func textOf(signed []byte) string {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return text + "\n"
}

// TestCosignatureIsAsSpecified takes a witness's cosignature apart without any library.
func TestCosignatureIsAsSpecified(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 3, "a")
	w, _ := newWitness(t, l.key)
	before := time.Now().Unix()
	line, err := w.AddCheckpoint(t.Context(), l.request(t, 0, 3))
	if err != nil {
		t.Fatal(err)
	}
	name, id64, _ := strings.Cut(w.VerifierKey(), "+")
	id, key64, _ := strings.Cut(id64, "+")
	key, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || key[0] != 4 || len(key) != 33 {
		t.Fatalf("key %x: %v", key, err)
	}
	sig64, found := strings.CutPrefix(string(line), "— "+name+" ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(sig64, "\n"))
	if !found || err != nil || len(raw) != 4+8+64 || hex.EncodeToString(raw[:4]) != id {
		t.Fatalf("%q: %v", line, err)
	}
	at := int64(binary.BigEndian.Uint64(raw[4:])) //nolint:gosec // As it is.
	message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, textOf(l.at(t, 3)))
	if at < before || at > time.Now().Unix() || !ed25519.Verify(key[1:], message, raw[12:]) {
		t.Errorf("time %d, signature %x", at, raw[12:])
	}
}

// TestAskFindsWhereTheWitnessIs starts from sizes that are wrong in every way.
func TestAskFindsWhereTheWitnessIs(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 20, "a")
	client := newClient(t)
	for _, tt := range []struct{ has, known, asks int64 }{{0, 0, 10}, {0, 7, 10}, {5, 0, 10}, {5, 5, 10}, {5, 7, 10}, {10, 0, 10}, {10, 10, 10}, {10, 20, 10}, {0, 0, 0}} {
		w, _ := newWitness(t, l.key)
		member := serve(t, w, "w1")
		if tt.has > 0 {
			if _, err := w.AddCheckpoint(t.Context(), l.request(t, 0, tt.has)); err != nil {
				t.Fatal(err)
			}
		}
		cosigned, known, err := client.Ask(t.Context(), member, l.at(t, tt.asks), uint64(tt.known), l.prove) //nolint:gosec // Test sizes.
		if err != nil || known != uint64(tt.asks) || time.Since(cosigned.At) > time.Minute {                 //nolint:gosec // Test sizes.
			t.Errorf("%+v: %d %+v: %v", tt, known, cosigned, err)
			continue
		}
		signed := append(l.at(t, tt.asks), cosigned.Line()...)
		if err := parsePolicy(t, "log "+l.key, "witness w1 "+member.Key, "quorum w1").Satisfied(signed); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestAskWhatCannotBe(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 20, "a")
	w, _ := newWitness(t, l.key)
	member := serve(t, w, "w1")
	if _, err := w.AddCheckpoint(t.Context(), l.request(t, 0, 15)); err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	if _, known, err := client.Ask(t.Context(), member, l.at(t, 10), 0, l.prove); !errors.Is(err, witness.ErrAhead) || known != 15 {
		t.Errorf("a smaller checkpoint: %d %v", known, err)
	}
	var status *witness.StatusError
	forked := l.fork(3)
	forked.grow(t, 17, "b")
	if _, _, err := client.Ask(t.Context(), member, forked.at(t, 20), 15, forked.prove); !errors.As(err, &status) || status.Status != 422 {
		t.Errorf("a fork: %v", err)
	}
	if _, _, err := client.Ask(t.Context(), member, []byte("nothing"), 0, l.prove); !errors.Is(err, witness.ErrMalformed) {
		t.Errorf("no checkpoint: %v", err)
	}
	failed := errors.New("no tiles")
	if _, _, err := client.Ask(t.Context(), member, l.at(t, 20), 15, func(context.Context, uint64, uint64) ([]tlog.Hash, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("no proof: %v", err)
	}
	for _, url := range []string{"", "witness.example", "ftp://witness.example", "http://", "\x00"} {
		member.URL = url
		if _, _, err := client.Ask(t.Context(), member, l.at(t, 20), 15, l.prove); !errors.Is(err, witness.ErrURL) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// lie is what a witness does that is not honest, or not well.
type lie struct {
	do   func(t *testing.T, h hand, text string, rw http.ResponseWriter, r *http.Request)
	want error // Nil stands for any.
}

func says(status int, media, body string) lie {
	return lie{func(_ *testing.T, _ hand, _ string, rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", media)
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
	}, witness.ErrAnswer}
}

func writes(lines func(h hand, text string) string) lie {
	return lie{func(_ *testing.T, h hand, text string, rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, lines(h, text))
	}, witness.ErrAnswer}
}

const sizeType = "text/x.tlog.size"

var lies = map[string]lie{
	"hangs": {func(_ *testing.T, _ hand, _ string, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, context.Canceled},
	"stops in the middle": {func(_ *testing.T, h hand, text string, rw http.ResponseWriter, r *http.Request) {
		line := h.line(text, time.Now().Unix())
		_, _ = io.WriteString(rw, line[:len(line)/2])
		_ = http.NewResponseController(rw).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, context.Canceled},
	"hangs up": {func(_ *testing.T, _ hand, _ string, _ http.ResponseWriter, _ *http.Request) {
		panic(http.ErrAbortHandler)
	}, nil},
	"never ends": {func(_ *testing.T, h hand, text string, rw http.ResponseWriter, _ *http.Request) {
		for line, err := h.line(text, time.Now().Unix()), error(nil); err == nil; {
			_, err = io.WriteString(rw, line)
		}
	}, witness.ErrAnswer},
	"redirects": {func(_ *testing.T, h hand, text string, rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			_, _ = io.WriteString(rw, h.line(text, time.Now().Unix()))
			return
		}
		http.Redirect(rw, r, "/elsewhere/add-checkpoint", http.StatusTemporaryRedirect)
	}, nil},
	"nothing":           says(200, "", ""),
	"garbage":           says(200, "", "\x00\xff"),
	"not a signature":   says(200, "", "— x y\n"),
	"HTML":              says(200, "text/html", "<p>Welcome</p>\n"),
	"an error":          {says(500, "", "").do, nil},
	"says teapot":       {says(418, "", "").do, nil},
	"no content":        {says(204, "", "").do, nil},
	"conflict, no size": says(409, sizeType, ""), "conflict, no newline": says(409, sizeType, "3"), "conflict, zeroes": says(409, sizeType, "03\n"),
	"conflict, negative": says(409, sizeType, "-3\n"), "conflict, another type": says(409, "text/plain", "3\n"), "conflict, no type": says(409, "", "3\n"),
	"conflict with itself": says(409, sizeType, "0\n"), "conflict, for ever": says(409, sizeType, "3\n"), "conflict, much": says(409, sizeType, strings.Repeat("3", 1<<20)),
	"conflict, beyond 2^63": says(409, sizeType, "9223372036854775808\n"),
	"conflict, ahead":       {says(409, sizeType, "9000000000000000000\n").do, witness.ErrAhead},
	"conflict, others each time": {func(_ *testing.T, _ hand, _ string, rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(409)
		_, _ = fmt.Fprintf(rw, "%d\n", len(body)%9)
	}, nil},
	"another's key": writes(func(h hand, text string) string {
		o := newHand(h.name + "x")
		o.name = h.name
		return o.line(text, time.Now().Unix())
	}),
	"another's name":     writes(func(_ hand, text string) string { return newHand("somebody.example").line(text, time.Now().Unix()) }),
	"of another text":    writes(func(h hand, text string) string { return h.line(text+"x\n", time.Now().Unix()) }),
	"with another text":  writes(func(h hand, _ string) string { return "\nx\n\n" + h.line("x\n", time.Now().Unix()) }),
	"with a longer text": writes(func(h hand, text string) string { return "x\n\n" + h.line(text+"\nx\n", time.Now().Unix()) }),
	"without a time":     writes(func(h hand, text string) string { return h.line(text, 0) }),
	"in an hour":         writes(func(h hand, text string) string { return h.line(text, time.Now().Unix()+3600) }),
	"at a negative time": writes(func(h hand, text string) string { return h.line(text, -1) }),
	"cut off":            writes(func(h hand, text string) string { return strings.TrimSuffix(h.line(text, time.Now().Unix()), "\n") }),
	"with a wrong one too": writes(func(h hand, text string) string {
		return h.line(text+"x\n", time.Now().Unix()) + h.line(text, time.Now().Unix())
	}),
}

// TestLiarsDoNotStopTheOthers puts each liar beside two honest witnesses, of which both are needed.
func TestLiarsDoNotStopTheOthers(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 12, "a")
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHand("liar.example")
			liar := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { lie.do(t, h, textOf(l.at(t, 9)), rw, r) }))
			t.Cleanup(liar.Close)
			w1, _ := newWitness(t, l.key)
			w2, _ := newWitness(t, l.key)
			policy := parsePolicy(t, "log "+l.key, "witness liar "+h.key()+" "+liar.URL, "witness w1 "+w1.VerifierKey()+" "+serve(t, w1, "w1").URL,
				"witness w2 "+w2.VerifierKey()+" "+serve(t, w2, "w2").URL, "group two 2 w1 w2 liar", "quorum two")
			got := witness.NewCollector(policy, newClient(t), time.Millisecond).Collect(t.Context(), l.at(t, 9), l.prove)
			if !got.Satisfied || got.Outcomes[1].Err != nil || got.Outcomes[2].Err != nil {
				t.Fatalf("%+v", got)
			}
			err := got.Outcomes[0].Err
			if err == nil || lie.want != nil && !errors.Is(err, lie.want) && !errors.Is(err, context.Canceled) {
				t.Errorf("the liar: %v, want %v", err, lie.want)
			}
			standing, err := policy.Check(got.Signed)
			if err != nil || !standing.Satisfied || len(standing.Cosigned) != 2 || standing.Cosigned[0].Name != "w1" || standing.Checkpoint.Size != 9 {
				t.Errorf("%+v: %v", standing, err)
			}
		})
	}
}

// TestEachLieIsSeen asks the liars alone, without others whose haste could hide what is wrong.
func TestEachLieIsSeen(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 12, "a")
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if errors.Is(lie.want, context.Canceled) {
				return // It would take the client's whole time.
			}
			h := newHand("liar.example")
			liar := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { lie.do(t, h, textOf(l.at(t, 9)), rw, r) }))
			t.Cleanup(liar.Close)
			member, err := witness.NewMember("liar", h.key(), liar.URL)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := newClient(t).Ask(t.Context(), member, l.at(t, 9), 0, l.prove); err == nil || lie.want != nil && !errors.Is(err, lie.want) {
				t.Errorf("%v, want %v", err, lie.want)
			}
		})
	}
}

// TestHonestByHand makes sure that it is the lie which is refused in the tests above.
func TestHonestByHand(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 12, "a")
	h := newHand("honest.example")
	text := textOf(l.at(t, 9))
	member, err := witness.NewMember("h", h.key(), "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for name, lines := range map[string]string{
		"alone": h.line(text, now.Unix()), "a little ahead": h.line(text, now.Unix()+60), "twice": h.line(text, now.Unix()) + h.line(text, now.Unix()),
		"among others": newHand("x.example").line(text, now.Unix()) + h.line(text, now.Unix()),
	} {
		if cosigned, err := witness.VerifyAnswer(text, []byte(lines), member, now); err != nil || cosigned.At.Before(now) {
			t.Errorf("%s: %+v %v", name, cosigned, err)
		}
	}
}

// TestAHangingWitnessIsGivenUp by the client's own time, without anybody else to end it.
func TestAHangingWitnessIsGivenUp(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 3, "a")
	h := newHand("liar.example")
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { lies["hangs"].do(t, h, "", rw, r) }))
	t.Cleanup(server.Close)
	client := witness.NewClient(20 * time.Millisecond)
	t.Cleanup(client.Close)
	policy := parsePolicy(t, "witness liar "+h.key()+" "+server.URL, "witness nowhere "+newHand("n").key(), "quorum liar")
	got := witness.NewCollector(policy, client, time.Hour).Collect(t.Context(), l.at(t, 3), l.prove)
	if got.Satisfied || !errors.Is(got.Outcomes[0].Err, context.DeadlineExceeded) || !errors.Is(got.Outcomes[1].Err, witness.ErrURL) || string(got.Signed) != string(l.at(t, 3)) {
		t.Errorf("%+v", got)
	}
}

// TestACollectorRemembers how far each witness is, so that one request for each checkpoint is enough.
func TestACollectorRemembers(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 12, "a")
	w, _ := newWitness(t, l.key)
	var statuses []int
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		w.Handler().ServeHTTP(recorder, r)
		statuses = append(statuses, recorder.Code)
		rw.WriteHeader(recorder.Code)
		_, _ = rw.Write(recorder.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	collector := witness.NewCollector(parsePolicy(t, "witness w1 "+w.VerifierKey()+" "+server.URL+"/", "quorum none"), newClient(t), time.Hour)
	for _, size := range []int64{3, 4, 4, 9, 12} {
		if got := collector.Collect(t.Context(), l.at(t, size), l.prove); got.Outcomes[0].Err != nil || !got.Satisfied {
			t.Fatalf("size %d: %+v", size, got)
		}
	}
	if fmt.Sprint(statuses) != "[200 200 200 200 200]" {
		t.Error(statuses)
	}
}

// TestOneConflictIsEnough to know that a witness which names the size that it was given is of no use.
func TestOneConflictIsEnough(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 9, "a")
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(rw, "4\n")
	}))
	t.Cleanup(server.Close)
	member, err := witness.NewMember("w", newHand("w.example").key(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		known uint64
		asks  int
	}{{4, 1}, {0, 2}, {9, 2}} {
		asked = 0
		if _, known, err := newClient(t).Ask(t.Context(), member, l.at(t, 9), tt.known, l.prove); !errors.Is(err, witness.ErrAnswer) || known != 4 || asked != tt.asks {
			t.Errorf("from %d: asked %d times: %d %v", tt.known, asked, known, err)
		}
	}
}

// TestOnlyASizeIsAConflict of its own media type, written in its one way.
func TestOnlyASizeIsAConflict(t *testing.T) {
	t.Parallel()
	var conflict *witness.ConflictError
	if err := witness.ConflictOf("text/x.tlog.size; charset=utf-8", "3\n"); !errors.As(err, &conflict) || conflict.Size != 3 {
		t.Error(err)
	}
	for _, other := range [][2]string{{"text/plain", "3\n"}, {"", "3\n"}, {sizeType, "3"}, {sizeType, "03\n"}, {sizeType, "\n"}, {sizeType, "3\n\n"}, {sizeType, "-3\n"}} {
		if err := witness.ConflictOf(other[0], other[1]); !errors.Is(err, witness.ErrAnswer) {
			t.Errorf("%q: %v", other, err)
		}
	}
}
