package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/translog"
)

const (
	logPrefix = "/log/"
	// What never changes may be kept for ever; a checkpoint is news for a second.
	forEver  = "public, max-age=31536000, immutable"
	asNews   = "public, max-age=1"
	textType = "text/plain; charset=utf-8"
)

// getLogFile sends a file of the log as it is published.
func (a *API) getLogFile(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, logPrefix)
	data, err := a.Log.File(name)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*") // It is for everybody to check, from any page.
	if strings.HasPrefix(name, "tile/") {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Cache-Control", forEver)
	} else {
		h.Set("Content-Type", textType)
		h.Set("Cache-Control", asNews)
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	_, err = w.Write(data) //nolint:gosec // What a browser may take it for, its type says, and nosniff.
	return err
}

func (a *API) getReceipt(w http.ResponseWriter, r *http.Request) error {
	transaction, err := pathID(r, id.Txn, "transaction_id")
	if err != nil {
		return err
	}
	q := queryOf(r)
	format := word[wire.ReceiptFormat](q, "format")
	if err := q.err(); err != nil {
		return err
	}
	if a.Log == nil {
		return translog.ErrNoLog
	}
	t, err := a.Ledger.Transaction(r.Context(), transaction)
	if err != nil {
		return err
	}
	s, err := a.sightOf(r.Context())
	if err != nil {
		return err
	}
	if !s.seesAnyOf(t) {
		return ledger.ErrTransactionNotFound
	}
	receipt, err := a.Log.Receipts.Of(r.Context(), t, s.sees)
	if err != nil {
		return err
	}
	if format == wire.ReceiptFormatProof {
		return sendProof(w, receipt)
	}
	return answer(w, http.StatusOK, encodeReceipt(t.ID, &receipt))
}

// sendProof sends the tlog-proof by itself, for a verifier's file.
func sendProof(w http.ResponseWriter, receipt translog.Receipt) error {
	if receipt.Proof == nil {
		return translog.ErrNotPublished
	}
	w.Header().Set("Content-Type", textType)
	_, err := w.Write(receipt.Proof)
	return err
}

func encodeReceipt(transaction uuid.UUID, r *translog.Receipt) wire.Receipt {
	encoded := wire.Receipt{
		TransactionID: id.Format(id.Txn, transaction), State: wire.ReceiptState(r.State),
		Entry: string(r.Entry), LeafHash: r.LeafHash(), Promise: r.Promise,
	}
	if r.Proof != nil {
		proof, index := string(r.Proof), r.Index
		encoded.Proof, encoded.Index = &proof, &index
	}
	return encoded
}

// promiseHeader has the log's promises.
const promiseHeader = "Ballast-Promise"

// promising has an answer say what the log promises of all that the request has entered in the journal. An answer that the handler leaves to the error table says nothing of it.
func (a *API) promising(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		x := exchangeOf(r.Context())
		x.promises = a
		x.request = r
		defer func() { x.promises = nil }()
		return next(w, r)
	}
}

// promise adds the promises to a header that is about to be sent. What was committed stays so whether or not it can be promised, so a failure is only logged.
func (a *API) promise(x *exchange) {
	verdicts := x.made.Verdicts()
	if len(verdicts) == 0 {
		return
	}
	if len(verdicts) == 1 {
		if told := verdicts[0].Entry.Told(); told != nil {
			x.Header()[promiseHeader] = told
			return
		}
	}
	promise, err := a.promiseOf(x.request.Context(), verdicts)
	if err != nil {
		a.logFault(x.request.Context(), err)
		return
	}
	x.Header()[promiseHeader] = []string{promise}
}

func (a *API) promiseOf(ctx context.Context, verdicts []*ledger.Verdict) (string, error) {
	if len(verdicts) == 1 {
		return a.Log.Promise(ctx, *verdicts[0])
	}
	places := make([]leaf.Place, len(verdicts))
	for i, v := range verdicts {
		var err error
		if places[i], err = a.Log.Receipts.Place(ctx, *v); err != nil {
			return "", err
		}
	}
	return a.Log.Key.Promises().OfAll(places)
}
