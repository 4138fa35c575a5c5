package anchor_test

import (
	"context"
	"errors"
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

// publish adds an epoch with the factors k by class, as a later workflow will.
func publish(ctx context.Context, pool *pgxpool.Pool, number int, effectiveAt string, factors map[string]string) (uuid.UUID, error) {
	epoch := id.New()
	err := pg.InTx(ctx, pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
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
	return epoch, err
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
	first, err := anchor.InForce(t.Context(), d.App)
	if err != nil {
		t.Fatal(err)
	}
	second, err := publish(t.Context(), d.Pool, 2, "0 s", map[string]string{"H100-SXM-80GB": "1", "GH200": "0.6"})
	if err != nil {
		t.Fatal(err)
	}
	third, err := publish(t.Context(), d.Pool, 3, "1 hour", map[string]string{"H100-SXM-80GB": "0.9"})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := anchor.InForce(t.Context(), d.App); err != nil || e.ID != second || len(e.Factors) != 2 {
		t.Errorf("in force: epoch %d, %v", e.Number, err)
	}
	now := time.Now()
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
		rate, err := readRate(t, d.App, tc.class, tc.at)
		if rate.Epoch != tc.epoch || !rate.K.Equal(decimal.RequireFromString(tc.k)) || !errors.Is(err, tc.err) {
			t.Errorf("%s at %s: %s of %s, %v", tc.class, tc.at, rate.K, rate.Epoch, err)
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
		_, err := publish(t.Context(), d.Pool, tc.number, tc.effectiveAt, tc.factors)
		refused(t, tc.what, err, tc.code, tc.guard)
	}
	if _, err := publish(t.Context(), d.Pool, 2, "1 hour", h100); err != nil {
		t.Errorf("the next one: %v", err)
	}
	_, err := publish(t.Context(), d.Pool, 3, "1 minute", h100)
	refused(t, "earlier than one announced", err, "BL004", "epochs_follow_each_other")
	_, err = d.Pool.Exec(t.Context(), `INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
		VALUES (gen_random_uuid(), 3, now() + interval '2 hours', 'H100-SXM-80GB', 'm', 'a', sha256('b'))`)
	refused(t, "another hash", err, "23514", "epochs_inputs_have_their_hash")
	_, err = d.Pool.Exec(t.Context(), `INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256, created_at)
		VALUES (gen_random_uuid(), 3, now() + interval '2 hours', 'H100-SXM-80GB', 'm', 'a', sha256('a'), now() - interval '1 s')`)
	refused(t, "another time of writing", err, "BL004", "epochs_follow_each_other")
}

func TestAppOnlyReads(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	for _, table := range []string{"gpu_classes", "epochs", "epoch_factors"} {
		for _, sql := range []string{"INSERT INTO %s DEFAULT VALUES", "DELETE FROM %s", "TRUNCATE %s"} {
			_, err := d.App.Exec(t.Context(), strings.Replace(sql, "%s", table, 1))
			refused(t, sql+" "+table, err, "42501", "")
		}
	}
	_, err := d.App.Exec(t.Context(), `UPDATE epoch_factors SET k = 2`)
	refused(t, "UPDATE", err, "42501", "")
	if err := anchor.Seed(t.Context(), d.App); err == nil {
		t.Error("the run-time role seeded")
	}
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
	if err != nil || len(checks) != 1 || !checks[0].OK {
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
	if _, err := publish(t.Context(), d.Pool, 2, "1 hour", map[string]string{"H100-SXM-80GB": "1"}); err != nil {
		t.Fatal(err)
	}
	if checks, err := anchor.Checks(t.Context(), d.App); err != nil || checks[0].OK || !strings.Contains(checks[0].Detail, "epoch 2") {
		t.Errorf("an unknown method: %+v, %v", checks, err)
	}
}
