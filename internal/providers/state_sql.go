package providers

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// One statement reads all pledges of a group, each by its keys.
const selectStatesSQL = `
SELECT p.id, p.status, p.haircut, p.hours, w.closings, w.later,
       (SELECT min(sunset_at) FROM class_sunsets s WHERE s.gpu_class = p.gpu_class AND s.status = 'announced')
FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM pledges WHERE pledges.id = wanted.id OFFSET 0) AS p
CROSS JOIN LATERAL (
    SELECT array_agg(ends_at ORDER BY n) AS closings, array_agg(later_hours ORDER BY n) AS later FROM pledge_windows WHERE pledge_id = p.id
) AS w`

type statesKey struct{}

// states are those of the pledges that the steps of one group rely on.
type states map[uuid.UUID]*State

// ReadState queues the read of a pledge's state, once for each group.
func ReadState(r *ledger.Reads, pledge uuid.UUID) *State {
	wanted := ledger.ReadTogether(r, statesKey{}, func() states { return states{} })
	s, asked := wanted[pledge]
	if !asked {
		s = &State{}
		wanted[pledge] = s
	}
	return s
}

// Queue implements ledger.Questions.
func (s states) Queue(r *ledger.Reads) {
	r.Queue(selectStatesSQL, slices.Collect(maps.Keys(s))).Query(s.scan)
}

func (s states) scan(rows pgx.Rows) error {
	var pledge uuid.UUID
	var sunset *time.Time
	var found State
	n := 0
	for ; rows.Next(); n++ {
		found.schedule.closings, found.schedule.later = nil, nil // Each pledge has its own.
		if err := rows.Scan(&pledge, &found.status, &found.haircut, &found.schedule.hours, &found.schedule.closings, &found.schedule.later, &sunset); err != nil {
			return err
		}
		found.schedule.sunset = orZero(sunset)
		*s[pledge] = found
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n < len(s) {
		return fmt.Errorf("providers: %d of %d pledges are not there: %w", len(s)-n, len(s), pgx.ErrNoRows)
	}
	return nil
}
