package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func TestQuotesAreImportedFromAFile(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	env := []string{"DATABASE_URL=" + d.AppURL}
	good := "../../internal/anchor/data/gpu-quotes.csv"
	runBinary(t, env, "import", "quotes", good).want(t, 0, "285 new quotes (qbat_", "1 fixings of the index")
	runBinary(t, env, "import", "quotes", good).want(t, 0, "nothing is new", "--observed-at")
	runBinary(t, env, "import", "quotes", "--observed-at", "2026-01-02T03:04:05Z", good).want(t, 0, "285 new quotes")

	bad := filepath.Join(t.TempDir(), "bad.csv")
	text := "source,gpu_class,gpu_count,instance_type,region,price_usd_per_hour\na,GH200,1,i,r,2\nb,GH200,1,i,r,-2\nc,GH200,1,i\n"
	if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runBinary(t, env, "import", "quotes", bad).want(t, 1, "line 3: price_usd_per_hour: ", "line 4: row: ", "nothing of "+bad+" was taken: 2 faults")
	runBinary(t, env, "import", "quotes", "no-such-file.csv").want(t, 1, "no-such-file.csv")
	runBinary(t, env, "import", "quotes", "--observed-at", "yesterday", good).want(t, 2, "--observed-at")
	var kept int
	if err := d.Pool.QueryRow(t.Context(), `SELECT count(*) FROM quotes WHERE source IN ('a', 'b', 'c')`).Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d quotes of the bad file were kept, %v", kept, err)
	}
	runBinary(t, env, "check").want(t, 0, "index_follows_from_its_quotes")
}
