package anchor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// published is an epoch as it was published, with its inputs.
type published struct {
	ID     uuid.UUID
	Number int
	Method string
	Inputs []byte
	Hash   []byte
}

// Checks computes every epoch again from the inputs that it was published with.
func Checks(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
	rows, err := db.Query(ctx, `SELECT id, number, method, inputs, inputs_sha256 FROM epochs ORDER BY number`)
	if err != nil {
		return nil, fmt.Errorf("anchor: check epochs: %w", err)
	}
	epochs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[published])
	if err != nil {
		return nil, fmt.Errorf("anchor: check epochs: %w", err)
	}
	check := ledger.Check{Name: "epochs_follow_from_their_inputs", OK: true, Detail: fmt.Sprintf("%d epochs computed again", len(epochs))}
	for _, e := range epochs {
		factors, err := selectFactors(ctx, db, e.ID)
		if err != nil {
			return nil, err
		}
		if err := e.check(factors); err != nil {
			check.OK, check.Detail = false, fmt.Sprintf("epoch %d: %v", e.Number, err)
			break
		}
	}
	return []ledger.Check{check}, nil
}

var errOtherFactors = errors.New("its factors are not those of its inputs")

func (e published) check(factors []Factor) error {
	if hash := sha256.Sum256(e.Inputs); !slices.Equal(hash[:], e.Hash) {
		return errors.New("its inputs have another hash")
	}
	if e.Method != Method {
		return errors.New("its method is not known to this program")
	}
	in, err := ParseInputs(e.Inputs)
	if err != nil {
		return err
	}
	want, err := Compute(in)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(want, factors, Factor.equal) {
		return errOtherFactors
	}
	return nil
}

func (f Factor) equal(g Factor) bool {
	return f.GPUClass == g.GPUClass && f.K.Equal(g.K) && f.Quality.Equal(g.Quality) &&
		equalOrNull(f.PriceRatio, g.PriceRatio) && equalOrNull(f.PriceUSD, g.PriceUSD)
}
