package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/embedded"
)

// endowment is what every account has at the start, in millionths: more than a run can spend.
const endowment = 1_000_000_000_000_000

// rig is a Postgres with the yardstick and the ledger in it, and the API as a process of its own.
type rig struct {
	opts   options
	dir    string
	server *embedded.Server
	owner  *pgxpool.Pool
	api    *exec.Cmd
	addr   string
	// guard is the function that wants entries for the log, once it was asked for.
	guard string
	// logDir is where the API keeps its log.
	logDir   string
	key      string
	holder   uuid.UUID
	accounts []uuid.UUID
	// payees has the second half of the accounts where events are measured, and payeesKey is its key. Otherwise it is the holder.
	payees    uuid.UUID
	payeesKey string
	// operatorKey may mint against pledges, which are their ids on the wire.
	operatorKey string
	pledges     []string
	cleanup     []func()
}

func newRig(ctx context.Context, opts options) (r *rig, err error) {
	r = &rig{opts: opts}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for _, step := range []func(context.Context) error{r.startPostgres, r.buildAPI, r.createRole, r.openAccounts, r.openPledges, r.createYardstick, r.startAPI} {
		if err := step(ctx); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *rig) close() {
	for _, clean := range slices.Backward(r.cleanup) {
		clean()
	}
}

// describe says on what the figures were measured.
func (r *rig) describe() string {
	return fmt.Sprintf("%s, %s, %d cores; %d accounts, %d connections, %d rounds of %d s, medians.",
		r.server.Version(), runtime.Version(), runtime.NumCPU(), r.opts.Accounts, r.opts.Connections, r.opts.Rounds, r.opts.Seconds)
}

func (r *rig) startPostgres(ctx context.Context) error {
	dir, err := embedded.MakeTempDir("ballast-bench-")
	if err != nil {
		return err
	}
	r.dir = dir
	r.cleanup = append(r.cleanup, func() { _ = os.RemoveAll(dir) })
	r.server, err = embedded.Start(ctx, embedded.Options{DataDir: filepath.Join(dir, "postgres"), Params: map[string]string{
		"shared_buffers": "1GB", "max_connections": "200", "min_wal_size": "3GB",
	}})
	if err != nil {
		return err
	}
	r.cleanup = append(r.cleanup, func() { _ = r.server.StopNow() }) //nolint:contextcheck // It waits for nothing.
	if err := r.runIn(ctx); err != nil {
		return err
	}
	for _, database := range []string{"ballast", "yardstick"} {
		if err := r.exec(ctx, "postgres", "CREATE DATABASE "+database); err != nil {
			return err
		}
	}
	r.owner, err = pg.Open(ctx, pg.Config{URL: r.server.SuperuserURL("ballast")})
	if err != nil {
		return err
	}
	r.cleanup = append(r.cleanup, func() { r.owner.Close() })
	return nil
}

// runIn makes the server one that has been running: its buffers have been used, and there are segments of the write-ahead log to use again. On a new one, whatever is measured
// first pays for making them, by what it writes. The rows are inserted one by one into a table that is there: a table that is made from a query goes through a few buffers
// only.
func (r *rig) runIn(ctx context.Context) error {
	for _, sql := range []string{
		`CREATE TABLE used (filler text)`,
		`INSERT INTO used SELECT repeat(md5(n::text), 32) FROM generate_series(1, 2000000) AS n`,
		`DROP TABLE used`,
		`CHECKPOINT`,
	} {
		if err := r.exec(ctx, "postgres", sql); err != nil {
			return fmt.Errorf("running the server in: %w", err)
		}
	}
	return nil
}

func (r *rig) exec(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, r.server.SuperuserURL(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func (r *rig) binary() string { return filepath.Join(r.dir, "api-under-test") }

func (r *rig) buildAPI(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", r.binary(), "github.com/ballast-compute/ballast/cmd/api") //nolint:gosec // our own program
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the API: %w", err)
	}
	migrate := exec.CommandContext(ctx, r.binary(), "migrate", "up") //nolint:gosec // our own program
	migrate.Env = append(os.Environ(), "DATABASE_URL="+r.server.SuperuserURL("ballast"))
	if out, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("migrating: %w\n%s", err, out)
	}
	return nil
}

const appPassword = "bench-only-on-loopback" //nolint:gosec // of a server that lives as long as the run

// createRole makes the login of the API, which has no rights but those of ballast_app.
func (r *rig) createRole(ctx context.Context) error {
	return r.exec(ctx, "ballast", "CREATE ROLE bench_api LOGIN PASSWORD '"+appPassword+"' IN ROLE ballast_app")
}

// openAccounts makes a holder with an API key and gives each of its accounts an endowment.
func (r *rig) openAccounts(ctx context.Context) error {
	store := access.NewStore(r.owner)
	holder, err := store.CreateHolder(ctx, access.NewHolder{Name: "bench"})
	if err != nil {
		return err
	}
	r.holder = holder.ID
	if _, r.key, err = store.CreateKey(ctx, access.NewKey{Role: access.RoleHolder, HolderID: holder.ID, Name: "bench"}); err != nil {
		return err
	}
	if err := r.openPayees(ctx, store); err != nil {
		return err
	}
	provider := id.New()
	if _, err := r.owner.Exec(ctx, `INSERT INTO providers (id, name) VALUES ($1, 'bench')`, provider); err != nil {
		return err
	}
	issuance, err := ledger.OpenTx(ctx, r.owner, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: provider})
	if err != nil {
		return err
	}
	books := ledger.New(r.owner, r.owner, ledger.Options{})
	commands := make([]*ledger.Command, 0, r.opts.Accounts)
	for i := range r.opts.Accounts {
		account, err := ledger.OpenTx(ctx, r.owner, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: r.holderOf(i)})
		if err != nil {
			return err
		}
		r.accounts = append(r.accounts, account.ID)
		commands = append(commands, &ledger.Command{
			Kind: ledger.KindMint, Call: ledger.Call{Caller: provider, Digest: uuid.New(), Request: uuid.New()},
			Moves: []ledger.Move{{From: issuance.ID, To: account.ID, Amount: money.Micros(endowment)}},
		})
	}
	for _, v := range books.Submit(ctx, commands...) {
		if v.Err != nil {
			return v.Err
		}
	}
	return books.Close(ctx)
}

// startAPI runs the API and waits until it is ready.
func (r *rig) startAPI(ctx context.Context) error {
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	r.addr = addr
	r.api = exec.CommandContext(ctx, r.binary(), "serve") //nolint:gosec // our own program
	r.api.Env = append(os.Environ(), "DATABASE_URL="+r.server.URL("ballast", "bench_api", appPassword), "BALLAST_ADDR="+addr)
	if r.opts.Events {
		r.api = r.apiThatCallsLoopback(ctx)
	}
	if err := r.keepLog(ctx); err != nil {
		return err
	}
	return r.runAPI(ctx, "api.log")
}

// runAPI runs what startAPI has put together, with its access log in a file of that name, until the end.
func (r *rig) runAPI(ctx context.Context, name string) error {
	log, err := os.Create(filepath.Join(r.dir, name)) //nolint:gosec // a name of ours
	if err != nil {
		return err
	}
	r.api.Stdout, r.api.Stderr = log, log
	if err := r.api.Start(); err != nil {
		return err
	}
	api := r.api
	r.cleanup = append(r.cleanup, func() {
		_ = api.Process.Signal(os.Interrupt)
		_ = api.Wait()
	})
	return r.awaitReady(ctx)
}

func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (r *rig) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	log, _ := os.ReadFile(filepath.Join(r.dir, "api.log"))
	return fmt.Errorf("the API does not get ready: %s", log)
}

// memory returns a field of the API's process status in MiB: VmRSS is what it has, VmHWM the most that it had.
func (r *rig) memory(field string) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", r.api.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // read only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			var kib float64
			_, err := fmt.Sscan(rest, &kib)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in the process's status", field)
}
