package leaf

import (
	"encoding/binary"
	"time"
)

// Transaction is what an entry says of one transaction of the journal.
type Transaction struct {
	// ID, Subject and Epoch are TypeIDs; Subject and Epoch may be empty.
	ID, Subject, Epoch string
	Kind               string
	Seq                int64
	// Reverses is the seq of the transaction that it undoes, or 0.
	Reverses int64
	At       time.Time
	Postings []Posting
}

// Posting is one amount, in minor units, on its way from one account to another.
type Posting struct {
	Asset                  string
	Amount                 int64
	From, To               *Account
	FromVersion, ToVersion int64
}

// Writer writes entries of transactions one behind the other. The zero value is ready for use. What the entries of a group have in common, their time, it formats once.
type Writer struct {
	hasher *Hasher
	at     time.Time
	// text is at as entries have it.
	text []byte
}

// AppendTo adds the entry of a transaction to a bundle, as the function AppendTo does, and returns its leaf hash. It returns ErrTooLong and the bundle as it was.
func (w *Writer) AppendTo(bundle []byte, t *Transaction) ([]byte, Hash, error) {
	at := len(bundle)
	const prefix = 2 // The length.
	bundle = w.append(append(bundle, 0, 0), t)
	size := len(bundle) - at - prefix
	if size > MaxSize {
		return bundle[:at], Hash{}, ErrTooLong
	}
	hash := w.hasher.Leaf(bundle[at+prefix:])
	binary.BigEndian.PutUint16(bundle[at:], uint16(size)) //nolint:gosec // checked above
	return bundle, hash, nil
}

// append writes the entry of a transaction.
func (w *Writer) append(dst []byte, t *Transaction) []byte {
	if w.hasher == nil {
		w.hasher = NewHasher()
	}
	dst = append(append(append(dst, `{"at":"`...), w.instant(t.At)...), '"')
	if t.Epoch != "" {
		dst = appendMember(dst, "epoch", t.Epoch)
	}
	dst = appendMember(dst, "id", t.ID)
	dst = appendMember(dst, "kind", t.Kind)
	dst = append(dst, `,"postings":[`...)
	for i := range t.Postings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = t.Postings[i].append(dst, w.hasher)
	}
	dst = append(dst, ']')
	if t.Reverses != 0 {
		dst = appendInt(append(dst, `,"reverses":`...), t.Reverses)
	}
	dst = appendInt(append(dst, `,"seq":`...), t.Seq)
	if t.Subject != "" {
		dst = appendMember(dst, "subject", t.Subject)
	}
	return append(dst, `,"type":"transaction","v":"1"}`...)
}

func (w *Writer) instant(at time.Time) []byte {
	if len(w.text) == 0 || !w.at.Equal(at) {
		w.at, w.text = at, appendTime(w.text[:0], at)
	}
	return w.text
}

func (p *Posting) append(dst []byte, h *Hasher) []byte {
	dst = appendInt(append(dst, `{"amount":`...), p.Amount)
	dst = appendMember(dst, "asset", p.Asset)
	dst = appendAccount(append(dst, `,"from":`...), h, p.From, p.FromVersion)
	dst = appendAccount(append(dst, `,"to":`...), h, p.To, p.ToVersion)
	return append(dst, '}')
}
