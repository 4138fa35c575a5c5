package main_test

import (
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func TestAnEpochIsRecomputed(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	env := []string{"DATABASE_URL=" + d.AppURL}
	first := runBinary(t, env, "anchor", "recompute", "--epoch", "1")
	first.want(t, 0, "GPU CLASS", "H200-SXM-141GB  1.237091  1.237091", "link            1", "everything is the same", "reference H100-SXM-80GB",
		"inputs f6190401b8bf818fb7e9e057bbba99e5937ea1ab47ef8f4b4235940c7c653553")
	if lines := strings.Count(first.stdout, "\n"); lines != 1+1+12+1+1 {
		t.Errorf("%d lines: %s", lines, first.stdout)
	}
	epoch, _, _ := strings.Cut(first.stdout, ",")
	if byID := runBinary(t, env, "anchor", "recompute", "--epoch", epoch); byID.stdout != first.stdout {
		t.Errorf("by its id: %s%s", byID.stdout, byID.stderr)
	}
	runBinary(t, env, "anchor", "recompute", "--epoch", "2").want(t, 1, "no such epoch")
	runBinary(t, env, "anchor", "recompute", "--epoch", id.Format(id.Epoch, id.New())).want(t, 1, "no such epoch")
	runBinary(t, env, "anchor", "recompute", "--epoch", "first").want(t, 2, "--epoch")
	runBinary(t, env, "anchor", "recompute").want(t, 2, "--epoch")

	execute(t, d.Pool, `SET session_replication_role = replica; UPDATE epoch_factors SET k = 1.3 WHERE gpu_class = 'H200-SXM-141GB'`)
	runBinary(t, env, "anchor", "recompute", "--epoch", "1").want(t, 1, "H200-SXM-141GB  1.300000  1.237091      NOT THE SAME", "it is NOT the same", "not what follows")
	execute(t, d.Pool, `SET session_replication_role = replica; DELETE FROM epoch_factors WHERE gpu_class = 'H200-SXM-141GB'`)
	runBinary(t, env, "anchor", "recompute", "--epoch", "1").want(t, 1, "H200-SXM-141GB  none      1.237091      NOT THE SAME")
	execute(t, d.Pool, `SET session_replication_role = replica; ALTER TABLE epochs DROP CONSTRAINT epochs_inputs_have_their_hash; UPDATE epochs SET inputs_sha256 = sha256('')`)
	runBinary(t, env, "anchor", "recompute", "--epoch", "1").want(t, 1, "another hash")
}
