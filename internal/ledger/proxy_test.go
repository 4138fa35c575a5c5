package ledger_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// commitThief stands between a client and Postgres, and breaks connections around a COMMIT: after the server has done it and
// before the client hears of it, or before the server hears of it.
type commitThief struct {
	target string
	// commits counts what came by; stolen, how many answers were kept back; unsent, how many requests.
	commits, stolen, unsent atomic.Int64
	active                  atomic.Bool
	most                    int64
}

func (p *commitThief) listen(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	return l.Addr().String()
}

func (p *commitThief) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // breaking it is the point
	var d net.Dialer
	server, err := d.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // likewise
	go func() {
		p.toServer(client, server)
		_ = server.Close()
	}()
	p.toClient(server, client)
}

// toServer passes requests on; now and then it breaks off in the middle of a large one, which is a group being written.
func (p *commitThief) toServer(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if p.active.Load() && n > 1500 && p.commits.Load()%5 == 2 && p.taken() < p.most {
			p.unsent.Add(1)
			p.commits.Add(1)
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *commitThief) taken() int64 { return p.stolen.Load() + p.unsent.Load() }

// toClient passes answers on, message by message, until it meets the answer to a COMMIT.
func (p *commitThief) toClient(server, client net.Conn) {
	in := bufio.NewReader(server)
	out := bufio.NewWriter(client)
	header := make([]byte, 5)
	for {
		if _, err := io.ReadFull(in, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if header[0] == 'C' && string(body) == "COMMIT\x00" && p.active.Load() {
			if p.commits.Add(1)%2 == 0 && p.taken() < p.most {
				p.stolen.Add(1)
				return
			}
		}
		_, _ = out.Write(header) // Flush tells.
		_, _ = out.Write(body)
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}

// With BALLAST_LONG=1, a thousand connections break around a COMMIT: every caller learns that its transfer was made, none is told
// that it was a repetition, and none is made twice.
func TestLostCommitsAreResolved(t *testing.T) {
	t.Parallel()
	thief := &commitThief{most: 60}
	if long() {
		thief.most = 1000
	}
	db := pgtest.New(t)
	through, err := url.Parse(db.AppURL)
	if err != nil {
		t.Fatal(err)
	}
	thief.target = through.Host
	through.Host = thief.listen(t)
	through.RawQuery = "sslmode=disable" // It reads along.
	writes, err := pg.Open(t.Context(), pg.Config{URL: through.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writes.Close)
	var kept keeper
	b := openBooks(t, db.App, writes, db.Pool, ledger.Options{Seal: kept.seal})
	alice, bob := b.account(sch(1_000_000)), b.account(0)
	thief.active.Store(true)
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for thief.taken() < thief.most && !t.Failed() {
				key := uuid.NewString()
				ask := &ledger.Transfer{Call: keyedCall(key), From: alice, To: bob, Amount: money.Micros(1)}
				v := b.Transfer(t.Context(), ask)
				if v.Err != nil || v.Replayed {
					t.Errorf("a transfer whose COMMIT may be lost: %+v", v)
					return
				}
				made.Add(1)
			}
		})
	}
	wg.Wait()
	thief.active.Store(false)
	if got := b.count(`SELECT count(*) FROM transactions WHERE kind = 'transfer'`); got != made.Load() || b.balance(bob) != made.Load() {
		t.Errorf("%d acknowledged, %d in the journal, %d moved", made.Load(), got, b.balance(bob))
	}
	t.Logf("%d transfers acknowledged; %d answers to COMMIT and %d requests lost on the way", made.Load(), thief.stolen.Load(), thief.unsent.Load())
	b.mustBalance()
	// Now and then it is the COMMIT of a group of nothing but repetitions that is stolen, which has no bundle.
	if unknown := kept.check(b); int64(unknown) < thief.stolen.Load()/2 {
		t.Errorf("%d bundles whose COMMIT was not confirmed, of %d", unknown, thief.stolen.Load())
	}
}
