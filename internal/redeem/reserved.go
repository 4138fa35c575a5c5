package redeem

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// The book's time was drawn before this is read: a quote that has expired since must not be missed. Each line is found by its pledge.
const selectKeptSQL = `
SELECT l.pledge_id, l.quote_id, l.hours, l.expires_at
FROM (SELECT ballast_now() - interval '1 minute' AS since OFFSET 0) AS clock
CROSS JOIN unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT * FROM redemption_quote_lines WHERE pledge_id = wanted.id AND expires_at > clock.since
      AND (SELECT r.id FROM redemptions r WHERE r.quote_id = redemption_quote_lines.quote_id) IS NULL OFFSET 0
) AS l`

type reservedKey struct{}

// reserved is what quotes keep of the pledges that the steps of one group take hours of. The steps share it, and each that uses a
// quote says so, since the hours that it takes are kept no longer.
type reserved struct {
	lines map[uuid.UUID][]kept
	used  map[uuid.UUID]bool
}

// kept is hours of a pledge that a quote keeps until it expires.
type kept struct {
	quote     uuid.UUID
	hours     int64
	expiresAt time.Time
}

// readReserved queues the read of what quotes keep of some pledges, once for a group.
func readReserved(r *ledger.Reads, candidates []candidate) *reserved {
	k := ledger.ReadTogether(r, reservedKey{}, func() *reserved {
		return &reserved{lines: map[uuid.UUID][]kept{}, used: map[uuid.UUID]bool{}}
	})
	for i := range candidates {
		k.lines[candidates[i].pledge] = nil
	}
	return k
}

// Queue implements ledger.Questions.
func (k *reserved) Queue(r *ledger.Reads) {
	r.Queue(selectKeptSQL, slices.Collect(maps.Keys(k.lines))).Query(func(rows pgx.Rows) error {
		var pledge uuid.UUID
		var l kept
		_, err := pgx.ForEachRow(rows, []any{&pledge, &l.quote, &l.hours, &l.expiresAt}, func() error {
			k.lines[pledge] = append(k.lines[pledge], l)
			return nil
		})
		return err
	})
}

// of returns how many hours of a pledge are kept at a time for quotes other than mine, in millionths.
func (k *reserved) of(pledge uuid.UUID, at time.Time, mine uuid.UUID) (hours int64) {
	for _, l := range k.lines[pledge] {
		if l.quote != mine && !k.used[l.quote] && l.expiresAt.After(at) {
			hours += l.hours
		}
	}
	return hours
}

// use tells the steps that are decided later in the group that a quote keeps nothing any more. It is the last that a step does before
// its request is decided.
func (k *reserved) use(quote uuid.UUID) {
	if quote != uuid.Nil {
		k.used[quote] = true
	}
}
