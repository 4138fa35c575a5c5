// Package pg is Ballast's one door to Postgres: it opens connection pools, runs functions in transactions that
// retry what Postgres asks to be retried, and sorts errors into the few classes that callers decide by. It knows
// no table of Ballast's.
package pg

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	applicationName       = "ballast"
	defaultConnectTimeout = 5 * time.Second
	maxConnLifetime       = time.Hour
	maxConnLifetimeJitter = 10 * time.Minute
	maxConnIdleTime       = 10 * time.Minute
	healthCheckPeriod     = 15 * time.Second
	pingTimeout           = 2 * time.Second
)

// Config says how a pool reaches Postgres. Only URL is required.
type Config struct {
	// URL is a connection string as libpq knows it: postgres://user:password@host:port/database?sslmode=….
	// Behind pgbouncer in transaction mode it must say default_query_exec_mode=cache_describe.
	URL string

	// MaxConns bounds the connections that the pool keeps. 0 leaves it to pool_max_conns in the URL, or else to
	// pgx, which takes the larger of 4 and the number of CPUs.
	MaxConns int32

	// Role, unless empty, is assumed by every connection as soon as it is made (as SET ROLE would), so that a login
	// with more rights runs with fewer. It cannot be combined with a pooler: log in as a member of the role there.
	Role string

	// StatementTimeout makes the server end a statement that runs for longer. 0 leaves the server's own setting.
	// A pooler refuses it as a connection parameter; set it on the login (ALTER ROLE … SET) there. Open ignores
	// it in that case.
	StatementTimeout time.Duration

	// Tracer, unless nil, observes every query, for example to make OpenTelemetry spans.
	Tracer pgx.QueryTracer
}

// Open returns a pool for config. It does not wait for the server: connections are made when they are first
// needed, so that a process can start, and say that it is not ready, while its database is away. An error
// therefore means that config itself is wrong. The caller closes the pool; ctx bounds only Open.
func Open(ctx context.Context, config Config) (*pgxpool.Pool, error) {
	poolConfig, err := poolConfig(config)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return pool, nil
}

func poolConfig(config Config) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err) // pgx leaves the password out of this error.
	}
	if config.MaxConns > 0 {
		pc.MaxConns = config.MaxConns
	}
	pc.MaxConnLifetime = maxConnLifetime
	pc.MaxConnLifetimeJitter = maxConnLifetimeJitter
	pc.MaxConnIdleTime = maxConnIdleTime
	pc.HealthCheckPeriod = healthCheckPeriod
	pc.PingTimeout = pingTimeout
	pc.ConnConfig.Tracer = config.Tracer
	pc.AfterConnect = KnowTypes
	if pc.ConnConfig.ConnectTimeout == 0 || pc.ConnConfig.ConnectTimeout > time.Minute {
		pc.ConnConfig.ConnectTimeout = defaultConnectTimeout
	}
	if err := setRuntimeParams(pc.ConnConfig, config); err != nil {
		return nil, err
	}
	return pc, nil
}

func setRuntimeParams(cc *pgx.ConnConfig, config Config) error {
	params := cc.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = applicationName
	}
	if behindPooler(cc) {
		if config.Role != "" {
			return fmt.Errorf("role %q cannot be assumed through a pooler: log in as a member of it", config.Role)
		}
		return nil
	}
	if config.Role != "" {
		params["role"] = config.Role
	}
	if config.StatementTimeout > 0 {
		ms := math.Ceil(float64(config.StatementTimeout) / float64(time.Millisecond))
		params["statement_timeout"] = strconv.Itoa(int(ms))
	}
	return nil
}

// behindPooler goes by the query mode, since nobody asks for a mode without prepared statements on a server
// that they reach directly.
func behindPooler(cc *pgx.ConnConfig) bool {
	return cc.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement
}
