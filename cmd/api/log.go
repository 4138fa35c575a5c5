package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/witness"
)

const (
	// integrateEvery is how long the log rests between two checkpoints, syncEvery how long between two times that all of it is brought to disk, progressEvery how
	// long until its metrics are read again, and cosignEvery how long until witnesses are asked about a new checkpoint.
	integrateEvery = 800 * time.Millisecond
	progressEvery  = 2 * time.Second
	syncEvery      = 30 * time.Second
	cosignEvery    = 200 * time.Millisecond
	// witnessTimeout is for one witness's answer; once enough have answered, the others have witnessGrace left.
	witnessTimeout = 2 * time.Second
	witnessGrace   = 300 * time.Millisecond

	// devOrigin begins the origin of the log that dev keeps.
	devOrigin  = "localhost/ballast-dev"
	logKeyFile = "log-key"
	logDirName = "log"
)

// checkLog reads the key. Key and directory make a log together.
func (s *settings) checkLog() error {
	if (s.LogKey == "") != (s.LogDir == "") {
		return errors.New("it goes with BALLAST_LOG_DIR: set both, or neither for a server without a log")
	}
	if s.LogKey == "" {
		return nil
	}
	var err error
	if s.logKey, err = translog.ParseKey(s.LogKey); err != nil {
		return errors.New("it is not a signing key: api log keygen makes one")
	}
	return nil
}

func readWitnesses(file string) (*witness.Policy, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // no policy is no error
	}
	text, err := os.ReadFile(file) //nolint:gosec // named by whoever runs the server
	if err != nil {
		return nil, err
	}
	return witness.ParsePolicy(text)
}

// drawLog gives dev a log of its own in its data directory, unless the environment has one.
func (p *program) drawLog() error {
	if p.settings.logKey != nil {
		return nil
	}
	dir := dataDir(p.settings.dataDir())
	if err := os.MkdirAll(dir.path(logDirName), dataDirMode()); err != nil {
		return err
	}
	var drawErr error
	text, err := dir.drawn(logKeyFile, func() (skey string) {
		skey, drawErr = translog.NewKey(devOrigin)
		return skey
	})
	if err := errors.Join(err, drawErr); err != nil {
		return err
	}
	p.settings.LogDir = dir.path(logDirName)
	if p.settings.logKey, err = translog.ParseKey(text); err != nil {
		return fmt.Errorf("%s: %w", dir.path(logKeyFile), err)
	}
	return nil
}

// openLog opens the log, if there is to be one.
func (v *service) openLog() (err error) {
	if v.settings.logKey == nil {
		return nil
	}
	if v.translog, err = translog.Open(v.reads, v.settings.LogDir, v.settings.logKey); err != nil {
		return fmt.Errorf("BALLAST_LOG_DIR: %w", err)
	}
	v.translog.Liabilities = translog.NewLiabilities(v.reads, v.translog.Store, v.settings.logKey, translog.LiabilitiesOptions{
		Every: v.settings.LiabilitiesEvery, Keep: v.settings.LiabilitiesKeep, Logger: v.log,
	})
	v.integrator = translog.NewIntegrator(v.reads, v.horizon, v.translog.Store, v.settings.logKey)
	v.integrator.TakeFrom(v.handOver)
	return nil
}

// prepareLog brings the log up to the journal before anything is served. It refuses to serve on a database that does not have what was published: all that
// would be committed on it could never be in the log.
func (v *service) prepareLog(ctx context.Context) error {
	if v.translog == nil {
		return nil
	}
	if n, err := v.books.FillLog(ctx); err != nil || n > 0 {
		v.log.InfoContext(ctx, "the journal's past has its entries for the log", slog.Int("entries", n))
		if err != nil {
			return err
		}
	}
	if err := v.translog.Announce(ctx); err != nil {
		return err
	}
	_, err := v.integrator.Step(ctx)
	return explainLog(err)
}

// explainLog says what is to be done.
func explainLog(err error) error {
	switch {
	case errors.Is(err, translog.ErrDatabaseBehind):
		return fmt.Errorf("%w: it was restored from an old backup, or is another's. Replay its write-ahead log to the end, or name the store that belongs to it", err)
	case errors.Is(err, translog.ErrTilesLost):
		return fmt.Errorf("%w: the machine stopped before it was on disk, and the database was restored from an old backup. Replay its write-ahead log to the end, or bring the store's files back from a copy, such as a verifier's", err)
	case errors.Is(err, translog.ErrStoreBehind):
		return fmt.Errorf("%w: name the store that belongs to this database in BALLAST_LOG_DIR, or bring it back from where it was kept", err)
	}
	return err
}

// logLoops publish what is committed, and have it cosigned.
func (v *service) logLoops() []jobs.Loop {
	if v.translog == nil {
		return nil
	}
	metrics := newLogMetrics(v.metrics.Registry)
	loops := []jobs.Loop{{Every: integrateEvery, Sweep: jobs.Sweep{Name: "integrate_log", Run: func(ctx context.Context) (int, error) {
		taken, err := v.integrator.Step(ctx)
		err = explainLog(err)
		metrics.stepped(err)
		if taken < translog.MaxTaken {
			taken = 0 // There is time until the next step.
		}
		return taken, err
	}}}, {Every: progressEvery, Sweep: jobs.Sweep{Name: "log_progress", Run: func(ctx context.Context) (int, error) {
		return 0, metrics.refresh(ctx, v.translog)
	}}}, {Every: syncEvery, Sweep: jobs.Sweep{Name: "sync_log", Run: func(ctx context.Context) (int, error) {
		return 0, v.integrator.Sync(ctx)
	}}}}
	if v.settings.witnesses == nil {
		return loops
	}
	collector := witness.NewCollector(v.settings.witnesses, witness.NewClient(witnessTimeout), witnessGrace)
	cosigning := translog.NewCosigning(v.translog, func(ctx context.Context, signed []byte, prove translog.Prove) ([]byte, bool) {
		c := collector.Collect(ctx, signed, witness.ProofFunc(prove))
		metrics.cosigned(c)
		return c.Signed, c.Satisfied
	})
	return append(loops, jobs.Loop{Every: cosignEvery, Sweep: jobs.Sweep{Name: "cosign_log", Run: func(ctx context.Context) (int, error) {
		_, err := cosigning.Step(ctx)
		return 0, err
	}}})
}

type logCommands struct {
	Keygen logKeygen `cmd:"" help:"Make a key for a log, and print it with the one by which anybody can verify it."`
}

type logKeygen struct {
	Origin string `arg:"" help:"The log's name: the address at which it is published, without https://, such as ballast.example/log."`
}

// Run needs no database.
func (c logKeygen) Run(p *program) error {
	skey, err := translog.NewKey(c.Origin)
	if err != nil {
		return usageError{err}
	}
	key, err := translog.ParseKey(skey)
	if err != nil {
		return usageError{fmt.Errorf("%q can be no log's name: it has no spaces and no plus signs", c.Origin)}
	}
	_, err = fmt.Fprintf(p.stdout, "BALLAST_LOG_KEY=%s\nverifier key: %s\n", skey, key.Text)
	return err
}

// prepareDev is prepareToServe for dev, whose database is its own.
func (v *service) prepareDev(ctx context.Context) (net.Listener, error) {
	if err := v.prepareLog(ctx); err != nil {
		return nil, err
	}
	return listen(ctx, v.settings.Addr)
}
