package leaf

import (
	"crypto/sha256"
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

// Append writes the entry of a transaction.
func (t *Transaction) Append(dst []byte) []byte {
	dst = append(appendTime(append(dst, `{"at":"`...), t.At), '"')
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
		dst = t.Postings[i].append(dst)
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

// AppendTo adds the entry of a transaction to a bundle, as the function AppendTo does, and returns its leaf hash. It returns ErrTooLong and the bundle as it was.
func (t *Transaction) AppendTo(bundle []byte) ([]byte, Hash, error) {
	at := len(bundle)
	const prefix = 2 // The length; its last byte is 0 as yet, which is what a leaf is hashed behind.
	bundle = t.Append(append(bundle, make([]byte, prefix)...))
	size := len(bundle) - at - prefix
	if size > MaxSize {
		return bundle[:at], Hash{}, ErrTooLong
	}
	hash := sha256.Sum256(bundle[at+prefix-1:])
	binary.BigEndian.PutUint16(bundle[at:], uint16(size)) //nolint:gosec // checked above
	return bundle, hash, nil
}

func (p *Posting) append(dst []byte) []byte {
	dst = appendInt(append(dst, `{"amount":`...), p.Amount)
	dst = appendMember(dst, "asset", p.Asset)
	dst = appendAccount(append(dst, `,"from":`...), p.From, p.FromVersion)
	dst = appendAccount(append(dst, `,"to":`...), p.To, p.ToVersion)
	return append(dst, '}')
}
