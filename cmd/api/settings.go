package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/httpapi"
	"github.com/ballast-compute/ballast/internal/pg/embedded"
	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/witness"
)

// settings is the environment. `api --help` prints what is written here.
type settings struct {
	Addr        string `env:"BALLAST_ADDR" envDefault:"127.0.0.1:8080" about:"Listen address; port 0 picks a free one."`
	DatabaseURL string `env:"DATABASE_URL,unset" about:"Postgres to use; dev starts one of its own without it."`
	DataDir     string `env:"BALLAST_DATA_DIR" about:"Where dev keeps Postgres's data and its keys."`
	OperatorKey string `env:"BALLAST_OPERATOR_KEY,unset" about:"dev: an operator key to make, 32 or more of A-Za-z0-9_."`
	SecretKeys  string `env:"BALLAST_SECRET_KEYS,unset" about:"Keys for secrets at rest; api secrets new makes one."`

	LogDir       string `env:"BALLAST_LOG_DIR" about:"Where the log is kept, outside of Postgres; none unless set."`
	LogKey       string `env:"BALLAST_LOG_KEY,unset" about:"The key that signs the log; api log keygen makes one."`
	LogWitnesses string `env:"BALLAST_LOG_WITNESSES" about:"File with the witnesses of the log, as C2SP's tlog-policy has it."`

	RequestTimeout time.Duration `env:"BALLAST_REQUEST_TIMEOUT" envDefault:"10s" about:"How long a request may take."`
	ShutdownGrace  time.Duration `env:"BALLAST_SHUTDOWN_GRACE" envDefault:"25s" about:"How long stopping may take."`
	DrainDelay     time.Duration `env:"BALLAST_DRAIN_DELAY" envDefault:"0s" about:"How long a stopping server still accepts requests."`
	RateLimit      string        `env:"BALLAST_RATE_LIMIT" about:"Per key, like 100/s or 6000/m; off unless set."`
	CORSOrigins    string        `env:"BALLAST_CORS_ORIGINS" about:"Web origins that may call, separated by commas."`
	TrustedProxies string        `env:"BALLAST_TRUSTED_PROXIES" about:"Networks whose X-Forwarded-For is believed."`
	OutboundDeny   string        `env:"BALLAST_OUTBOUND_DENY" about:"More networks that no webhook may go to, by commas."`

	LiabilitiesEvery time.Duration `env:"BALLAST_LIABILITIES_EVERY" envDefault:"1h" about:"How often the log proves what is owed."`
	LiabilitiesKeep  int           `env:"BALLAST_LIABILITIES_KEEP" envDefault:"72" about:"Trees of such proofs that are kept."`

	CallTimeout time.Duration `env:"BALLAST_CALL_TIMEOUT" envDefault:"15s" about:"How long a call may take; of a webhook, never over 15s."`
	PushRetries string        `env:"BALLAST_PUSH_RETRIES" about:"Pauses between calls of a provider; 5s,5m,30m,… for three days."`

	ReadConns    int `env:"BALLAST_READ_CONNS" envDefault:"8" about:"Connections for everything but the write path."`
	WriteWorkers int `env:"BALLAST_WRITE_WORKERS" envDefault:"1" about:"Groups that may be committed at once; one connection each."`
	MaxBatch     int `env:"BALLAST_MAX_BATCH" envDefault:"8000" about:"Transfers of one group at most; of mints, an eighth."`
	MaxQueue     int `env:"BALLAST_MAX_QUEUE" envDefault:"20000" about:"Commands that may wait; more are answered 503."`

	LogLevel     string `env:"BALLAST_LOG_LEVEL" about:"debug, info, warn or error; info for serve, warn for dev."`
	LogFormat    string `env:"BALLAST_LOG_FORMAT" about:"json or text; json for serve, text for dev."`
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" about:"OpenTelemetry collector for traces; off unless set."`

	secretKeys vault.Keyring
	// logKey and witnesses are nil where there are none.
	logKey    *translog.Key
	witnesses *witness.Policy
	rateLimit httpapi.RateLimit
	origins   []string
	proxies   []netip.Prefix
	denied    []netip.Prefix
	// sends and queries are the pauses between calls of providers; nil for those that are usual.
	sends, queries dispatch.Schedule
	// callLoopback lets providers and webhooks be on this machine: in dev.
	callLoopback bool
}

// readSettings reads an environment of NAME=value lines. The error names each variable that is wrong, and what is.
func readSettings(environ []string) (settings, error) {
	var s settings
	if err := env.ParseWithOptions(&s, env.Options{Environment: env.ToMap(environ)}); err != nil {
		return s, namedErrors(err)
	}
	return s, s.check()
}

// namedErrors puts the variable's name where the library has the field's.
func namedErrors(err error) error {
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return err
	}
	var named []error
	for _, one := range all.Errors {
		if parse, ok := errors.AsType[env.ParseError](one); ok {
			one = fmt.Errorf("%s: %w", variableOf(parse.Name), inWords(parse.Err))
		}
		named = append(named, one)
	}
	return errors.Join(named...)
}

func inWords(err error) error {
	if number, ok := errors.AsType[*strconv.NumError](err); ok {
		return fmt.Errorf("%q is not a whole number", number.Num)
	}
	return err
}

func variableOf(field string) string {
	f, _ := reflect.TypeFor[settings]().FieldByName(field)
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return cmp.Or(name, field)
}

var operatorKeyForm = regexp.MustCompile(`^[A-Za-z0-9_]{32,255}$`)

func (s *settings) check() error {
	var errs []error
	fail := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	var err error
	s.secretKeys, err = vault.ParseKeyring(s.SecretKeys)
	fail("BALLAST_SECRET_KEYS", err)
	fail("BALLAST_LOG_KEY", s.checkLog())
	s.witnesses, err = readWitnesses(s.LogWitnesses)
	fail("BALLAST_LOG_WITNESSES", err)
	s.rateLimit, err = httpapi.ParseRateLimit(s.RateLimit)
	fail("BALLAST_RATE_LIMIT", err)
	s.origins, err = httpapi.ParseOrigins(s.CORSOrigins)
	fail("BALLAST_CORS_ORIGINS", err)
	s.proxies, err = parseNetworks(s.TrustedProxies)
	fail("BALLAST_TRUSTED_PROXIES", err)
	s.denied, err = parseNetworks(s.OutboundDeny)
	fail("BALLAST_OUTBOUND_DENY", err)
	s.sends, err = parsePauses(s.PushRetries)
	s.queries = s.sends
	fail("BALLAST_PUSH_RETRIES", err)
	fail("BALLAST_ADDR", checkAddr(s.Addr))
	fail("DATABASE_URL", checkDatabaseURL(s.DatabaseURL))
	fail("BALLAST_OPERATOR_KEY", checkOperatorKey(s.OperatorKey))
	fail("OTEL_EXPORTER_OTLP_ENDPOINT", checkEndpoint(s.OTLPEndpoint))
	fail("BALLAST_REQUEST_TIMEOUT", within(s.RequestTimeout, time.Second, time.Minute))
	fail("BALLAST_SHUTDOWN_GRACE", within(s.ShutdownGrace, time.Second, time.Hour))
	fail("BALLAST_DRAIN_DELAY", within(s.DrainDelay, 0, time.Hour))
	fail("BALLAST_CALL_TIMEOUT", within(s.CallTimeout, time.Second, time.Minute))
	fail("BALLAST_LIABILITIES_EVERY", within(s.LiabilitiesEvery, time.Minute, 7*24*time.Hour))
	fail("BALLAST_LIABILITIES_KEEP", within(s.LiabilitiesKeep, 1, 100_000))
	fail("BALLAST_READ_CONNS", within(s.ReadConns, 2, 1000))
	fail("BALLAST_WRITE_WORKERS", within(s.WriteWorkers, 1, 64))
	fail("BALLAST_MAX_BATCH", within(s.MaxBatch, 1, 10_000))
	fail("BALLAST_MAX_QUEUE", within(s.MaxQueue, 1, 1_000_000))
	_, err = parseLevel(s.LogLevel, 0)
	fail("BALLAST_LOG_LEVEL", err)
	fail("BALLAST_LOG_FORMAT", checkFormat(s.LogFormat))
	return errors.Join(errs...)
}

func within[T cmp.Ordered](value, low, high T) error {
	if value < low || value > high {
		return fmt.Errorf("%v is not between %v and %v", value, low, high)
	}
	return nil
}

func checkAddr(addr string) error {
	if _, err := net.ResolveTCPAddr("tcp", addr); err != nil {
		return fmt.Errorf("%q is not a host and a port like 127.0.0.1:8080", addr)
	}
	return nil
}

func checkDatabaseURL(text string) error {
	if text == "" {
		return nil
	}
	_, err := pgxpool.ParseConfig(text) // Leaves the password out of its error.
	return err
}

func checkOperatorKey(key string) error {
	if key != "" && !operatorKeyForm.MatchString(key) {
		return errors.New("it must be 32 to 255 characters of A-Z, a-z, 0-9 and _")
	}
	return nil
}

func checkEndpoint(text string) error {
	if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%q is not a URL like http://127.0.0.1:4318", text)
	}
	return nil
}

func checkFormat(format string) error {
	switch format {
	case "", "json", "text":
		return nil
	}
	return fmt.Errorf("%q is neither json nor text", format)
}

func parseLevel(text string, unset slog.Level) (slog.Level, error) {
	level := unset
	if text == "" {
		return level, nil
	}
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return level, fmt.Errorf("%q is none of debug, info, warn and error", text)
	}
	return level, nil
}

// parseNetworks reads a list like 10.0.0.0/8,192.0.2.7.
func parseNetworks(list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); err != nil && addrErr == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network like 10.0.0.0/8", text)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// parsePauses reads a list like 1s,5s,1m of up to 100 pauses.
func parsePauses(list string) (dispatch.Schedule, error) {
	if list == "" {
		return nil, nil
	}
	var pauses dispatch.Schedule
	for text := range strings.SplitSeq(list, ",") {
		pause, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || pause < 100*time.Millisecond || pause > 7*24*time.Hour || len(pauses) == 100 {
			return nil, fmt.Errorf("%q is not a list like 5s,5m,2h of up to 100 pauses, each from 100ms to a week", list)
		}
		pauses = append(pauses, pause)
	}
	return pauses, nil
}

// dataDir is where dev keeps what it keeps.
func (s *settings) dataDir() string {
	if s.DataDir == "" {
		return embedded.DefaultDataDir()
	}
	return s.DataDir
}

// logger returns the log of a server: what the settings say, or what suits the command.
func (s *settings) logger(w io.Writer, format string, level slog.Level) *slog.Logger {
	level, _ = parseLevel(s.LogLevel, level) // Checked when it was read.
	if cmp.Or(s.LogFormat, format) == "text" {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return httpapi.NewLogger(w, level)
}

// printEnvironment lists the variables, as fits 100 columns.
func printEnvironment(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\nEnvironment:") // The table keeps errors for Flush.
	for field := range reflect.TypeFor[settings]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name == "" {
			continue
		}
		about := field.Tag.Get("about")
		if value := field.Tag.Get("envDefault"); value != "" {
			about += " Default " + value + "."
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\n", name, about)
	}
	return table.Flush()
}
