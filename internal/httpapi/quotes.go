package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/problem"
)

// maxQuotes is how many quotes a request has at most. A file has room for more.
const maxQuotes = 1000

// enterQuotes keeps the quotes and computes the index again, in one transaction.
func (a *API) enterQuotes(w http.ResponseWriter, r *http.Request) error {
	var req wire.EnterQuotesRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if len(req.Quotes) == 0 || len(req.Quotes) > maxQuotes {
		return invalid("quotes", "invalid_value", "A request has 1 to 1,000 quotes.")
	}
	n := anchor.NewQuotes{Origin: anchor.QuotesFromAPI, EnteredBy: principalOf(r.Context()).ID, Quotes: make([]anchor.NewQuote, len(req.Quotes))}
	var f faults
	for i := range req.Quotes {
		n.Quotes[i] = decodeQuote(i+1, &req.Quotes[i], &f)
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		b, err := anchor.EnterQuotesTx(ctx, tx, n)
		if err != nil {
			return creation{}, err
		}
		policy, err := coverage.InForce(ctx, tx)
		if err != nil {
			return creation{}, err
		}
		if _, err := anchor.UpdateIndexTx(ctx, tx, policy.Index.Policy()); err != nil {
			return creation{}, err
		}
		answer := encodeQuoteBatch(b, len(n.Quotes))
		return creation{first: answer, kept: answer}, nil
	})
}

// decodeQuote leaves the values to the domain, where an empty text means that there is none; a request says that otherwise.
func decodeQuote(line int, q *wire.NewQuote, f *faults) anchor.NewQuote {
	given := func(field string, text *string) string {
		if text == nil {
			return ""
		}
		if *text == "" {
			f.invalidValue(quoteField(line, field))
		}
		return *text
	}
	n := anchor.NewQuote{
		Line: line,
		Quote: anchor.Quote{
			Source: q.Source, GPUClass: q.GPUClass, GPUCount: strconv.Itoa(int(q.GPUCount)), InstanceType: q.InstanceType, Region: q.Region,
			PriceUSD: given("price_usd_per_hour", q.PriceUsdPerHour), SpotUSD: given("spot_usd_per_hour", q.SpotUsdPerHour),
			Commit: given("catalog_commit", q.CatalogCommit),
		},
		Seller: given("seller", q.Seller),
	}
	if q.ObservedAt != nil {
		n.ObservedAt = q.ObservedAt.UTC().Format(time.RFC3339Nano)
	}
	return n
}

func quoteField(line int, field string) string {
	return "quotes[" + strconv.Itoa(line-1) + "]." + field
}

func encodeQuoteBatch(b anchor.QuoteBatch, sent int) wire.QuoteBatch {
	return wire.QuoteBatch{
		ID: id.Format(id.QuoteBatch, b.ID), Number: int32(b.Number), Quotes: int32(b.Quotes), //nolint:gosec // Batches are few, and quotes at most 1,000.
		Unchanged: int32(sent - b.Quotes), ReceivedAt: b.ReceivedAt.UTC(), //nolint:gosec // As above.
	}
}

// quoteFaults names the fields of the quotes of a request.
func quoteFaults(e *anchor.QuotesError) []problem.FieldError {
	fields := make([]problem.FieldError, len(e.Faults))
	for i, f := range e.Faults {
		field := f.Field
		if f.Line > 0 {
			field = quoteField(f.Line, f.Field)
		}
		fields[i] = problem.FieldError{Field: field, Code: f.Code, Detail: f.Detail}
	}
	return fields
}
