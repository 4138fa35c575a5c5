package anchor

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

// maxFixingsAtOnce bounds what one transaction catches up with.
const maxFixingsAtOnce = 100

// fixing is one computation of the index of all classes.
type fixing struct {
	number int
	at     time.Time
	// batches is how many batches of quotes were known.
	batches int
	method  string
	policy  IndexPolicy
	inputs  []byte
}

// UpdateIndex makes the fixings that are due: one for every midnight UTC that has passed since the last, and one for quotes that have
// come in since. It may be called at any time and by any number of processes: each fixing is made once. It returns how
// many it made.
func UpdateIndex(ctx context.Context, db pg.Beginner, p IndexPolicy) (made int, err error) {
	for {
		var n int
		err = pg.InTx(ctx, db, pgx.TxOptions{}, func(tx pgx.Tx) error {
			n, err = UpdateIndexTx(ctx, tx, p)
			return err
		})
		if made += n; err != nil || n < maxFixingsAtOnce {
			return made, err
		}
	}
}

// UpdateIndexTx is UpdateIndex in the caller's transaction, for as many fixings as fit into one. It waits for those who
// enter quotes.
func UpdateIndexTx(ctx context.Context, tx pgx.Tx, p IndexPolicy) (made int, err error) {
	return updateIndexTx(ctx, tx, p, IndexMethod)
}

func updateIndexTx(ctx context.Context, tx pgx.Tx, p IndexPolicy, method string) (made int, err error) {
	if _, due, err := dueFixings(ctx, tx); err != nil || len(due) == 0 {
		return 0, err
	}
	if err := lockBatches(ctx, tx); err != nil { // One at a time makes fixings, too.
		return 0, err
	}
	last, due, err := dueFixings(ctx, tx)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	x, err := newIndexer(ctx, tx, last)
	if err != nil {
		return 0, err
	}
	for _, f := range due {
		f.method, f.policy = method, p
		values, err := x.fix(ctx, tx, &f)
		if err != nil {
			return 0, err
		}
		if err := insertFixing(ctx, tx, f, values); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

// dueFixings returns the last fixing, whose number is 0 if there is none, and those that are due: the midnights since then, and now if there are quotes that
// none of them would have seen. While there are no quotes at all, nothing is due.
func dueFixings(ctx context.Context, tx pgx.Tx) (after fixing, due []fixing, err error) {
	after, now, err := selectLastFixing(ctx, tx)
	if err != nil {
		return after, nil, err
	}
	last := after
	known, err := selectBatches(ctx, tx, now)
	if err != nil || known == 0 {
		return after, nil, err
	}
	if after.number > 0 {
		for at := last.at.Truncate(day).Add(day); !at.After(now) && len(due) < maxFixingsAtOnce; at = at.Add(day) {
			batches, err := selectBatches(ctx, tx, at)
			if err != nil {
				return after, nil, err
			}
			last = fixing{number: last.number + 1, at: at, batches: max(last.batches, batches)}
			due = append(due, last)
		}
	}
	if len(due) < maxFixingsAtOnce && known > last.batches && now.After(last.at) {
		due = append(due, fixing{number: last.number + 1, at: now, batches: known})
	}
	return after, due, nil
}

// indexer computes fixings one after another.
type indexer struct {
	figures map[string]figures
	past    map[string]series
	// inputs is the hash of what findings follow from by method: equal inputs need not be computed again.
	inputs   [sha256.Size]byte
	method   string
	findings map[string]finding
}

// newIndexer returns one that goes on after a fixing, or begins with the first after the zero one.
func newIndexer(ctx context.Context, db ledger.Querier, after fixing) (*indexer, error) {
	classes, err := selectClasses(ctx, db)
	if err != nil {
		return nil, err
	}
	x := &indexer{figures: make(map[string]figures, len(classes))}
	for _, c := range classes {
		x.figures[c.Name] = figures{name: c.Name, memory: c.MemoryGB, bandwidth: c.BandwidthTBs, compute: c.BF16TFLOPS}
	}
	if x.past, err = selectSeries(ctx, db, after.number); err != nil {
		return nil, err
	}
	x.recall(after)
	return x, nil
}

// recall takes up what the last fixing found, so that a midnight at which the quotes are still the same costs no computation. The
// values of a fixing have all of that, unless one was carried: what the quotes said then was not kept.
func (x *indexer) recall(last fixing) {
	if last.number == 0 || last.method != IndexMethod || len(last.inputs) != len(x.inputs) {
		return
	}
	found := make(map[string]finding, len(x.past))
	for class, past := range x.past {
		v := past.last()
		if v.Fixing != last.number || v.Status == IndexCarried {
			return
		}
		if v.Sources > 0 {
			found[class] = finding{sources: v.Sources, price: v.PriceUSD.Decimal}
		}
	}
	x.inputs, x.method, x.findings = [sha256.Size]byte(last.inputs), last.method, found
}

// fix computes a fixing from the quotes that count at its time, and notes the hash of its inputs.
func (x *indexer) fix(ctx context.Context, db ledger.Querier, f *fixing) ([]IndexValue, error) {
	list, err := selectCurrent(ctx, db, f.batches, f.at, f.policy.QuoteMaxAge)
	if err != nil {
		return nil, err
	}
	if err := x.find(list, f.method); err != nil {
		return nil, fmt.Errorf("anchor: fixing %d: %w", f.number, err)
	}
	f.inputs = x.inputs[:]
	var values []IndexValue
	for _, class := range slices.Sorted(maps.Keys(x.figures)) {
		past := x.past[class].last()
		past.GPUClass = class
		x.past[class] = x.past[class].add(past.next(f.number, f.at, x.findings[class], f.policy))
		values = append(values, x.past[class].last())
	}
	return values, nil
}

// find computes what a list of prices says by a method that there is.
func (x *indexer) find(list []listed, method string) error {
	inputs, err := hashInputs(list, x.figures)
	if err != nil || (inputs == x.inputs && method == x.method && x.findings != nil) {
		return err
	}
	by := indexMethods[method]
	voices, sources := voicesOf(list), by.sources(list)
	prices, err := fitIndex(voices, x.figures, by.indexConstants)
	if err != nil {
		return err
	}
	x.inputs, x.method, x.findings = inputs, method, make(map[string]finding, len(prices))
	for _, v := range voices {
		x.findings[v.class] = finding{sources: sources[v.class], price: prices[v.class]}
	}
	return nil
}

// indexInputs is all that the prices of a fixing follow from, for the hash that it publishes.
type indexInputs struct {
	Classes []ClassInput `json:"classes"`
	Quotes  []quoteInput `json:"quotes"`
}

type quoteInput struct {
	Quote
	Seller string `json:"seller"`
}

// hashInputs is the SHA-256 of the inputs as RFC 8785 JSON, lists sorted.
func hashInputs(list []listed, figuresOf map[string]figures) (hash [sha256.Size]byte, err error) {
	in := indexInputs{Quotes: make([]quoteInput, len(list))}
	for _, class := range slices.Sorted(maps.Keys(figuresOf)) {
		f := figuresOf[class]
		in.Classes = append(in.Classes, ClassInput{class, f.memory.String(), f.bandwidth.String(), f.compute.String()})
	}
	for i := range list {
		in.Quotes[i] = list[i].input()
	}
	slices.SortFunc(in.Quotes, func(a, b quoteInput) int { return a.compare(b.Quote) })
	text, err := json.Marshal(in)
	if err != nil {
		return hash, fmt.Errorf("anchor: inputs of the index: %w", err)
	}
	canonical := jsontext.Value(text)
	if err := canonical.Canonicalize(); err != nil {
		return hash, fmt.Errorf("anchor: inputs of the index: %w", err)
	}
	return sha256.Sum256(canonical), nil
}
