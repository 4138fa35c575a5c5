package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi"
	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/push"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
)

const (
	refreshBooksEvery = 15 * time.Second

	// gcPercent lets garbage pile up to several times what lives, which is little: collecting it less often is worth a tenth of
	// the transfers. memoryLimit bounds it.
	gcPercent = 400

	// memoryLimit is for the Go runtime, unless GOMEMLIMIT says otherwise: past it, garbage is collected more often. With what
	// is not Go's, the process stays below 150 MiB.
	memoryLimit = 100 << 20
)

// login is how the API enters the database.
type login struct {
	url string
	// role is assumed by every connection, or empty where the login itself has no more rights than it should.
	role string
}

// service is the API and what it works with.
type service struct {
	settings settings
	log      *slog.Logger

	reads, writes *pgxpool.Pool
	queue         *pgxpool.Pool // The job runner's.
	books         *ledger.Ledger
	horizon       *ledger.Horizon
	feed          *events.Feed
	store         *access.Store
	keys          *access.Authenticator
	vault         *vault.Vault
	// translog, integrator and what the write path hands over to it are nil where no log is kept.
	translog    *translog.Log
	integrator  *translog.Integrator
	handOver    *translog.HandOver
	outbound    *outbound.Client
	secrets     *push.Secrets
	redemptions *redeem.Redemptions
	dispatcher  *dispatch.Dispatcher
	runner      *jobs.Runner
	metrics     *httpapi.Metrics
	tracing     *httpapi.Tracing
	health      *httpapi.Health
	handler     http.Handler
}

// openService puts the API together. It does not wait for the database. The caller runs it, or closes it.
func openService(ctx context.Context, s settings, log *slog.Logger, db login, more ...httpapi.Check) (*service, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	v := &service{settings: s, log: log, metrics: httpapi.NewMetrics()}
	var err error
	if v.tracing, err = httpapi.StartTracing(ctx, s.OTLPEndpoint, version(), log); err != nil {
		return nil, err
	}
	if err := v.openPools(ctx, db); err != nil {
		return nil, errors.Join(err, v.tracing.Shutdown(ctx))
	}
	v.books = ledger.New(v.reads, v.writes, v.writePath())
	v.vault = vault.New(s.secretKeys, v.reads)
	v.outbound = outbound.New(outbound.Config{
		AllowLoopback: s.callLoopback, Forbidden: s.denied, Connect: s.CallTimeout / 3, Header: s.CallTimeout / 3 * 2, Total: s.CallTimeout,
	})
	v.redemptions = redeem.New(v.reads, v.books)
	v.secrets = push.NewSecrets(v.reads, v.vault)
	v.dispatcher = dispatch.New(v.reads, v.redemptions, push.NewCaller(v.outbound, v.secrets), dispatch.Options{
		Call:  s.CallTimeout,
		Sends: s.sends, Queries: s.queries, Observer: newPushMetrics(v.metrics.Registry), Logger: log,
	})
	v.horizon = ledger.NewHorizon(v.reads)
	v.feed = events.NewFeed(v.reads, v.books, v.horizon)
	v.store = access.NewStore(v.reads)
	v.keys = access.NewAuthenticator(v.reads, log) //nolint:contextcheck // As above.
	if err := v.openLog(); err != nil {
		return nil, errors.Join(err, v.close(ctx))
	}
	if v.runner, err = v.newRunner(); err != nil {
		return nil, errors.Join(err, v.close(ctx))
	}
	v.health = httpapi.NewHealth(log, append(more, httpapi.Check{Name: "database", Probe: v.probe})...)
	registerQueue(v.metrics.Registry, v.books.Waiting)
	v.metrics.Registry.MustRegister(newPoolMetrics(map[string]*pgxpool.Pool{"reads": v.reads, "writes": v.writes, "jobs": v.queue}))
	v.handler = v.newHandler()
	return v, nil
}

// writePath is how the write path is run.
func (v *service) writePath() ledger.Options {
	s := v.settings
	opts := ledger.Options{
		Workers: s.WriteWorkers, MaxBatch: s.MaxBatch, MaxQueue: s.MaxQueue,
		Observer: newWritePathMetrics(v.metrics.Registry), Logger: v.log,
	}
	if s.logKey != nil {
		v.handOver = translog.NewHandOver(translog.HandOverRoom)
		promises := s.logKey.Promises()
		opts.Seal = func(g *leaf.Group) {
			v.handOver.Keep(g)
			promises.Seal(g)
		}
	}
	return opts
}

// openPools keeps the write path's connections apart, so that no flood of reads can take them, and the job queue's as well.
func (v *service) openPools(ctx context.Context, db login) (err error) {
	config := pg.Config{URL: db.url, Role: db.role, MaxConns: int32(v.settings.ReadConns), Tracer: v.queryTracer()} //nolint:gosec // At most 1000.
	config.StatementTimeout = v.settings.RequestTimeout
	if v.reads, err = pg.Open(ctx, config); err != nil {
		return err
	}
	config.MaxConns = int32(v.settings.WriteWorkers) + 1 //nolint:gosec // At most 65; one more, for the one that replaces a broken one.
	if v.writes, err = pg.Open(ctx, config); err != nil {
		v.reads.Close()
		return err
	}
	config.MaxConns, config.Tracer = jobs.Conns, nil // A queue that is polled would fill any collector.
	if v.queue, err = pg.Open(ctx, config); err != nil {
		v.writes.Close()
		v.reads.Close()
	}
	return err
}

func (v *service) queryTracer() pgx.QueryTracer {
	if v.tracing == nil {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(v.tracing.Provider()), otelpgx.WithDisableConnectionDetailsInAttributes())
}

// probe asks whether requests can be served. It needs a writable database: a standby cannot serve.
func (v *service) probe(ctx context.Context) error {
	var standby bool
	if err := v.reads.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
		return err
	}
	if standby {
		return errors.New("the database is a read-only standby")
	}
	return nil
}

// run serves on ln, which it closes, until ctx ends; then it answers what it accepted, and closes everything. The grace
// period is shared: four fifths for the requests under way, and at the same time the sweeps, one for the rest.
func (v *service) run(ctx context.Context, ln net.Listener) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	background := v.startBackground(working)
	rest := v.settings.ShutdownGrace / 5
	server := httpapi.NewServer(httpapi.ServerConfig{
		Handler: v.handler, Health: v.health, Logger: v.log,
		DrainDelay: v.settings.DrainDelay, ShutdownTimeout: v.settings.ShutdownGrace - rest,
	})
	err := server.Serve(ctx, ln)
	stop()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), rest)
	defer cancel()
	background.Wait()
	return errors.Join(err, v.close(closing))
}

// close ends what openService began, in the reverse order: the write path gives every command its verdict, last uses of
// keys are recorded, connections and spans go last.
func (v *service) close(ctx context.Context) error {
	v.outbound.Close()
	err := errors.Join(v.books.Close(ctx), v.keys.Close(ctx))
	closed := make(chan struct{})
	go func() { // Ends with the process at the latest.
		v.queue.Close()
		v.writes.Close()
		v.reads.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-ctx.Done(): // Somebody reads, at length. The server rolls that back when the process is gone.
		v.log.WarnContext(ctx, "connections to the database were still in use")
	}
	return errors.Join(err, v.tracing.Shutdown(ctx))
}

// newHandler puts the routes on top of the domain.
func (v *service) newHandler() http.Handler {
	return httpapi.New(httpapi.API{
		Ledger: v.books, Auditor: ledger.NewAuditor(v.reads, v.log, redeem.CheckJournal, providers.CheckJournal, anchor.CheckIndex), Access: v.store, Pool: v.reads,
		Providers: providers.NewStore(v.reads, v.books), Coverage: coverage.NewStore(v.reads), Redemptions: v.redemptions,
		Vault: v.vault, Vouchers: voucher.NewStore(v.reads, v.vault), Outbound: v.outbound, Dispatcher: v.dispatcher, Secrets: v.secrets, Callbacks: push.NewCallbacks(v.redemptions, v.secrets),
		Feed: v.feed, Webhooks: events.NewWebhooks(v.reads, v.feed, v.vault),
		Log:            v.translog,
		RequestTimeout: v.settings.RequestTimeout,
	}, httpapi.Transport{
		Logger: v.log, Authenticate: v.keys.Authenticate, Metrics: v.metrics, Health: v.health, Tracing: v.tracing,
		RateLimit: v.settings.rateLimit, Origins: v.settings.origins, TrustedProxies: v.settings.proxies,
	})
}
