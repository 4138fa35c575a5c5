package ledger

import (
	"context"
	"time"
)

// Supply is the token's circulation, in millionths of SCH.
type Supply struct {
	// Minted and Burned are all that ever went out of issuance and into it; what is left circulates. They are gross: a correction of a
	// redemption issues again, and the reversal of a mint takes back.
	Minted, Burned int64
	// Escrowed is the part that is being redeemed.
	Escrowed int64
	// Seq is the last of the journal that is in these figures.
	Seq  int64
	AsOf time.Time
}

// Outstanding is the tokens in circulation, those in escrow included.
func (s Supply) Outstanding() int64 { return s.Minted - s.Burned }

const supplySQL = `
SELECT COALESCE(sum(debits) FILTER (WHERE kind = 'issuance'), 0)::bigint,
       COALESCE(sum(credits) FILTER (WHERE kind = 'issuance'), 0)::bigint,
       COALESCE(sum(balance) FILTER (WHERE kind = 'escrow'), 0)::bigint,
       COALESCE((SELECT max(seq) FROM transactions), 0), ballast_now()
FROM accounts WHERE asset = 'SCH'`

// SupplyTx reads the supply in the caller's snapshot.
func SupplyTx(ctx context.Context, tx Querier) (s Supply, err error) {
	err = tx.QueryRow(ctx, supplySQL).Scan(&s.Minted, &s.Burned, &s.Escrowed, &s.Seq, &s.AsOf)
	s.AsOf = s.AsOf.UTC()
	return s, err
}
