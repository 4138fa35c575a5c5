package voucher

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// kind is what vouchers are alike in.
type kind struct {
	provider uuid.UUID
	class    string
	hours    int64
}

// Shelf is the free vouchers of one kind that the steps of a group may take from, as many as there are such steps.
type Shelf struct {
	wanted int64
	free   []uuid.UUID
}

type shelvesKey struct{}

// shelves are those of one group.
type shelves map[kind]*Shelf

// Reach queues the read of a voucher for exactly so many hours, in millionths, of a provider's class. A ledger.Step that holds the lock of the provider's
// issuance account calls it in its Read, and takes from the shelf in its Decide: no other step of its group gets the same, and
// no other group, while the lock is held.
func Reach(r *ledger.Reads, provider uuid.UUID, class string, hours int64) *Shelf {
	all := ledger.ReadTogether(r, shelvesKey{}, func() shelves { return shelves{} })
	k := kind{provider: provider, class: class, hours: hours}
	if all[k] == nil {
		all[k] = &Shelf{}
	}
	all[k].wanted++
	return all[k]
}

// Take returns a voucher that nobody else gets, the one that expires first, or false where there is none. A step takes one at most.
func (s *Shelf) Take() (uuid.UUID, bool) {
	if len(s.free) == 0 {
		return uuid.Nil, false
	}
	taken := s.free[0]
	s.free = s.free[1:]
	return taken, true
}

const selectFreeSQL = `
SELECT w.provider_id, w.gpu_class, w.hours, v.id
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) AS w (provider_id, gpu_class, hours, wanted)
CROSS JOIN LATERAL free_vouchers(w.provider_id, w.gpu_class, w.hours, ballast_now(), w.wanted) WITH ORDINALITY AS v (id, n)
ORDER BY v.n`

// Queue implements ledger.Questions.
func (s shelves) Queue(r *ledger.Reads) {
	var providers []uuid.UUID
	var classes []string
	var hours, wanted []int64
	for k, shelf := range s {
		providers, classes = append(providers, k.provider), append(classes, k.class)
		hours, wanted = append(hours, k.hours), append(wanted, shelf.wanted)
	}
	r.Queue(selectFreeSQL, providers, classes, hours, wanted).Query(s.scan)
}

func (s shelves) scan(rows pgx.Rows) error {
	var k kind
	var free uuid.UUID
	_, err := pgx.ForEachRow(rows, []any{&k.provider, &k.class, &k.hours, &free}, func() error {
		s[k].free = append(s[k].free, free)
		return nil
	})
	return err
}

const handOutSQL = `
UPDATE vouchers SET redemption_id = h.redemption_id FROM unnest($1::uuid[], $2::uuid[]) AS h (id, redemption_id) WHERE vouchers.id = h.id`

type handedKey struct{}

// handed is the vouchers that the steps of one group hand out.
type handed struct{ vouchers, redemptions []uuid.UUID }

// HandOut queues that a voucher, taken from a shelf, is its redemption's from now on. The redemption's row must be written before.
func HandOut(w *ledger.Writes, voucher, redemption uuid.UUID) {
	h := ledger.WriteOnce(w, handedKey{}, func() *handed { return &handed{} })
	h.vouchers, h.redemptions = append(h.vouchers, voucher), append(h.redemptions, redemption)
}

// Queue implements ledger.Rows.
func (h *handed) Queue(b *pgx.Batch) {
	b.Queue(handOutSQL, h.vouchers, h.redemptions).Exec(func(tag pgconn.CommandTag) error {
		if n := tag.RowsAffected(); n != int64(len(h.vouchers)) {
			return fmt.Errorf("voucher: %d of %d were there to be handed out", n, len(h.vouchers))
		}
		return nil
	})
}
