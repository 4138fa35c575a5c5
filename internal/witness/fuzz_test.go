package witness_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/witness"
)

// FuzzParseRequest asks that what is read is written as it was.
func FuzzParseRequest(f *testing.F) {
	l := newLog(f, origin)
	l.grow(f, 9, "a")
	f.Add(l.request(f, 5, 9).Marshal())
	f.Add([]byte("old 0\n\nx"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := witness.ParseRequest(body)
		if err == nil && !bytes.Equal(r.Marshal(), body) {
			t.Fatalf("%q is written as %q", body, r.Marshal())
		}
		if err != nil && !errors.Is(err, witness.ErrMalformed) {
			t.Fatal(err)
		}
	})
}

// FuzzParseCheckpoint asks that the three lines are written as they were.
func FuzzParseCheckpoint(f *testing.F) {
	l := newLog(f, origin)
	l.grow(f, 3, "a")
	f.Add(textOf(l.at(f, 3)))
	f.Add(textOf(l.at(f, 0)) + "more\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := witness.ParseCheckpoint(text)
		if err != nil {
			return
		}
		if want := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root); len(text) < len(want) || text[:len(want)] != want {
			t.Fatalf("%q is %+v", text, c)
		}
	})
}

// FuzzAddCheckpoint gives a witness anything: it has cosigned size 5, and only what its log has signed can be cosigned after that.
func FuzzAddCheckpoint(f *testing.F) {
	l := newLog(f, origin)
	l.grow(f, 12, "a")
	f.Add(l.request(f, 5, 9).Marshal())
	f.Add(l.request(f, 5, 5).Marshal())
	dir := f.TempDir()
	if _, err := witness.CreateKey(dir, "witness.example/w1"); err != nil {
		f.Fatal(err)
	}
	w, err := witness.Open(dir, []string{l.key}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.AddCheckpoint(f.Context(), l.request(f, 0, 5)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := witness.ParseRequest(body)
		if err != nil {
			return
		}
		if _, err := w.AddCheckpoint(t.Context(), r); err == nil {
			if text := textOf(r.Checkpoint); text != textOf(l.at(t, 5)) && text != textOf(l.at(t, 9)) {
				t.Fatalf("%q was cosigned", body)
			}
		}
	})
}

// FuzzParsePolicy asks that a policy that is read can be used.
func FuzzParsePolicy(f *testing.F) {
	l := newLog(f, origin)
	l.grow(f, 3, "a")
	_, members := hands(2)
	f.Add([]byte(members[0] + "\n" + members[1] + " https://w.example\nlog " + l.key + "\ngroup g 1 x0 x1\nquorum g\n"))
	f.Add([]byte("# x\nquorum none\n"))
	signed := l.at(f, 3)
	f.Fuzz(func(t *testing.T, data []byte) {
		policy, err := witness.ParsePolicy(data)
		if err != nil {
			if !errors.Is(err, witness.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if _, err := policy.Check(signed, l.verifier(t)); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
	})
}

// FuzzParseEvidence asks that evidence that is read is written with the same meaning, and convinces nobody by accident.
func FuzzParseEvidence(f *testing.F) {
	l := newLog(f, origin)
	l.grow(f, 9, "a")
	e := witness.Evidence{Origin: origin, Known: l.at(f, 5), Submitted: l.at(f, 9), Proof: l.proof(f, 5, 9), SeenAt: time.Unix(1_700_000_000, 0)}
	data, err := e.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := witness.ParseEvidence(data)
		if err != nil {
			return
		}
		text, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := witness.ParseEvidence(text)
		if diff := cmp.Diff(e, again); err != nil || diff != "" {
			t.Fatalf("%s: %v", diff, err)
		}
		if _, _, err := e.Verify(l.verifier(t)); err == nil {
			t.Fatalf("%q proves that an honest log has forked", data)
		}
	})
}

// FuzzAnswers gives a client anything that a witness could send.
func FuzzAnswers(f *testing.F) {
	l := newLog(f, origin)
	l.grow(f, 3, "a")
	h, now := newHand("w.example"), time.Unix(1_800_000_000, 0)
	text := textOf(l.at(f, 3))
	line := h.line(text, now.Unix())
	f.Add("text/x.tlog.size", "3\n")
	f.Add("text/plain", line)
	f.Add("", "\n"+line)
	member, err := witness.NewMember("w", h.key(), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, media, body string) {
		var conflict *witness.ConflictError
		if err := witness.ConflictOf(media, body); errors.As(err, &conflict) == errors.Is(err, witness.ErrAnswer) {
			t.Fatal(err)
		} else if conflict != nil && fmt.Sprintf("%d\n", conflict.Size) != body {
			t.Fatalf("%q is %d", body, conflict.Size)
		}
		cosigned, err := witness.VerifyAnswer(text, []byte(body), member, now)
		if err == nil && cosigned.Line() != line {
			t.Fatalf("%q was taken from %q", cosigned.Line(), body)
		}
	})
}
