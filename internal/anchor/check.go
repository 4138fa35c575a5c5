package anchor

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Checks computes every published epoch again from the inputs that it was published with, and looks whether what these say of the
// epoch before, of the index and of the classes is so.
func Checks(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
	epochs, err := selectPublished(ctx, db)
	if err != nil {
		return nil, err
	}
	follow := ledger.Check{Name: "epochs_follow_from_their_inputs", OK: true, Detail: fmt.Sprintf("%d epochs computed again", len(epochs))}
	succeed := ledger.Check{Name: "epochs_succeed_each_other", OK: true, Detail: "each was computed from the one before it, as that was published"}
	for i := range epochs {
		if err := epochs[i].verify(); err != nil {
			follow.OK, follow.Detail = false, fmt.Sprintf("epoch %d: %v", epochs[i].Number, err)
			break
		}
		if i > 0 && !epochs[i].succeeds(&epochs[i-1]) {
			succeed.OK, succeed.Detail = false, fmt.Sprintf("epoch %d: it was computed from another epoch before it", epochs[i].Number)
			break
		}
	}
	rest, err := checkIndex(ctx, db, epochs)
	if err != nil {
		return nil, err
	}
	published, err := checkFigures(ctx, db, epochs)
	return []ledger.Check{follow, succeed, rest, published}, err
}

// checkFigures looks whether epochs were computed from the figures of classes that are published, weighed as is published.
func checkFigures(ctx context.Context, db ledger.Querier, epochs []Epoch) (ledger.Check, error) {
	check := ledger.Check{Name: "epochs_weigh_published_figures", OK: true, Detail: "the classes' figures in their inputs are those of GET /v1/gpu-classes, and their exponents those of the method"}
	classes, err := selectClasses(ctx, db)
	if err != nil {
		return check, err
	}
	byName := make(map[string]Class, len(classes))
	for _, c := range classes {
		byName[c.Name] = c
	}
	for i := range epochs {
		if epochs[i].verify() != nil { // epochs_follow_from_their_inputs says so.
			continue
		}
		if c, err := computeBy(epochs[i].Method, epochs[i].Inputs); err == nil && !c.weighs(byName) {
			check.OK, check.Detail = false, fmt.Sprintf("epoch %d: it was computed from other figures of classes, or weighed them otherwise", epochs[i].Number)
			break
		}
	}
	return check, nil
}

// weighs tells whether what was computed rests on these classes. One that was published later is not in it.
func (c *computed) weighs(published map[string]Class) bool {
	classes, err := parseClasses(c.classes)
	if err != nil {
		return false
	}
	for _, f := range classes {
		p, known := published[f.name]
		if !known || !f.memory.Equal(p.MemoryGB) || !f.bandwidth.Equal(p.BandwidthTBs) || !f.compute.Equal(p.BF16TFLOPS) {
			return false
		}
	}
	return c.exponents == firstExponents
}

// selectPublished returns every epoch whole.
func selectPublished(ctx context.Context, db ledger.Querier) ([]Epoch, error) {
	rows, err := db.Query(ctx, publishedSQL+` ORDER BY e.number`)
	if err != nil {
		return nil, fmt.Errorf("anchor: check epochs: %w", err)
	}
	epochs, err := pgx.CollectRows(rows, scanEpoch)
	if err != nil {
		return nil, err
	}
	at := make(map[uuid.UUID]*Epoch, len(epochs))
	for i := range epochs {
		at[epochs[i].ID] = &epochs[i]
	}
	if rows, err = db.Query(ctx, `SELECT id, inputs FROM epochs`); err != nil {
		return nil, fmt.Errorf("anchor: check epochs: %w", err)
	}
	var epoch uuid.UUID
	var inputs []byte
	if _, err := pgx.ForEachRow(rows, []any{&epoch, &inputs}, func() error {
		at[epoch].Inputs = inputs
		return nil
	}); err != nil {
		return nil, fmt.Errorf("anchor: check epochs: %w", err)
	}
	return epochs, selectAllFactors(ctx, db, at)
}

func selectAllFactors(ctx context.Context, db ledger.Querier, epochs map[uuid.UUID]*Epoch) error {
	rows, err := db.Query(ctx, `SELECT epoch_id, gpu_class, k, quality, price_ratio, price_usd, COALESCE(bound_by, '') FROM epoch_factors
		ORDER BY epoch_id, gpu_class COLLATE "C"`)
	if err != nil {
		return fmt.Errorf("anchor: check factors: %w", err)
	}
	var epoch uuid.UUID
	var f Factor
	_, err = pgx.ForEachRow(rows, []any{&epoch, &f.GPUClass, &f.K, &f.Quality, &f.PriceRatio, &f.PriceUSD, &f.Bound}, func() error {
		epochs[epoch].Factors = append(epochs[epoch].Factors, f)
		return nil
	})
	if err != nil {
		return fmt.Errorf("anchor: check factors: %w", err)
	}
	return nil
}

// succeeds tells whether an epoch that follows from its inputs was computed from the one before it.
func (e *Epoch) succeeds(before *Epoch) bool {
	c, err := computeBy(e.Method, e.Inputs)
	if err != nil || c.previous == nil {
		return false
	}
	p := c.previous
	if p.Number != strconv.Itoa(before.Number) || p.ReferenceClass != before.ReferenceClass || p.Link != before.Link.String() ||
		p.InputsSHA256 != hex.EncodeToString(before.InputsSHA256[:]) || len(p.Factors) != len(before.Factors) {
		return false
	}
	for i, f := range before.Factors {
		if p.Factors[i] != (PreviousInput{GPUClass: f.GPUClass, K: f.K.String()}) {
			return false
		}
	}
	return true
}

func (f Factor) equal(g Factor) bool {
	return f.GPUClass == g.GPUClass && f.K.Equal(g.K) && f.Quality.Equal(g.Quality) && f.Bound == g.Bound &&
		equalOrNull(f.PriceRatio, g.PriceRatio) && equalOrNull(f.PriceUSD, g.PriceUSD)
}
