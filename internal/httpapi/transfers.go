package httpapi

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func (a *API) createTransfer(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateTransferRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	key, digest := idempotencyOf(r.Context())
	var f faults
	t := f.transfer(req.FromAccount, req.ToAccount, req.Amount, req.Reference, req.Metadata)
	if err := f.err(); err != nil {
		return err
	}
	t.Owner, t.Caller, t.Digest = ownerOf(principalOf(r.Context())), key.Caller, digest
	v := a.Ledger.Transfer(r.Context(), &t)
	if v.Err != nil {
		return v.Err
	}
	markReplayed(w, v.Replayed)
	buf := answerBuffers.Get().(*[]byte)
	defer answerBuffers.Put(buf)
	*buf = appendTransfer((*buf)[:0], v)
	return send(w, http.StatusCreated, *buf)
}

var answerBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// ownerOf is whose accounts a caller may use: a holder only their own; an operator everybody's, for which the ledger has
// the nil UUID.
func ownerOf(p access.Principal) uuid.UUID { return p.HolderID }

// transfer reads the fields that a transfer has alone as well as in a batch. Caller, key and owner are left to be set.
func (f *faults) transfer(from, to, amount string, reference *string, metadata wire.Metadata) ledger.Transfer {
	t := ledger.Transfer{
		From: f.id(id.Account, "from_account", from), To: f.id(id.Account, "to_account", to),
		Amount: f.quantity("amount", amount), Reference: f.optionalText("reference", reference, maxReference),
		Metadata: f.metadata(metadata),
	}
	t.Request = transferDigest(&t, amount)
	return t
}

// transferDigest names what a transfer asks for, whether it comes alone or in a batch. Its form is part of what the journal
// keeps for ever: amounts in millionths, however they were written; one that is out of range as it was written, since it
// never takes effect.
func transferDigest(t *ledger.Transfer, amountText string) uuid.UUID {
	var amount [8]byte
	quantity := []byte(nil)
	if micros, err := t.Amount.Minor(money.MaxScale); err == nil {
		binary.BigEndian.PutUint64(amount[:], uint64(micros)) //nolint:gosec // Positive.
		quantity = amount[:]
	} else {
		quantity = []byte(amountText)
	}
	return idempotency.RequestDigest("POST /v1/transfers", t.From[:], t.To[:], quantity, []byte(t.Reference), t.Metadata)
}

// appendTransfer writes a transfer that took effect, as JSON. It is written by hand since the two calls that answer with it are the
// ones whose speed matters, with a mint's; a test compares it with the contract's type.
func appendTransfer(b []byte, v ledger.Verdict) []byte {
	t := v.Transaction
	p := &t.Postings[0]
	scale := money.Scale(p.Asset)
	b = id.Append(append(b, `{"id":"`...), id.Txn, t.ID)
	b = strconv.AppendInt(append(b, `","seq":`...), t.Seq, 10)
	b = id.Append(append(b, `,"kind":"transfer","from_account":"`...), id.Account, p.From)
	b = id.Append(append(b, `","to_account":"`...), id.Account, p.To)
	b = append(append(b, `","asset":"`...), p.Asset...)
	b = money.Append(append(b, `","amount":"`...), p.Amount, scale)
	b = money.Append(append(b, `","from_balance":"`...), p.FromBalance, scale)
	b = appendTextOrNull(append(b, `","reference":`...), t.Reference)
	b = appendMetadata(append(b, `,"metadata":`...), v)
	b = t.CreatedAt.AppendFormat(append(b, `,"created_at":"`...), time.RFC3339Nano)
	return append(b, `"}`...)
}

func appendTextOrNull(b []byte, text string) []byte {
	if text == "" {
		return append(b, "null"...)
	}
	b, _ = jsontext.AppendQuote(b, text) // The text was valid Unicode when it was decoded.
	return b
}

// appendMetadata writes metadata in its canonical form: as it was decoded, and, where it comes from the database, as it was then.
func appendMetadata(b []byte, v ledger.Verdict) []byte {
	metadata := v.Transaction.Metadata
	switch {
	case len(metadata) == 0:
		return append(b, "{}"...)
	case v.Replayed:
		metadata = canonicalMetadata(metadataOf(metadata))
	}
	return append(b, metadata...)
}
