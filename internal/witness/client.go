package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The bounds of asking one witness.
const (
	// maxAnswerBytes bounds an answer: a few signatures, of which the largest have 5 kB.
	maxAnswerBytes = 32 << 10
	// maxAsks is how often one witness is asked about one checkpoint: once, again from the size that it named, and once more if others
	// have asked in between.
	maxAsks = 3
	// maxAhead is how far a witness's clock may be ahead of this one.
	maxAhead = 5 * time.Minute
	// idlePerWitness connections are kept for the next checkpoint.
	idlePerWitness = 2
)

var (
	// ErrAnswer is returned for an answer that is not one of tlog-witness, or has no cosignature that the witness's key verifies.
	ErrAnswer = errors.New("witness: not an answer of a witness")
	// ErrAhead is returned if the witness has cosigned a larger checkpoint than the one that it was asked about.
	ErrAhead = errors.New("witness: it knows a larger checkpoint already")
	// ErrURL is returned for a witness without a URL that can be called.
	ErrURL = errors.New("witness: it has no URL of http or https")
)

// StatusError is returned for an answer that refuses: 400, 403, 404 and 422 mean what tlog-witness says, others that the witness is in trouble.
type StatusError struct {
	Status int
}

func (e *StatusError) Error() string { return fmt.Sprintf("witness: it answered %d", e.Status) }

// ProofFunc returns the consistency proof between two sizes of the log, from above zero to above that. It may be called from several goroutines.
type ProofFunc func(ctx context.Context, from, to uint64) ([]tlog.Hash, error)

// Cosignature is a witness's signature that has been verified.
type Cosignature struct {
	// Signature is what the note has.
	Signature note.Signature
	// At is when the witness says that it signed, in whole seconds.
	At time.Time
}

// Line returns the cosignature as a line of a signed note.
func (c Cosignature) Line() string {
	return "— " + c.Signature.Name + " " + c.Signature.Base64 + "\n"
}

// Client asks witnesses. It may be used from many goroutines.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// NewClient returns a client that gives one witness this much time for all of an answer. It follows no redirects and
// uses no proxy.
func NewClient(timeout time.Duration) *Client {
	return &Client{timeout: timeout, http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			ForceAttemptHTTP2: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeaderBytes,
			MaxIdleConnsPerHost: idlePerWitness, IdleConnTimeout: idle, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
		},
	}}
}

// Close lets go of connections that wait for the next checkpoint.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ask asks a witness to cosign a signed checkpoint, with a proof from the last size that it is known to have, 0 if none is. If the witness names another
// size, it is asked again from there. It returns the size that the witness now has, as far as it has said, and the cosignature; or [ErrURL], [ErrMalformed] for
// a checkpoint that is none, [ErrAhead], a [*StatusError], [ErrAnswer], what the proof's function returns, or the network's errors.
func (c *Client) Ask(ctx context.Context, member Member, signed []byte, known uint64, prove ProofFunc) (Cosignature, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	text, err := textOf(signed)
	if err != nil {
		return Cosignature{}, known, err
	}
	checkpoint, err := ParseCheckpoint(text)
	if err != nil {
		return Cosignature{}, known, err
	}
	for range maxAsks {
		known = min(known, checkpoint.Size)
		r := Request{Old: known, Checkpoint: signed}
		if known > 0 && known < checkpoint.Size {
			if r.Proof, err = prove(ctx, known, checkpoint.Size); err != nil {
				return Cosignature{}, known, fmt.Errorf("the proof from %d to %d: %w", known, checkpoint.Size, err)
			}
		}
		body, err := c.post(ctx, member.URL, r)
		var conflict *ConflictError
		switch {
		case err == nil:
			cosigned, err := verifyAnswer(text, body, member.verifier, time.Now())
			if err == nil {
				known = checkpoint.Size
			}
			return cosigned, known, err
		case !errors.As(err, &conflict):
			return Cosignature{}, known, err
		case conflict.Size > checkpoint.Size:
			return Cosignature{}, conflict.Size, ErrAhead
		case conflict.Size == known:
			return Cosignature{}, known, fmt.Errorf("%w: it asks for what it was given", ErrAnswer)
		}
		known = conflict.Size
	}
	return Cosignature{}, known, fmt.Errorf("%w: it names another size each time", ErrAnswer)
}

// post returns the body of a 200, a [*ConflictError] of a 409, or another error.
func (c *Client) post(ctx context.Context, prefix string, r Request) ([]byte, error) {
	target, err := url.Parse(prefix)
	if err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" {
		return nil, ErrURL
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.JoinPath("add-checkpoint").String(), bytes.NewReader(r.Marshal()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, err
	}
	switch {
	case len(body) > maxAnswerBytes:
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrAnswer, maxAnswerBytes)
	case answer.StatusCode == http.StatusConflict:
		return nil, conflictOf(answer.Header.Get("Content-Type"), string(body))
	case answer.StatusCode != http.StatusOK:
		return nil, &StatusError{Status: answer.StatusCode}
	}
	return body, nil
}

// conflictOf returns the [*ConflictError] that a 409 stands for, or [ErrAnswer].
func conflictOf(contentType, body string) error {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != sizeMediaType {
		return fmt.Errorf("%w: a conflict without a size", ErrAnswer)
	}
	text, ended := strings.CutSuffix(body, "\n")
	size, err := parseSize(text)
	if err != nil || !ended {
		return fmt.Errorf("%w: a conflict without a size", ErrAnswer)
	}
	return &ConflictError{Size: size}
}

// verifyAnswer finds the witness's cosignature in lines that are to be signatures of a note's text. Others are ignored.
func verifyAnswer(text string, lines []byte, verifier note.Verifier, now time.Time) (Cosignature, error) {
	n, err := note.Open(append([]byte(text+"\n"), lines...), note.VerifierList(verifier))
	// A line that is empty would make another text of it.
	if err != nil || n.Text != text || len(n.Sigs) != 1 {
		return Cosignature{}, fmt.Errorf("%w: no cosignature of its key", ErrAnswer)
	}
	at, err := timeOf(n.Sigs[0])
	if err != nil || at.After(now.Add(maxAhead)) {
		return Cosignature{}, fmt.Errorf("%w: a time that cannot be", ErrAnswer)
	}
	return Cosignature{Signature: n.Sigs[0], At: at}, nil
}

// timeOf returns a cosignature's time, which must be one: zero stands for none.
func timeOf(sig note.Signature) (time.Time, error) {
	at, err := cosignature.CoSigV1Timestamp(sig)
	if err != nil || at.Unix() <= 0 {
		return time.Time{}, ErrAnswer
	}
	return at.UTC(), nil
}
