package translog

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

const millionAccountsSQL = `
WITH made AS (
    INSERT INTO accounts (id, asset, kind, holder_id, may_go_negative, credits, balance, version, previous_version)
    SELECT gen_random_uuid(), 'SCH', 'holder', $1, false, n % 1000 * 1234567, n % 1000 * 1234567, 1, 0 FROM generate_series(1, $2) AS n
    RETURNING balance
)
UPDATE accounts SET debits = debits + s.total, balance = balance - s.total FROM (SELECT sum(balance) AS total FROM made) AS s WHERE id = $3`

// A proof for a million accounts takes at most 30 s of one core's time, with reading them from the database and writing the tree. What the clock says besides is the other
// work of the machine, and is only told. BALLAST_LONG=1 runs it.
//
//nolint:paralleltest // it measures, on one core
func TestLiabilitiesOfAMillionAccounts(t *testing.T) {
	if os.Getenv("BALLAST_LONG") == "" {
		t.Skip("BALLAST_LONG is not set")
	}
	const accounts, most = 1_000_000, 30 * time.Second
	w := newWorld(t)
	err := pg.InTx(t.Context(), w.db.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), millionAccountsSQL, w.holder, accounts, w.issuance)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.exec(`ANALYZE accounts`)
	w.integrate(w.integrator())
	w.transfer(1000) // To be left out.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := w.liabilities(LiabilitiesOptions{})
	began, used := time.Now(), cpuTime(t)
	made := w.publish(l)
	took := time.Since(began)
	used = cpuTime(t) - used
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	info, err := os.Stat(l.trees.path(made))
	if err != nil {
		t.Fatal(err)
	}
	w.integrate(w.integrator())
	began = time.Now()
	const proofs = 1000
	for range proofs {
		if _, err := l.Proof(t.Context(), w.accounts[0]); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d accounts in %v, %v of them computing; %d MiB of the system in all; a file of %d MiB; a holder's document in %v", made.Accounts, took.Round(10*time.Millisecond), used.Round(10*time.Millisecond),
		memory.Sys>>20, info.Size()>>20, (time.Since(began) / proofs).Round(10*time.Microsecond))
	if made.Accounts != accounts+2 || used > most {
		t.Errorf("%d accounts took %v, want at most %v", made.Accounts, used, most)
	}
}

// cpuTime is what this process has computed for.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
