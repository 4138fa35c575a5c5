package coverage_test

import (
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/coverage"
)

// fill makes a number of active pledges of 20 providers, all classes and some haircuts, in one statement each.
func (w *world) fill(pledges int) {
	w.t.Helper()
	w.exec(`INSERT INTO providers (id, name) SELECT gen_random_uuid(), 'provider ' || n FROM generate_series(1, 20) n`)
	w.tamper(`INSERT INTO accounts (id, asset, kind, provider_id, may_go_negative, debits, balance, version)
		SELECT gen_random_uuid(), 'SCH', 'issuance', id, true, 1000000000000, -1000000000000, 1 FROM providers WHERE name LIKE 'provider %'`)
	w.tamper(`INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, status, haircut, created_by, verified_by, verified_at)
		SELECT gen_random_uuid(), p.ids[1 + n % 20], c.names[1 + n / 20 % cardinality(c.names)], 1000000000, 'eu', $2, $2::timestamptz + (1 + n % 700) * interval '1 day',
		       'active', (n / 1000 % 5) * 0.01, gen_random_uuid(), gen_random_uuid(), $2
		FROM generate_series(1, $1::int) AS n,
		     (SELECT array_agg(id ORDER BY id) AS ids FROM providers WHERE name LIKE 'provider %') AS p,
		     (SELECT array_agg(gpu_class ORDER BY gpu_class) AS names FROM gpu_classes) AS c`, pledges, w.clock.Now())
	w.tamper(`INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours) SELECT id, 1, starts_at, expires_at, hours, 0 FROM pledges`)
	w.tamper(`INSERT INTO position_lots (provider_id, gpu_class, interruptible) SELECT DISTINCT provider_id, gpu_class, false FROM pledges`)
	w.tamper(`INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible, lot, haircut, closes_at, due_at, available, backing)
		SELECT id, provider_id, gpu_class, false, lot, haircut, expires_at, expires_at, 400000000, 600000000
		FROM pledges JOIN position_lots l USING (provider_id, gpu_class)`)
	w.exec(`ANALYZE`)
}

// BenchmarkCoverage reads the coverage of 10,000 active pledges, provider by provider and in all.
func BenchmarkCoverage(b *testing.B) {
	w := newWorld(b)
	w.fill(10_000)
	for name, change := range map[string]func(*coverage.Terms){
		"without a schedule": func(*coverage.Terms) {},
		"with a schedule": func(t *coverage.Terms) {
			t.Haircuts.Standard, t.Haircuts.Delivery = d("0.01"), []coverage.Distance{{FromDays: 90, Haircut: d("0.01")}, {FromDays: 365, Haircut: d("0.05")}}
		},
	} {
		w.clock.Advance(time.Minute)
		w.policy(change)
		b.Run(name, func(b *testing.B) {
			best := time.Hour // On a machine that others use too, the best says more than the mean.
			for b.Loop() {
				began := time.Now()
				if c := w.now(); len(c.Providers) != 21 || c.Classes[0].Hours.IsZero() {
					b.Fatalf("%+v", c)
				}
				best = min(best, time.Since(began))
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "best-ms/op")
		})
	}
}
