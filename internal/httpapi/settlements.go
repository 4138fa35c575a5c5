package httpapi

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/settlement"
)

func (a *API) getSettlement(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	req := settlement.Request{Period: settlement.Period{From: orZeroTime(q.bound("from")), To: orZeroTime(q.bound("to"))}}
	format := word[wire.ReportFormat](q, "format")
	var err error
	if req.ProviderID, err = q.providerOf(principalOf(r.Context())); err != nil {
		return err
	}
	s, err := settlement.Of(r.Context(), a.Pool, req)
	if err != nil {
		return err
	}
	if format == wire.ReportFormatCSV {
		return answerSettlementCSV(w, s)
	}
	return answer(w, http.StatusOK, encodeSettlement(s))
}

// providerOf returns the provider that a call is about: the caller, or the one that staff name. It is asked for last, since it returns everything
// that is wrong with the parameters.
func (q *query) providerOf(p access.Principal) (uuid.UUID, error) {
	provider := q.id(id.Provider, "provider_id")
	if p.ProviderID == uuid.Nil && len(q.values["provider_id"]) == 0 {
		q.add("provider_id", "required", "Name the provider that is meant.")
	}
	if err := q.err(); err != nil {
		return uuid.Nil, err
	}
	if !own(&provider, p.ProviderID) {
		return uuid.Nil, settlement.ErrProviderNotFound
	}
	return provider, nil
}

// orZeroTime is the zero time for a parameter that is not there.
func orZeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func encodeSettlement(s *settlement.Statement) wire.Settlement {
	encoded := wire.Settlement{
		ProviderID: id.Format(id.Provider, s.ProviderID), From: s.From.UTC(), To: s.To.UTC(), Classes: make([]wire.SettlementClass, len(s.Classes)),
		Totals: wire.SettlementTotals{Hours: encodeSettledHours(s.Hours), Sch: encodeSettledTokens(s.Tokens)},
	}
	for i, c := range s.Classes {
		encoded.Classes[i] = wire.SettlementClass{GPUClass: c.GPUClass, Hours: encodeSettledHours(c.Hours), Sch: encodeSettledTokens(c.Tokens)}
	}
	return encoded
}

func millionths(n int64) string { return money.Format(n, money.MaxScale) }

func encodeSettledHours(f settlement.Figures) wire.SettlementHours {
	return wire.SettlementHours{
		Opening: millionths(f.Opening), Issued: millionths(f.Issued), Reversed: millionths(f.Reversed), Delivered: millionths(f.Delivered),
		Corrected: millionths(f.Corrected), Lapsed: millionths(f.Lapsed), Substituted: millionths(f.Substituted), Closing: millionths(f.Closing),
	}
}

func encodeSettledTokens(f settlement.Figures) wire.SettlementTokens {
	return wire.SettlementTokens{
		Opening: millionths(f.Opening), Issued: millionths(f.Issued), Reversed: millionths(f.Reversed), Delivered: millionths(f.Delivered),
		Corrected: millionths(f.Corrected), Lapsed: millionths(f.Lapsed), Closing: millionths(f.Closing),
	}
}

// answerSettlementCSV sends the classes only, since a reader of CSV adds them up itself.
func answerSettlementCSV(w http.ResponseWriter, s *settlement.Statement) error {
	records := [][]string{{"gpu_class", "unit", "opening", "issued", "reversed", "delivered", "corrected", "lapsed", "substituted", "closing"}}
	for _, c := range s.Classes {
		records = append(records, settlementRecord(c.GPUClass, "hours", c.Hours), settlementRecord(c.GPUClass, money.SCH, c.Tokens))
	}
	return answerRecords(w, "settlement.csv", records)
}

func settlementRecord(class, unit string, f settlement.Figures) []string {
	record := []string{class, unit}
	for _, n := range []int64{f.Opening, f.Issued, f.Reversed, f.Delivered, f.Corrected, f.Lapsed, f.Substituted, f.Closing} {
		record = append(record, millionths(n))
	}
	return record
}
