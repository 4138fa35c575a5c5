package anchor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// QuoteOrigin says how quotes came in.
type QuoteOrigin string

// The origins of quotes.
const (
	QuotesFromAPI  QuoteOrigin = "api"
	QuotesFromFile QuoteOrigin = "file"
	QuotesFromSeed QuoteOrigin = "seed"
)

// NewQuotes is a batch of quotes to enter, which is taken whole or not at all.
type NewQuotes struct {
	Quotes []NewQuote
	Origin QuoteOrigin
	// EnteredBy is the principal who enters them, or the nil UUID where there is none.
	EnteredBy uuid.UUID
}

// QuoteBatch is quotes that were entered together.
type QuoteBatch struct {
	ID uuid.UUID
	// Number is its place among all batches, from 1 without a gap.
	Number     int
	ReceivedAt time.Time
	// Quotes is how many came in that say something new.
	Quotes int
	// Replayed says that a file with the same quotes was taken before: this is its batch, and nothing was added.
	Replayed bool
}

// EnterQuotesTx keeps a batch of quotes. What only repeats, word for word, what was said last of the same offer and time is not
// kept again, so that a price can be corrected, and corrected back; and a file with the same contents as one that was taken before is not taken again. It returns a *QuotesError
// that names every fault, and nothing is kept then.
func EnterQuotesTx(ctx context.Context, tx pgx.Tx, n NewQuotes) (QuoteBatch, error) {
	faults := &QuotesError{}
	if len(n.Quotes) == 0 {
		faults.add(0, "quotes", "required", "There are no quotes.")
	}
	return enterTx(ctx, tx, n, faults)
}

// ImportQuotes enters a file of quotes in a transaction of its own. Quotes for which the file has no time are taken to be
// observed at observedAt, or when they are entered if that is zero. It returns a *QuotesError that names every line at fault,
// and nothing is kept then.
func ImportQuotes(ctx context.Context, db pg.Beginner, file []byte, observedAt time.Time) (b QuoteBatch, err error) {
	quotes, err := ParseQuoteFile(file)
	faults, broken := errors.AsType[*QuotesError](err)
	if !broken {
		faults = &QuotesError{}
	}
	for i := range quotes {
		if quotes[i].ObservedAt == "" && !observedAt.IsZero() {
			quotes[i].ObservedAt = observedAt.UTC().Format(time.RFC3339Nano)
		}
	}
	err = pg.InTx(ctx, db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		found := &QuotesError{Faults: slices.Clone(faults.Faults)}
		b, err = enterTx(ctx, tx, NewQuotes{Quotes: quotes, Origin: QuotesFromFile}, found)
		return err
	})
	return b, err
}

// enterTx adds to the faults that there are already.
func enterTx(ctx context.Context, tx pgx.Tx, n NewQuotes, faults *QuotesError) (QuoteBatch, error) {
	classes, now, err := selectClassNames(ctx, tx)
	if err != nil {
		return QuoteBatch{}, err
	}
	asks := parseAsks(n.Quotes, classes, now, faults)
	if len(faults.Faults) > 0 {
		slices.SortStableFunc(faults.Faults, func(a, b QuoteFault) int { return cmp.Compare(a.Line, b.Line) })
		return QuoteBatch{}, faults
	}
	content, err := contentOf(n.Quotes)
	if err != nil {
		return QuoteBatch{}, err
	}
	if err := lockBatches(ctx, tx); err != nil {
		return QuoteBatch{}, err
	}
	if n.Origin != QuotesFromAPI {
		if known, err := selectBatch(ctx, tx, content); err != nil || known.Replayed {
			return known, err
		}
	}
	return insertBatch(ctx, tx, n, content, asks)
}

// contentOf is the hash by which a file is recognised: of what it says, and not of how it is written down.
func contentOf(quotes []NewQuote) ([]byte, error) {
	said := make([][]string, len(quotes))
	for i, q := range quotes {
		said[i] = []string{
			q.Source, q.Seller, q.GPUClass, q.GPUCount, q.InstanceType, q.Region, q.PriceUSD, q.SpotUSD, q.Commit, q.ObservedAt,
		}
	}
	slices.SortFunc(said, slices.Compare)
	text, err := json.Marshal(said)
	if err != nil {
		return nil, fmt.Errorf("anchor: hash quotes: %w", err)
	}
	hash := sha256.Sum256(text)
	return hash[:], nil
}
