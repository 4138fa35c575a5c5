package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	maxBatch = 1000
	// maxBatchBytes has room for a thousand transfers with all the metadata that they may have.
	maxBatchBytes = 6 << 20
)

func (a *API) createTransferBatch(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateTransferBatchRequest
	if err := decodePlain(r, &req, readBatch); err != nil {
		return err
	}
	transfers, err := batchOf(principalOf(r.Context()), &req)
	if err != nil {
		return err
	}
	verdicts := a.Ledger.TransferBatch(r.Context(), transfers, req.Mode == wire.BatchModeAtomic)
	if err := commonFailure(verdicts); err != nil {
		return err
	}
	a.logFaults(r.Context(), verdicts)
	a.place(r.Context(), verdicts)
	buf := batchBuffers.Get().(*[]byte)
	defer batchBuffers.Put(buf)
	*buf = appendBatch((*buf)[:0], verdicts)
	return send(w, http.StatusOK, *buf)
}

// batchOf reads the transfers of a batch, and everything that is malformed in any of them.
func batchOf(p access.Principal, req *wire.CreateTransferBatchRequest) ([]*ledger.Transfer, error) {
	var f faults
	if n := len(req.Transfers); n < 1 || n > maxBatch {
		f.add("transfers", "invalid_value", "A batch has from 1 to 1,000 transfers.")
	}
	if f.present("mode", string(req.Mode)) && !req.Mode.Valid() {
		f.invalidValue("mode")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	room := make([]ledger.Transfer, len(req.Transfers))
	transfers := make([]*ledger.Transfer, len(req.Transfers))
	var found slots
	for i := range req.Transfers {
		f.item = i + 1
		item := &req.Transfers[i]
		t := &room[i]
		*t = f.transfer(item.FromAccount, item.ToAccount, item.Amount, item.Reference, item.Metadata)
		t.Owner, t.Caller, t.Digest = ownerOf(p), p.ID, f.itemKey(p, item.IdempotencyKey)
		transfers[i] = t
		if found.again(transfers[:i+1]) {
			f.add("idempotency_key", "duplicate_value", "Another transfer of the batch has the same key.")
		}
	}
	return transfers, f.err()
}

// slots is a table of the digests of a batch: in the slot that a digest's first bytes name, or the next one that is free, is the number of its transfer, from 1. Whoever
// makes keys whose digests want the same slot makes a batch of a thousand a millisecond slower.
type slots [2048]uint16

// again tells whether the digest of the last of these transfers is that of one before it, and adds it.
func (s *slots) again(transfers []*ledger.Transfer) bool {
	digest := &transfers[len(transfers)-1].Digest
	at := binary.BigEndian.Uint16(digest[:]) % uint16(len(s))
	for ; s[at] != 0; at = (at + 1) % uint16(len(s)) {
		if transfers[s[at]-1].Digest == *digest {
			return true
		}
	}
	s[at] = uint16(len(transfers)) //nolint:gosec // at most maxBatch
	return false
}

// itemKey returns the digest of the key of one transfer of a batch.
func (f *faults) itemKey(p access.Principal, key string) [16]byte {
	switch err := idempotency.ParseKey(key); {
	case errors.Is(err, idempotency.ErrMissing):
		f.add("idempotency_key", "required", "Each transfer of a batch needs a key of its own.")
	case err != nil:
		f.add("idempotency_key", "invalid_value", "The key must be 1 to 255 printable ASCII characters.")
	}
	return idempotency.Digest(p.ID, key)
}

// commonFailure returns the error that kept all of a batch from being tried: then it is that of the whole request.
func commonFailure(verdicts []ledger.Verdict) error {
	first := verdicts[0].Err
	for i := range verdicts {
		if err := verdicts[i].Err; err == nil || !errors.Is(err, first) || kindOf(err).status < http.StatusInternalServerError {
			return nil
		}
	}
	return first
}

// place finds the entries of what took effect earlier, since the promise for the batch is for those too. What was committed stays so whether or not they are found, so a
// failure is only logged.
func (a *API) place(ctx context.Context, verdicts []ledger.Verdict) {
	if a.Log == nil {
		return
	}
	if err := a.Log.Receipts.Places(ctx, verdicts); err != nil {
		a.logFault(ctx, err)
	}
}

// logFaults logs the first error of a batch that is not the caller's doing: the others are likely to be the same.
func (a *API) logFaults(ctx context.Context, verdicts []ledger.Verdict) {
	for i := range verdicts {
		if err := verdicts[i].Err; err != nil && kindOf(err).status >= http.StatusInternalServerError {
			a.logFault(ctx, err)
			return
		}
	}
}

var batchBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 512<<10); return &b }}

func appendBatch(b []byte, verdicts []ledger.Verdict) []byte {
	b = append(b, `{"results":[`...)
	for i := range verdicts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendResult(b, verdicts[i])
	}
	return append(b, `]}`...)
}

func appendResult(b []byte, v ledger.Verdict) []byte {
	if v.Err != nil {
		k := kindOf(v.Err)
		b = strconv.AppendInt(append(b, `{"status":`...), int64(k.status), 10)
		return append(append(append(b, `,"error":`...), k.document()...), '}')
	}
	b = append(b, `{"status":201,`...)
	if v.Replayed {
		b = append(b, `"replayed":true,`...)
	}
	if g := v.Entry.Group; g != nil {
		b = append(b, `"leaf_hash":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, g.Leaves[v.Entry.Index][:]), `",`...)
	}
	return append(appendTransfer(append(b, `"transfer":`...), v), '}')
}

// documents has the problem documents that stand within batches. There are as many as the error table has kinds.
var documents sync.Map

// document returns the kind as it stands within another answer, as JSON.
func (k kind) document() []byte {
	if made, ok := documents.Load(k); ok {
		return made.([]byte)
	}
	made, err := json.Marshal(k.problem().Filled(), canonical)
	if err != nil {
		panic("httpapi: a problem document cannot be encoded: " + err.Error())
	}
	documents.Store(k, made)
	return made
}
