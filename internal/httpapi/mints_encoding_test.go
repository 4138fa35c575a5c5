package httpapi

import (
	"math"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// The encoder that is written by hand says, byte by byte, what the generated type does.
func TestMintsAreWrittenAsTheContractHasThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := func(label string) int64 { return rapid.Int64Range(1, math.MaxInt64).Draw(t, label) }
		m := providers.Mint{
			Transaction: &ledger.Transaction{
				Seq: amount("seq"), ID: drawUUID(t, "id"), Kind: ledger.KindMint, Subject: drawUUID(t, "pledge"), Epoch: drawUUID(t, "epoch"),
				CreatedAt: time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")), Reference: rapid.String().Draw(t, "reference"),
			},
			AccountID: drawUUID(t, "account"), Amount: amount("amount"), BackingHours: amount("hours"),
		}
		m.PledgeID, m.EpochID = m.Transaction.Subject, m.Transaction.Epoch
		if metadata := rapid.MapOfN(rapid.String(), rapid.String(), 0, 5).Draw(t, "metadata"); len(metadata) > 0 {
			m.Transaction.Metadata = canonicalMetadata(metadata)
		}
		s := sight{all: rapid.Bool().Draw(t, "sees all"), own: make(map[uuid.UUID]struct{})}
		for range rapid.IntRange(0, 4).Draw(t, "postings") {
			p := ledger.Posting{
				From: drawUUID(t, "from"), To: drawUUID(t, "to"), Asset: rapid.SampledFrom([]string{money.SCH, money.USD, "GPUH:H100-SXM-80GB"}).Draw(t, "asset"),
				Amount: amount("amount"), FromBalance: rapid.Int64().Draw(t, "balance"), FromVersion: amount("version"),
				ToBalance: rapid.Int64().Draw(t, "balance"), ToVersion: amount("version"),
			}
			m.Transaction.Postings = append(m.Transaction.Postings, p)
			for _, account := range []uuid.UUID{p.From, p.To} {
				if rapid.Bool().Draw(t, "its own") {
					s.own[account] = struct{}{}
				}
			}
		}
		want, err := json.Marshal(mintOf(&m, s), canonical)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendMint(nil, &m, s, rapid.Bool().Draw(t, "replayed")); string(got) != string(want) {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// mintOf is a mint as the generated type has it.
func mintOf(m *providers.Mint, s sight) wire.Mint {
	t := encodeTransaction(m.Transaction, uuid.Nil, s)
	return wire.Mint{
		AccountID: id.Format(id.Account, m.AccountID), Amount: money.Format(m.Amount, money.MaxScale),
		BackingHours: money.Format(m.BackingHours, money.MaxScale), PledgeID: id.Format(id.Pledge, m.PledgeID),
		EpochID: id.Format(id.Epoch, m.EpochID), ID: t.ID, Seq: t.Seq, Kind: t.Kind, Reference: t.Reference, Metadata: t.Metadata,
		Reverses: t.Reverses, ReversedBy: t.ReversedBy, Reason: t.Reason, HoldID: t.HoldID, RedemptionID: t.RedemptionID,
		CreatedAt: t.CreatedAt, Postings: t.Postings,
	}
}
