package vault

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// rotateBatch is how many rows one transaction of a rotation locks.
const rotateBatch = 200

// Rotated is what a rotation did to one column.
type Rotated struct {
	Column
	// Rewrapped is how many rows are under the key in use now, and were not before.
	Rewrapped int
}

// Rotate wraps every secret of these columns, and the key of digests, under the key in use. It may be cut off and run again, and beside
// processes that serve, if they have both keys. Once it has returned without an error, the older keys may go: no row needs
// them. Its errors are those of Open, for the first row that cannot be read, and the database's.
func (v *Vault) Rotate(ctx context.Context, columns ...Column) ([]Rotated, error) {
	current, err := v.current()
	if err != nil {
		return nil, err
	}
	var all []Rotated
	for _, c := range append([]Column{digestColumn}, columns...) {
		done := Rotated{Column: c}
		for {
			n, err := v.rotateOnce(ctx, current, c)
			if err != nil {
				return all, fmt.Errorf("rotate %s.%s: %w", c.Table, c.Name, err)
			}
			if n == 0 {
				break
			}
			done.Rewrapped += n
		}
		all = append(all, done)
	}
	return all, nil
}

// rotateOnce goes through a column once, in the order of ids, and returns how many rows it wrapped. What was written behind its back under an older key
// is found by going through it again.
func (v *Vault) rotateOnce(ctx context.Context, current wrappingKey, c Column) (done int, err error) {
	for last := uuid.Nil; ; {
		n, to, err := v.rotateSome(ctx, current, c, last)
		if err != nil || to == last {
			return done, err
		}
		done, last = done+n, to
	}
}

// rotateSome wraps the next rows after an id, and returns how many and the id of the last, or the same id where there are none. It waits for rows that
// others have locked: they must not be passed over.
func (v *Vault) rotateSome(ctx context.Context, current wrappingKey, c Column, after uuid.UUID) (n int, last uuid.UUID, err error) {
	err = pg.InTx(ctx, v.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		n, last = 0, after
		header := appendHeader(nil, current.id)
		rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT id, %[2]s FROM %[1]s
			WHERE id > $2 AND %[2]s IS NOT NULL AND substring(%[2]s FOR %[3]d) <> $1 ORDER BY id LIMIT %[4]d FOR NO KEY UPDATE`,
			c.Table, c.Name, len(header), rotateBatch), header, after)
		if err != nil {
			return err
		}
		type row struct {
			ID     uuid.UUID
			Sealed []byte
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			return err
		}
		for _, r := range found {
			last = r.ID
			rewrapped, changed, err := v.Rewrap(r.Sealed, c.Row(r.ID))
			if err != nil {
				return fmt.Errorf("row %s: %w", r.ID, err)
			}
			if !changed {
				continue
			}
			if _, err := tx.Exec(ctx, fmt.Sprintf(`UPDATE %s SET %s = $2 WHERE id = $1`, c.Table, c.Name), r.ID, rewrapped); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, last, err
}
