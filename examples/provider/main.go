// Provider is a small provider of GPU-hours: what an engineer of one would start from to deliver redemptions of Ballast. It keeps
// its grants in a file and delivers in each of the three ways: it is called (push), it polls (pull), or it loads voucher codes ahead (voucher).
// To see what Ballast makes of it, it can be told to fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are those of the command line.
type options struct {
	ballast, key string
	dir, listen  string
	transport    string
	later        bool
	poll         time.Duration
	faults, seed string
	percent      uint
	times        int
	each         bool
	vouchers     int
	class, hours string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{key: os.Getenv("BALLAST_PROVIDER_KEY")}
	f := flag.NewFlagSet("provider", flag.ContinueOnError)
	f.StringVar(&o.ballast, "ballast", "http://127.0.0.1:8080", "Ballast's `URL`")
	f.StringVar(&o.dir, "dir", "provider-data", "`directory` that keeps grants and secrets")
	f.StringVar(&o.listen, "listen", "127.0.0.1:9090", "`address` to be called at; port 0 picks a free one")
	f.StringVar(&o.transport, "transport", "push", "how to deliver: push, pull or voucher")
	f.BoolVar(&o.later, "later", false, "push: answer accepted, and tell by callback")
	f.DurationVar(&o.poll, "poll", time.Second, "pull: how long to wait while there is nothing to do")
	f.IntVar(&o.vouchers, "vouchers", 10, "voucher: how many codes to make and load")
	f.StringVar(&o.class, "class", "H100-SXM-80GB", "voucher: their GPU class")
	f.StringVar(&o.hours, "hours", "1", "voucher: the hours of each")
	f.StringVar(&o.faults, "faults", "", fmt.Sprintf("push: fail in these ways, with commas between: %v, or all", everyFault))
	f.UintVar(&o.percent, "fault-percent", 100, "push: how many of a hundred requests fail so")
	f.BoolVar(&o.each, "fault-each", false, "push: begin with a request that fails for each of the ways, whatever the percentage")
	f.IntVar(&o.times, "fault-times", 0, "push: how often at most anything goes wrong with one redemption; 0 for no limit")
	f.StringVar(&o.seed, "seed", "1", "push: what the faults are drawn from")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("%q is no option", f.Arg(0))
	case o.key == "":
		return nil, errors.New("BALLAST_PROVIDER_KEY is not set: it is this provider's API key at Ballast")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	grants, err := OpenGrants(filepath.Join(o.dir, "grants.jsonl"))
	if err != nil {
		return err
	}
	p := &provider{options: o, grants: grants, ballast: newBallast(o.ballast, o.key), out: out, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	deliver := map[string]func(context.Context) error{"push": p.push, "pull": p.pull, "voucher": p.voucher}[o.transport]
	if deliver == nil {
		err = fmt.Errorf("--transport %q is not push, pull or voucher", o.transport)
	} else {
		err = deliver(ctx)
	}
	return errors.Join(err, grants.Close())
}

type provider struct {
	*options
	grants  *Grants
	ballast *ballast
	out     io.Writer
	log     *slog.Logger
}

// say tells whoever started it how far it is.
func (p *provider) say(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format+"\n", args...) }

// push tells Ballast where to call, and waits for its calls.
func (p *provider) push(ctx context.Context) error {
	faults, err := newFaults(p.faults, p.percent, p.seed)
	if err != nil {
		return err
	}
	faults.times, faults.each = p.times, p.each
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.listen)
	if err != nil {
		return err
	}
	address := fmt.Sprintf("http://%s/redemptions", ln.Addr()) // A real provider has https, and a name.
	told, err := p.ballast.deliverBy(ctx, "push", address)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	secrets, err := p.secrets(ctx, told.Secret)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	e, err := p.desk(ctx, told.ProviderID, secrets, faults)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	p.say("waiting for redemptions at %s", address)
	return p.serve(ctx, ln, e.routes())
}

// secrets are those to sign with, of which Ballast may just have shown one. If it has shown one before, and that was lost on the way or with this
// process, another is made: nothing else can be done about it.
func (p *provider) secrets(ctx context.Context, shown string) ([]string, error) {
	secrets, err := keepSecret(p.dir, shown)
	if err != nil || len(secrets) > 0 {
		return secrets, err
	}
	if shown, err = p.ballast.newSecret(ctx); err != nil {
		return nil, err
	}
	return keepSecret(p.dir, shown)
}

// desk is what Ballast calls, with its callbacks running.
func (p *provider) desk(ctx context.Context, providerID string, secrets []string, f *faults) (*endpoint, error) {
	signer, err := newSigner(secrets)
	if err != nil {
		return nil, err
	}
	back := &callbacks{
		client: p.ballast.client, url: p.ballast.url + "/v1/provider-callbacks/" + providerID, signer: signer, grants: p.grants, log: p.log,
		queue: make(chan callback, 1024),
	}
	go back.run(ctx)
	return &endpoint{signer: signer, grants: p.grants, faults: f, later: p.later, callbacks: back, log: p.log}, nil
}

// pull takes what is due until it is told to stop.
func (p *provider) pull(ctx context.Context) error {
	if _, err := p.ballast.deliverBy(ctx, "pull", ""); err != nil {
		return err
	}
	p.say("polling for redemptions")
	(&poller{ballast: p.ballast, grants: p.grants, every: p.poll, log: p.log}).run(ctx)
	return nil
}

// voucher loads codes, and honours them.
func (p *provider) voucher(ctx context.Context) error {
	told, err := p.ballast.deliverBy(ctx, "voucher", "")
	if err != nil {
		return err
	}
	s := &stock{grants: p.grants}
	if p.vouchers > 0 {
		if err := s.load(ctx, p.ballast, p.vouchers, p.class, p.hours); err != nil {
			return err
		}
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /claim", s.claim)
	if err := p.answerFor(ctx, mux, told.ProviderID); err != nil {
		return errors.Join(err, ln.Close())
	}
	p.say("%d codes of %s hours of %s loaded; they are honoured at http://%s/claim", p.vouchers, p.hours, p.class, ln.Addr())
	return p.serve(ctx, ln, mux)
}

// answerFor goes on answering for redemptions that were pushed before this provider delivered otherwise: Ballast may have asked for one and not know
// yet what became of it. There are none where there is no secret.
func (p *provider) answerFor(ctx context.Context, mux *http.ServeMux, providerID string) error {
	secrets, err := readSecrets(p.dir)
	if err != nil || len(secrets) == 0 {
		return err
	}
	e, err := p.desk(ctx, providerID, secrets, &faults{})
	if err != nil {
		return err
	}
	mux.Handle("/redemptions", e.routes())
	mux.Handle("/redemptions/", e.routes())
	return nil
}

// serve answers until ctx ends.
func (p *provider) serve(ctx context.Context, ln net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)}
	go func() {
		<-ctx.Done()
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(stopping) // What still hangs is cut off with the process.
	}()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
