package redeem

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// tamper writes rows as they are, past the triggers.
func (d *desk) tamper(t testing.TB, sql string, args ...any) {
	t.Helper()
	err := pg.InTx(t.Context(), d.db.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), sql, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// fill makes a number of active pledges of 20 providers, spread over so many classes, each with 600 hours behind tokens. One in ten gives only so many
// hours in a day, and of one in ten some have lapsed that nobody has swept.
func (d *desk) fill(t testing.TB, pledges, classes int) {
	t.Helper()
	d.exec(t, `INSERT INTO providers (id, name) SELECT gen_random_uuid(), 'provider ' || n FROM generate_series(1, 20) n`)
	d.tamper(t, `INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, status, haircut, created_by, verified_by, verified_at, max_daily_hours)
		SELECT gen_random_uuid(), p.ids[1 + n % 20], c.names[1 + n / 20 % $2::int], 1000000000, 'eu', now(), now() + (1 + n % 700) * interval '1 day',
		       'active', 0, gen_random_uuid(), gen_random_uuid(), now(), CASE WHEN n / 20 % 10 = 3 THEN 100000000 END
		FROM generate_series(0, $1::int - 1) AS n, (SELECT array_agg(id ORDER BY id) AS ids FROM providers WHERE name LIKE 'provider %') AS p,
		     (SELECT array_agg(gpu_class ORDER BY gpu_class) AS names FROM gpu_classes) AS c`, pledges, classes)
	d.tamper(t, `INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours) SELECT id, 1, starts_at, expires_at, hours, 0 FROM pledges`)
	d.tamper(t, `INSERT INTO position_lots (provider_id, gpu_class, interruptible) SELECT DISTINCT provider_id, gpu_class, false FROM pledges`)
	d.tamper(t, `INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible, lot, haircut, closes_at, due_at, available, backing)
		SELECT id, provider_id, gpu_class, false, lot, haircut, expires_at, CASE WHEN extract(day FROM expires_at) IN (7, 17, 27) THEN now() ELSE expires_at END, 400000000, 600000000
		FROM pledges JOIN position_lots l USING (provider_id, gpu_class)`)
	d.tamper(t, `INSERT INTO accounts (id, asset, kind, provider_id, pledge_id, may_go_negative, credits, balance, version)
		SELECT gen_random_uuid(), 'GPUH:' || p.gpu_class, k.kind, p.provider_id, p.id, false, k.balance, k.balance, 1
		FROM pledges p, (VALUES ('pledge_available', 400000000), ('pledge_backing', 600000000), ('pledge_earmarked', 0)) AS k (kind, balance)`)
	d.exec(t, `ANALYZE`)
}

// BenchmarkOffers lists who can deliver an amount, of 10,000 pledges of 20 providers: over all classes; and all of one class, where each provider has 500
// and a redemption is spread over 200, so that for a large amount it matters which.
func BenchmarkOffers(b *testing.B) {
	for _, bb := range []struct {
		name    string
		classes int
		hours   int64
	}{
		{"of twelve classes", 12, 10},
		{"of one class", 1, 10},
		{"of one class for a large amount", 1, 100_000},
	} {
		b.Run(bb.name, func(b *testing.B) {
			d := newDesk(b)
			d.fill(b, 10_000, bb.classes)
			best := time.Hour // On a machine that others use too, the best says more than the mean.
			for b.Loop() {
				began := time.Now()
				offers, err := d.Offers(b.Context(), OfferFilter{Amount: money.FromMinor(bb.hours*hour/2, money.MaxScale), Limit: 50})
				if err != nil || len(offers) < 20 {
					b.Fatalf("%d offers, %v", len(offers), err)
				}
				best = min(best, time.Since(began))
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "best-ms/op")
		})
	}
}

// BenchmarkCapacity reads what a provider has of a class, which each redemption begins with: of twenty providers with one pledge each, and with 500.
func BenchmarkCapacity(b *testing.B) {
	for _, pledges := range []int{20, 10_000} {
		b.Run(fmt.Sprintf("%d pledges", pledges), func(b *testing.B) {
			d := newDesk(b)
			d.fill(b, pledges, 1)
			var n NewRedemption
			if err := d.db.Pool.QueryRow(b.Context(), `SELECT provider_id, gpu_class FROM pledges LIMIT 1`).Scan(&n.ProviderID, &n.GPUClass); err != nil {
				b.Fatal(err)
			}
			best := time.Hour // As above.
			for b.Loop() {
				began := time.Now()
				there, err := d.capacity(b.Context(), &n)
				if err != nil || len(there.candidates) == 0 {
					b.Fatalf("%d candidates, %v", len(there.candidates), err)
				}
				best = min(best, time.Since(began))
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "best-ms/op")
		})
	}
}
