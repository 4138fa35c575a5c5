package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func emptyDatabase(t *testing.T) *pgtest.Database {
	t.Helper()
	return pgtest.New(t, pgtest.WithMigrations(nil))
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func open(t *testing.T, config pg.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func setting(t *testing.T, pool *pgxpool.Pool, name string) (value string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

type countingTracer struct{ queries atomic.Int32 }

func (c *countingTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}

func (*countingTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestOpenAppliesTheConfig(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	tracer := &countingTracer{}
	pool := open(t, pg.Config{
		URL: d.URL, MaxConns: 3, Role: "pg_monitor", StatementTimeout: 1500 * time.Millisecond, Tracer: tracer,
	})
	for name, want := range map[string]string{
		"application_name": "ballast", "role": "pg_monitor", "statement_timeout": "1500ms",
	} {
		if got := setting(t, pool, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := pool.Config().MaxConns; got != 3 {
		t.Errorf("MaxConns is %d", got)
	}
	if tracer.queries.Load() == 0 {
		t.Error("the tracer saw nothing")
	}
}

// A pooler refuses connection parameters that it does not know.
func TestOpenBehindAPoolerSendsNoOtherParameters(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	url := d.URL + "&default_query_exec_mode=cache_describe"
	pool := open(t, pg.Config{URL: url, StatementTimeout: time.Second})
	if got := setting(t, pool, "statement_timeout"); got != "0" {
		t.Errorf("statement_timeout is %q", got)
	}
	if _, err := pg.Open(t.Context(), pg.Config{URL: url, Role: "pg_monitor"}); err == nil {
		t.Error("a role that cannot be assumed was accepted")
	}
}

func TestOpenDoesNotWaitForTheServer(t *testing.T) {
	t.Parallel()
	pool := open(t, pg.Config{URL: "postgres://u:p@127.0.0.1:1/db"})
	if err := pool.Ping(t.Context()); !pg.IsUnavailable(err) {
		t.Errorf("ping: %v, want unavailable", err)
	}
	if _, err := pg.Open(t.Context(), pg.Config{URL: "postgres://%zz"}); err == nil {
		t.Error("a malformed URL was accepted")
	}
}

func TestInTxCommitsAndRollsBack(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	exec(t, d.Pool, "CREATE TABLE t (n int)")
	refusal := errors.New("refused")
	add := func(tx pgx.Tx, verdict error) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		return errors.Join(err, verdict)
	}
	if err := pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error { return add(tx, nil) }); err != nil {
		t.Fatal(err)
	}
	err := pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error { return add(tx, refusal) })
	if !errors.Is(err, refusal) {
		t.Errorf("got %v, want the function's own error", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error { _ = add(tx, nil); panic("oops") })
	}()
	var n int
	if err := d.Pool.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v; want the one that was committed", n, err)
	}
	if held := d.Pool.Stat().AcquiredConns(); held != 0 {
		t.Errorf("%d connections were not given back", held)
	}
}

// Without retries, most of these increments would fail with 40001.
func TestInTxRetriesSerializationFailures(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	exec(t, d.Pool, "CREATE TABLE counter AS SELECT 0 AS n")
	const workers, each = 4, 25
	var calls atomic.Int32
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				err := pg.InTx(t.Context(), d.Pool, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
					calls.Add(1)
					var n int
					if err := tx.QueryRow(t.Context(), "SELECT n FROM counter").Scan(&n); err != nil {
						return fmt.Errorf("read: %w", err)
					}
					_, err := tx.Exec(t.Context(), "UPDATE counter SET n = $1", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	var n int
	if err := d.Pool.QueryRow(t.Context(), "SELECT n FROM counter").Scan(&n); err != nil || n != workers*each {
		t.Errorf("counter is %d, %v; want %d", n, err, workers*each)
	}
	if calls.Load() <= workers*each {
		t.Error("nothing was retried, so this proves nothing")
	}
}

func TestInTxGivesUpAfterTenAttempts(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	calls := 0
	err := pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		calls++
		_, err := tx.Exec(t.Context(), "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")
		return err
	})
	if !pg.IsRetryable(err) || calls != 10 {
		t.Errorf("%d calls, %v; want 10 and the last error", calls, err)
	}
}

func TestInTxReplacesConnectionsBrokenInThePool(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	pool := open(t, pg.Config{URL: d.URL + "&application_name=victim", MaxConns: 4})
	breakConnections(t, d.Pool, pool)
	for range 4 {
		if err := pg.InTx(t.Context(), pool, pgx.TxOptions{}, func(pgx.Tx) error { return nil }); err != nil {
			t.Errorf("over a broken connection: %v", err)
		}
	}
}

// breakConnections fills pool with connections, and makes the server end them.
func breakConnections(t *testing.T, admin, pool *pgxpool.Pool) {
	t.Helper()
	var conns []*pgxpool.Conn
	for range pool.Config().MaxConns {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Release()
	}
	exec(t, admin, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'victim'")
}

// The session ends itself while it commits, in a deferred trigger: a client cannot tell this from a shutdown
// just after the commit.
func TestInTxReportsAnAmbiguousCommitOnce(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	exec(t, d.Pool, `CREATE TABLE t (n int);
		CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION die()`)
	calls := 0
	err := pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		calls++
		_, err := tx.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		return err
	})
	if !pg.IsAmbiguous(err) || !pg.IsUnknownOutcome(err) || !pg.IsUnavailable(err) || pg.IsRetryable(err) || calls != 1 {
		t.Errorf("%d calls, %v (ambiguous %v, unknown %v, unavailable %v, retryable %v)", calls, err,
			pg.IsAmbiguous(err), pg.IsUnknownOutcome(err), pg.IsUnavailable(err), pg.IsRetryable(err))
	}
}

// A deferred constraint refuses at COMMIT, definitely.
func TestInTxKnowsADefiniteRefusalAtCommit(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	exec(t, d.Pool, "CREATE TABLE t (n int CONSTRAINT t_n_key UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	err := pg.InTx(t.Context(), d.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO t VALUES (1), (1)")
		return err
	})
	if pg.IsAmbiguous(err) || !pg.IsUniqueViolation(err, "t_n_key") {
		t.Errorf("got %v, want a violation of t_n_key", err)
	}
}

func TestConstraintErrors(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	exec(t, d.Pool, "CREATE TABLE t (n int CONSTRAINT t_n_key UNIQUE CONSTRAINT t_n_positive CHECK (n > 0)); INSERT INTO t VALUES (1)")
	_, duplicate := d.Pool.Exec(t.Context(), "INSERT INTO t VALUES (1)")
	_, negative := d.Pool.Exec(t.Context(), "INSERT INTO t VALUES (-1)")
	duplicate, negative = fmt.Errorf("wrapped: %w", duplicate), fmt.Errorf("wrapped: %w", negative)
	for what, ok := range map[string]bool{
		"duplicate by name":          pg.IsUniqueViolation(duplicate, "t_n_key"),
		"duplicate by any name":      pg.IsUniqueViolation(duplicate, ""),
		"duplicate is not another":   !pg.IsUniqueViolation(duplicate, "t_pkey"),
		"duplicate is no check":      !pg.IsCheckViolation(duplicate, ""),
		"check by name":              pg.IsCheckViolation(negative, "t_n_positive"),
		"check's name":               pg.ConstraintName(negative) == "t_n_positive",
		"nil has no constraint":      pg.ConstraintName(nil) == "",
		"a refusal is no absence":    !pg.IsUnavailable(negative),
		"a refusal is not retryable": !pg.IsRetryable(negative),
	} {
		if !ok {
			t.Error("wrong: " + what)
		}
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	readOnly := open(t, pg.Config{URL: d.URL + "&default_transaction_read_only=on"})
	_, readOnlyErr := readOnly.Exec(t.Context(), "CREATE TABLE t (n int)")
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	_, cancelled := d.Pool.Exec(expired, "SELECT 1")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                {nil, false},
		"read-only":              {readOnlyErr, true},
		"too many connections":   {&pgconn.PgError{Code: "53300"}, true},
		"disk full":              {&pgconn.PgError{Code: "53100"}, true},
		"shutting down":          {&pgconn.PgError{Code: "57P01"}, true},
		"starting up":            {&pgconn.PgError{Code: "57P03"}, true},
		"connection failure":     {&pgconn.PgError{Code: "08006"}, true},
		"statement time-out":     {&pgconn.PgError{Code: "57014"}, false},
		"syntax":                 {&pgconn.PgError{Code: "42601"}, false},
		"reset":                  {fmt.Errorf("read: %w", syscall.ECONNRESET), true},
		"end of file":            {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		"closed":                 {net.ErrClosed, true},
		"the caller's own limit": {cancelled, false},
		"something else":         {errors.New("x"), false},
	} {
		if got := pg.IsUnavailable(c.err); got != c.want {
			t.Errorf("%s (%v): %v", name, c.err, got)
		}
	}
}

func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	conn, err := d.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	_, notSent := conn.Exec(expired, "COMMIT")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                     {nil, false},
		"not sent":                    {notSent, false},
		"rolled back instead":         {pgx.ErrTxCommitRollback, false},
		"serialization failure":       {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40001"}, false},
		"deferred constraint":         {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "23505"}, false},
		"resolution unknown":          {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "08007"}, true},
		"completion unknown":          {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40003"}, true},
		"shut down":                   {&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, true},
		"a pooler lost its server":    {&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "08P01"}, true},
		"panic":                       {&pgconn.PgError{SeverityUnlocalized: "PANIC", Code: "53100"}, true},
		"broken connection":           {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		"time-out awaiting an answer": {context.DeadlineExceeded, true},
	} {
		if got := pg.IsUnknownOutcome(c.err); got != c.want {
			t.Errorf("%s (%v): %v", name, c.err, got)
		}
	}
}

// lossy answers every COMMIT with err, after doing it.
type lossy struct {
	*pgxpool.Pool
	err error
}

type lossyTx struct {
	pgx.Tx
	err error
}

func (l lossy) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	tx, err := l.Pool.BeginTx(ctx, opts)
	return lossyTx{tx, l.err}, err
}

func (l lossyTx) Commit(ctx context.Context) error {
	return errors.Join(l.Tx.Commit(ctx), l.err)
}

// A session that the server ends for a serialization conflict may have committed before.
func TestInTxNeverRepeatsWhatMayHaveCommitted(t *testing.T) {
	t.Parallel()
	d := emptyDatabase(t)
	db := lossy{d.Pool, &pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "40001"}}
	calls := 0
	err := pg.InTx(t.Context(), db, pgx.TxOptions{}, func(pgx.Tx) error {
		calls++
		return nil
	})
	if calls != 1 || !pg.IsAmbiguous(err) || pg.IsRetryable(err) {
		t.Errorf("%d calls, %v; want one, and an ambiguous error", calls, err)
	}
}
