package verify

import (
	"fmt"

	"github.com/ballast-compute/ballast/internal/verify/replay"
)

// BooksJSON is what the entries say in all, as --json has it.
type BooksJSON struct {
	Entries       uint64            `json:"entries"`
	ByType        map[string]uint64 `json:"by_type"`
	ByKind        map[string]uint64 `json:"by_kind"`
	Postings      uint64            `json:"postings"`
	Minted        string            `json:"minted"`
	Burned        string            `json:"burned"`
	Supply        string            `json:"supply"`
	Escrow        string            `json:"in_redemption"`
	Outstanding   string            `json:"outstanding"`
	CollateralSCH string            `json:"collateral_sch"`
	Collateral    []CollateralJSON  `json:"collateral"`
	Epoch         int64             `json:"epoch"`
	Pledges       int               `json:"pledges"`
	SignedPledges uint64            `json:"signed_pledges"`
	Providers     int               `json:"providers"`
	Liabilities   uint64            `json:"liability_proofs"`
	Shortfalls    []ShortfallJSON   `json:"shortfalls"`
	ShortfallRuns uint64            `json:"shortfall_runs"`
	Unsigned      uint64            `json:"unsigned_after_a_key"`
	Unconfirmed   []uint64          `json:"activations_without_their_entry,omitempty"`
	View          *ViewJSON         `json:"view,omitempty"`
}

// CollateralJSON is what hours of one class are worth.
type CollateralJSON struct {
	GPUClass string `json:"gpu_class"`
	Hours    string `json:"hours"`
	K        string `json:"k"`
	SCH      string `json:"sch"`
}

// ShortfallJSON is a run of entries during which not all tokens were covered.
type ShortfallJSON struct {
	From        uint64 `json:"from"`
	Until       uint64 `json:"until"`
	Open        bool   `json:"open"`
	Cause       string `json:"cause"`
	WorstAt     uint64 `json:"worst_at"`
	Collateral  string `json:"collateral_sch"`
	Outstanding string `json:"outstanding"`
}

// ViewJSON is what came of a view.
type ViewJSON struct {
	Size      uint64 `json:"size"`
	Accounts  uint64 `json:"accounts"`
	Opened    uint64 `json:"opened"`
	Closed    uint64 `json:"closed"`
	ClosedSCH string `json:"closed_sch"`
	Later     uint64 `json:"after_the_view"`
}

func booksJSON(s *replay.Summary) *BooksJSON {
	if s == nil {
		return nil
	}
	out := &BooksJSON{
		Entries: s.Entries, ByType: map[string]uint64{}, ByKind: map[string]uint64{}, Postings: s.Postings,
		Minted: sch(s.Minted), Burned: sch(s.Burned), Supply: sch(s.Supply()), Escrow: sch(s.Escrow), Outstanding: sch(s.Outstanding()),
		CollateralSCH: sch(s.CollateralSCH), Collateral: []CollateralJSON{}, Epoch: s.Epoch, Pledges: s.Pledges, SignedPledges: s.SignedPledges,
		Providers: s.Providers, Liabilities: s.Liabilities, Shortfalls: []ShortfallJSON{}, ShortfallRuns: s.ShortfallCount, Unsigned: s.Unsigned, Unconfirmed: s.Unconfirmed,
	}
	for i, name := range replay.TypeNames() {
		out.ByType[name] = s.ByType[i]
	}
	for i, name := range replay.KindNames() {
		out.ByKind[name] = s.ByKind[i]
	}
	for _, c := range s.Collateral {
		out.Collateral = append(out.Collateral, CollateralJSON{c.GPUClass, sch(c.Hours), sch(c.K), sch(c.SCH)})
	}
	for _, f := range s.Shortfalls {
		out.Shortfalls = append(out.Shortfalls, ShortfallJSON{f.From, f.Until, f.Open, f.Cause, f.WorstAt, sch(f.Collateral), sch(f.Outstanding)})
	}
	if v := s.View; v != nil {
		out.View = &ViewJSON{v.Size, v.Accounts, v.Opened, v.Closed, sch(v.ClosedSCH), v.Later}
	}
	return out
}

// sch writes millionths as a decimal.
func sch(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%06d", sign, n/1_000_000, n%1_000_000)
}
