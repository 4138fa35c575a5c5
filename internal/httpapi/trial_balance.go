package httpapi

import (
	"bytes"
	"encoding/csv"
	"net/http"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func (a *API) getTrialBalance(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	at, format := q.moment("at"), word[wire.ReportFormat](q, "format")
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Ledger.TrialBalance(r.Context(), at)
	if err != nil {
		return err
	}
	tb := encodeTrialBalance(found)
	if format == wire.ReportFormatCSV {
		return answerCSV(w, &tb)
	}
	return answer(w, http.StatusOK, tb)
}

func encodeTrialBalance(tb *ledger.TrialBalance) wire.TrialBalance {
	encoded := wire.TrialBalance{
		AsOf: tb.AsOf, Seq: tb.Seq,
		Rows: make([]wire.TrialBalanceRow, len(tb.Rows)), Totals: make([]wire.TrialBalanceTotal, len(tb.Totals)),
	}
	for i, row := range tb.Rows {
		scale := money.Scale(row.Asset)
		encoded.Rows[i] = wire.TrialBalanceRow{
			AccountType: wire.AccountKind(row.Kind), Asset: row.Asset, Debit: money.Format(row.Debit, scale),
			Credit: money.Format(row.Credit, scale), Balance: money.Format(row.Balance, scale),
		}
	}
	for i, total := range tb.Totals {
		scale := money.Scale(total.Asset)
		encoded.Totals[i] = wire.TrialBalanceTotal{
			Asset: total.Asset, Debit: money.Format(total.Debit, scale), Credit: money.Format(total.Credit, scale),
		}
	}
	return encoded
}

// answerCSV sends the rows only, since a reader of CSV adds them up itself.
func answerCSV(w http.ResponseWriter, tb *wire.TrialBalance) error {
	records := [][]string{{"account_type", "asset", "debit", "credit", "balance"}}
	for _, row := range tb.Rows {
		records = append(records, []string{string(row.AccountType), row.Asset, row.Debit, row.Credit, row.Balance})
	}
	return answerRecords(w, "trial-balance.csv", records)
}

// answerRecords sends a file of CSV whose first record is its header. Nothing in it may be text from outside, which a spreadsheet could
// take for a formula: only the books' own words.
func answerRecords(w http.ResponseWriter, name string, records [][]string) error {
	var buf bytes.Buffer
	if err := csv.NewWriter(&buf).WriteAll(records); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, err := w.Write(buf.Bytes())
	return err
}
