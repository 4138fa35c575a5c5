package anchor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func seeded(t testing.TB) *pgtest.Database {
	t.Helper()
	return pgtest.New(t, pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) }))
}

func TestSeedPublishesTheFirstEpoch(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	e, err := anchor.InForce(t.Context(), d.App)
	if err != nil {
		t.Fatal(err)
	}
	in, err := anchor.FirstInputs()
	if err != nil {
		t.Fatal(err)
	}
	want, err := anchor.Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, e.Factors); diff != "" {
		t.Error(diff)
	}
	if e.Number != 1 || e.ReferenceClass != "H100-SXM-80GB" || e.Method != anchor.Method || e.EffectiveAt.After(time.Now()) {
		t.Errorf("epoch %+v", e)
	}
	classes, err := anchor.Classes(t.Context(), d.App)
	if err != nil || len(classes) != 12 || classes[0].Name != "A100-PCIE-80GB" || classes[0].BandwidthTBs.String() != "1.935" || classes[0].Source == "" {
		t.Errorf("%d classes, %v", len(classes), err)
	}
	var assets int
	if err := d.App.QueryRow(t.Context(), `SELECT count(*) FROM assets WHERE code LIKE 'GPUH:%' AND scale = 6`).Scan(&assets); err != nil || assets != 12 {
		t.Errorf("%d assets, %v", assets, err)
	}
	for name, want := range map[string]bool{"GH200": true, "gh200": false, "": false} {
		if known, err := anchor.IsClass(t.Context(), d.App, name); known != want || err != nil {
			t.Errorf("IsClass(%q) = %v, %v", name, known, err)
		}
	}
}

func TestSeedTwiceAndAtOnceIsSeedOnce(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	if _, err := anchor.InForce(t.Context(), d.App); !errors.Is(err, anchor.ErrNoEpoch) {
		t.Errorf("before the seed: %v", err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := anchor.Seed(t.Context(), d.Pool); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	first, err := anchor.InForce(t.Context(), d.App)
	if err != nil {
		t.Fatal(err)
	}
	if err := anchor.Seed(t.Context(), d.Pool); err != nil {
		t.Error(err)
	}
	again, err := anchor.InForce(t.Context(), d.App)
	if diff := cmp.Diff(first, again); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// publish adds an epoch with the factors k by class, without a draft.
func publish(ctx context.Context, pool *pgxpool.Pool, number int, effectiveAt string, factors map[string]string) error {
	epoch := id.New()
	return pg.InTx(ctx, pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
			VALUES ($1, $2, now() + $3::interval, 'H100-SXM-80GB', 'by hand', '', sha256(''))`, epoch, number, effectiveAt); err != nil {
			return err
		}
		for class, k := range factors {
			if _, err := tx.Exec(ctx, `INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality) VALUES ($1, $2, $3, 1)`, epoch, class, k); err != nil {
				return err
			}
		}
		return nil
	})
}

func readRate(t *testing.T, pool *pgxpool.Pool, class string, at time.Time) (anchor.Rate, error) {
	t.Helper()
	var read anchor.RateRead
	for range 2 { // A step reads again when its group is tried again.
		b := &pgx.Batch{}
		read.Queue(b, class)
		if err := pool.SendBatch(t.Context(), b).Close(); err != nil {
			t.Fatal(err)
		}
	}
	return read.At(at)
}

func TestEpochsComeIntoForceAtTheirTime(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	clock := pgtest.NewClock(t, d, time.Now())
	first, err := anchor.InForce(t.Context(), d.App)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anchor.Next(t.Context(), d.App); !errors.Is(err, anchor.ErrEpochNotFound) {
		t.Errorf("nothing is announced, but %v", err)
	}
	start := clock.Now()
	second := pgtest.PublishEpoch(t, d, time.Second, "H100-SXM-80GB", map[string]string{"H100-SXM-80GB": "1", "GH200": "0.6"})
	third := pgtest.PublishEpoch(t, d, time.Hour, "H100-SXM-80GB", map[string]string{"H100-SXM-80GB": "0.9"})
	for _, tc := range []struct {
		at          time.Duration
		inForce     uuid.UUID
		next        uuid.UUID
		statusOf2nd anchor.EpochStatus
	}{
		{time.Second - time.Microsecond, first.ID, second, anchor.EpochAnnounced},
		{time.Second, second, third, anchor.EpochEffective},
		{time.Hour - time.Microsecond, second, third, anchor.EpochEffective},
		{time.Hour, third, uuid.Nil, anchor.EpochSuperseded},
	} {
		clock.Set(start.Add(tc.at))
		now, err := anchor.InForce(t.Context(), d.App)
		if err != nil || now.ID != tc.inForce || now.Status != anchor.EpochEffective {
			t.Errorf("after %s: epoch %d, %s, %v", tc.at, now.Number, now.Status, err)
		}
		inForce, after := anchor.At(start.Add(tc.at))
		then, err := inForce(t.Context(), d.App)
		if diff := cmp.Diff(now, then); diff != "" || err != nil {
			t.Errorf("in force at %s: %v %s", tc.at, err, diff)
		}
		if next, err := anchor.Next(t.Context(), d.App); next.ID != tc.next || (err != nil) != (tc.next == uuid.Nil) {
			t.Errorf("after %s: next is %d, %v", tc.at, next.Number, err)
		}
		if next, err := after(t.Context(), d.App); next.ID != tc.next || (err != nil) != (tc.next == uuid.Nil) {
			t.Errorf("next at %s is %d, %v", tc.at, next.Number, err)
		}
		if e, err := anchor.EpochByID(t.Context(), d.App, second); err != nil || e.Status != tc.statusOf2nd || len(e.Factors) != 2 {
			t.Errorf("after %s: the second is %s, %v", tc.at, e.Status, err)
		}
	}
	before, _ := anchor.At(first.EffectiveAt.Add(-time.Microsecond))
	if _, err := before(t.Context(), d.App); !errors.Is(err, anchor.ErrEpochNotFound) {
		t.Errorf("before the first: %v", err)
	}
}

func TestRatesOfNowAndOfWhatIsAnnounced(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	clock := pgtest.NewClock(t, d, time.Now())
	first, err := anchor.InForce(t.Context(), d.App)
	if err != nil {
		t.Fatal(err)
	}
	second := pgtest.PublishEpoch(t, d, time.Second, "H100-SXM-80GB", map[string]string{"H100-SXM-80GB": "1", "GH200": "0.6"})
	third := pgtest.PublishEpoch(t, d, time.Hour, "H100-SXM-80GB", map[string]string{"H100-SXM-80GB": "0.9"})
	clock.Advance(2 * time.Minute) // What was in force a minute ago is read too.
	now := clock.Now()
	all := anchor.ReadRatesNow(t, d.App)
	for _, tc := range []struct {
		class string
		at    time.Time
		epoch uuid.UUID
		k     string
		err   error
	}{
		{"GH200", now, second, "0.6", nil},
		{"H100-SXM-80GB", now, second, "1", nil},
		{"H100-SXM-80GB", now.Add(2 * time.Hour), third, "0.9", nil},
		{"GH200", now.Add(2 * time.Hour), uuid.Nil, "0", anchor.ErrNoFactor},
		{"B200-SXM-180GB", now, uuid.Nil, "0", anchor.ErrNoFactor}, // In the first epoch it had one.
		{"H100-SXM-80GB", first.EffectiveAt, uuid.Nil, "0", anchor.ErrNoEpoch},
	} {
		one, err := readRate(t, d.App, tc.class, tc.at)
		ofAll, errOfAll := all.At(tc.class, tc.at)
		if one.Epoch != tc.epoch || !one.K.Equal(decimal.RequireFromString(tc.k)) || !errors.Is(err, tc.err) {
			t.Errorf("%s at %s: %s of %s, %v", tc.class, tc.at, one.K, one.Epoch, err)
		}
		if ofAll.Epoch != one.Epoch || !ofAll.K.Equal(one.K) || !errors.Is(errOfAll, tc.err) {
			t.Errorf("%s at %s, of all: %s of %s, %v", tc.class, tc.at, ofAll.K, ofAll.Epoch, errOfAll)
		}
	}
}

// refused fails the test unless err is of the database, with this SQLSTATE and naming this constraint.
func refused(t *testing.T, what string, err error, code, constraint string) {
	t.Helper()
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pgErr.Code != code || (constraint != "" && pgErr.ConstraintName != constraint) {
		t.Errorf("%s: %v, want %s %s", what, err, code, constraint)
	}
}

func TestPublishedEpochsStay(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	for sql, table := range map[string]string{
		`UPDATE epochs SET method = 'x'`:                             "epochs",
		`DELETE FROM epochs`:                                         "epochs",
		`UPDATE epoch_factors SET k = 2`:                             "epoch_factors",
		`DELETE FROM epoch_factors WHERE gpu_class = 'GH200'`:        "epoch_factors",
		`TRUNCATE epoch_factors, epochs CASCADE`:                     "epoch",
		`UPDATE gpu_classes SET gpu_class = 'X' WHERE false`:         "",
		`UPDATE assets SET scale = 2 WHERE code = 'GPUH:GH200'`:      "assets",
		`DELETE FROM gpu_classes WHERE gpu_class = 'A100-PCIE-80GB'`: "fk",
	} {
		_, err := d.Pool.Exec(t.Context(), sql)
		switch table {
		case "":
			if err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		case "fk":
			refused(t, sql, err, "23503", "")
		default:
			refused(t, sql, err, "BL001", "")
			if !strings.HasPrefix(pg.ConstraintName(err), table) && table != "assets" {
				t.Errorf("%s: refused by %s", sql, pg.ConstraintName(err))
			}
		}
	}
	_, err := d.Pool.Exec(t.Context(), `INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality)
		SELECT e.id, 'NEW-CLASS', 1, 1 FROM epochs e`)
	refused(t, "a factor added later", err, "BL004", "epoch_factors_are_published_at_once")
}

func TestEpochsFollowEachOther(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	// What an epoch without a draft is refused by is tested elsewhere.
	for _, trigger := range []string{"epochs_are_as_approved", "epochs_are_whole"} {
		if _, err := d.Pool.Exec(t.Context(), `ALTER TABLE epochs DISABLE TRIGGER `+trigger); err != nil {
			t.Fatal(err)
		}
	}
	h100 := map[string]string{"H100-SXM-80GB": "1"}
	for _, tc := range []struct {
		what        string
		number      int
		effectiveAt string
		factors     map[string]string
		code, guard string
	}{
		{"a number left out", 3, "1 hour", h100, "BL004", "epochs_follow_each_other"},
		{"a number again", 1, "1 hour", h100, "BL004", "epochs_follow_each_other"},
		{"retroactive", 2, "-1 ms", h100, "BL004", "epochs_follow_each_other"},
		{"before the one before", 2, "-1 year", h100, "BL004", "epochs_follow_each_other"},
		{"without factors", 2, "1 hour", nil, "23503", "epochs_have_their_reference"},
		{"without its reference", 2, "1 hour", map[string]string{"GH200": "1"}, "23503", "epochs_have_their_reference"},
		{"worth nothing", 2, "1 hour", map[string]string{"H100-SXM-80GB": "0"}, "23514", "epoch_factors_k_is_positive"},
	} {
		err := publish(t.Context(), d.Pool, tc.number, tc.effectiveAt, tc.factors)
		refused(t, tc.what, err, tc.code, tc.guard)
	}
	if err := publish(t.Context(), d.Pool, 2, "1 hour", h100); err != nil {
		t.Errorf("the next one: %v", err)
	}
	err := publish(t.Context(), d.Pool, 3, "1 minute", h100)
	refused(t, "earlier than one announced", err, "BL004", "epochs_follow_each_other")
	_, err = d.Pool.Exec(t.Context(), `INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
		VALUES (gen_random_uuid(), 3, now() + interval '2 hours', 'H100-SXM-80GB', 'm', 'a', sha256('b'))`)
	refused(t, "another hash", err, "23514", "epochs_inputs_have_their_hash")
	_, err = d.Pool.Exec(t.Context(), `INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256, created_at)
		VALUES (gen_random_uuid(), 3, now() + interval '2 hours', 'H100-SXM-80GB', 'm', 'a', sha256('a'), now() - interval '1 s')`)
	refused(t, "another time of writing", err, "BL004", "epochs_follow_each_other")
	_, err = d.Pool.Exec(t.Context(), `INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256, link)
		VALUES (gen_random_uuid(), 3, now() + interval '2 hours', 'H100-SXM-80GB', 'm', 'a', sha256('a'), 0)`)
	refused(t, "a link of nothing", err, "23514", "epochs_link_is_positive")
}

func TestAppOnlyReads(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	for _, sql := range []string{
		"INSERT INTO gpu_classes DEFAULT VALUES", "UPDATE epoch_factors SET k = 2", "UPDATE epochs SET number = 2",
		"UPDATE epoch_drafts SET inputs = ''", "UPDATE epoch_drafts SET drafted_by = approved_by", "UPDATE class_sunsets SET sunset_at = now()",
		"DELETE FROM gpu_classes", "DELETE FROM epochs", "DELETE FROM epoch_factors", "DELETE FROM epoch_drafts", "DELETE FROM class_sunsets",
		"TRUNCATE gpu_classes CASCADE", "TRUNCATE epochs CASCADE", "TRUNCATE epoch_factors", "TRUNCATE epoch_drafts", "TRUNCATE class_sunsets",
	} {
		_, err := d.App.Exec(t.Context(), sql)
		refused(t, sql, err, "42501", "")
	}
	if err := anchor.Seed(t.Context(), d.App); err == nil {
		t.Error("the run-time role seeded")
	}
	empty := pgtest.New(t)
	if _, err := empty.Pool.Exec(t.Context(), `INSERT INTO assets VALUES ('GPUH:X', 6)`); err != nil {
		t.Fatal(err)
	}
	_, err := empty.Pool.Exec(t.Context(), `INSERT INTO gpu_classes (gpu_class, vendor, memory_gb, memory_bandwidth_tb_s, bf16_dense_tflops, interconnect, source)
		VALUES ('X', 'v', 1, 1, 1, '', 's')`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = empty.App.Exec(t.Context(), `INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
		VALUES (gen_random_uuid(), 1, now(), 'X', 'm', '', sha256(''))`)
	refused(t, "a first epoch by the run-time role", err, "BL008", "epochs_are_as_approved")
}

func TestClassesNeedTheirAsset(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	_, err := d.Pool.Exec(t.Context(), `INSERT INTO gpu_classes (gpu_class, vendor, memory_gb, memory_bandwidth_tb_s, bf16_dense_tflops, interconnect, source)
		VALUES ('X-1', 'v', 1, 1, 1, '', '')`)
	refused(t, "no asset", err, "23503", "gpu_classes_have_an_asset")
}

func TestChecksComputeEpochsAgain(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	checks, err := anchor.Checks(t.Context(), d.App)
	if err != nil || len(checks) != 4 || slices.ContainsFunc(checks, func(c ledger.Check) bool { return !c.OK }) {
		t.Fatalf("%+v, %v", checks, err)
	}
	for what, sql := range map[string]string{
		"a factor":  `ALTER TABLE epoch_factors DISABLE TRIGGER USER; UPDATE epoch_factors SET k = k + 0.000001 WHERE gpu_class = 'GH200'`,
		"an input":  `ALTER TABLE epochs DISABLE TRIGGER USER; UPDATE epochs SET inputs = inputs || ' ', inputs_sha256 = sha256(inputs || ' ')`,
		"the hash":  `ALTER TABLE epochs DISABLE TRIGGER USER, DROP CONSTRAINT epochs_inputs_have_their_hash; UPDATE epochs SET inputs_sha256 = sha256('')`,
		"no factor": `ALTER TABLE epoch_factors DISABLE TRIGGER USER; DELETE FROM epoch_factors WHERE gpu_class = 'GH200'`,
	} {
		d := seeded(t)
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(what, err)
		}
		if checks, err := anchor.Checks(t.Context(), d.App); err != nil || checks[0].OK {
			t.Errorf("%s changed: %+v, %v", what, checks, err)
		}
	}
	pgtest.PublishEpoch(t, d, time.Hour, "H100-SXM-80GB", map[string]string{"H100-SXM-80GB": "1"})
	if checks, err := anchor.Checks(t.Context(), d.App); err != nil || checks[0].OK || !strings.Contains(checks[0].Detail, "epoch 2") {
		t.Errorf("an unknown method: %+v, %v", checks, err)
	}
}
