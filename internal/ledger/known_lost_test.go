package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// An account that is frozen is refused where it is found: what is passed over may be changed by others before the guards look.
func TestAFrozenAccountIsRefusedWhereItIsFound(t *testing.T) {
	t.Parallel()
	one, other, seen, alice, bob := strangers(t)
	carol := other.account(sch(10))
	other.freeze(alice)
	release := one.stall(bob)
	var verdicts []ledger.Verdict
	var wg sync.WaitGroup
	wg.Go(func() { verdicts = one.behind(transfer(bob, alice, 5), transfer(alice, bob, 3)) })
	const passed = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%entered AS%'`
	for seen.wrong.Load() == 0 && one.count(passed) == 0 {
		time.Sleep(time.Millisecond)
	}
	if seen.wrong.Load() == 0 { // It has passed over alice, and waits for bob: as much happens to her as it was about to do.
		if _, err := other.Unfreeze(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		for _, v := range other.TransferBatch(t.Context(), []*ledger.Transfer{transfer(alice, carol, 3), transfer(carol, alice, 5)}, true) {
			if v.Err != nil {
				t.Fatal(v.Err)
			}
		}
	}
	release()
	wg.Wait()
	for i, v := range verdicts {
		if !errors.Is(v.Err, ledger.ErrAccountFrozen) {
			t.Errorf("transfer %d: %+v", i, v)
		}
	}
	one.mustBalance()
}

// Whoever waits for a lock keeps nobody waiting whose transfer is committed.
func TestACommittedGroupIsToldWhileTheNextOneWaits(t *testing.T) {
	t.Parallel()
	b, _, _, alice, _ := strangers(t)
	payer, payee, fresh := b.account(sch(1)), b.account(0), b.account(0)
	release := b.stall(payer)
	told, next := make(chan error, 1), make(chan error, 1)
	go func() { told <- b.Transfer(t.Context(), transfer(payer, payee, 1)).Err }()
	for b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		time.Sleep(time.Millisecond)
	}
	releaseFresh := b.stall(fresh)
	go func() { next <- b.Transfer(t.Context(), transfer(alice, fresh, 1)).Err }()
	for b.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	release()
	select {
	case err := <-told:
		if err != nil {
			t.Error(err)
		}
	case err := <-next: // The attempt of the next one ended, after which it is told in any case.
		t.Errorf("the next one is told first: %v", err)
	case <-time.After(4 * time.Second): // Less than an attempt may take.
		t.Error("committed, and not told")
	}
	releaseFresh()
}

// latecomer keeps back, on its way to the server, the first request with a mark in it, and breaks the client's connection.
type latecomer struct {
	target        string
	mark          []byte
	once          sync.Once
	release, done chan struct{}
}

func (p *latecomer) listen(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return l.Addr().String()
}

func (p *latecomer) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // breaking it is the point
	var d net.Dialer
	server, err := d.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // likewise
	answers := make(chan struct{})
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
		close(answers)
	}()
	buf := make([]byte, 256<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		late := false
		if bytes.Contains(buf[:n], p.mark) {
			p.once.Do(func() { late = true })
		}
		if late {
			_ = client.Close()
			<-p.release
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if late {
			_ = server.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // It is one. The server does what it was sent, and ends.
			<-answers
			close(p.done)
			return
		}
	}
}

// What was lost on its way may arrive, and then the account is not frozen any more.
func TestWhoeverWasRefusedIsNotPaidLater(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	through, err := url.Parse(db.AppURL)
	if err != nil {
		t.Fatal(err)
	}
	call := keyedCall(uuid.NewString())
	p := &latecomer{target: through.Host, mark: call.Digest[:], release: make(chan struct{}), done: make(chan struct{})}
	through.Host, through.RawQuery = p.listen(t), "sslmode=disable"
	db.AppURL = through.String()
	writes := oneConnection(t, db)
	b := openBooks(t, db.App, writes, db.Pool, ledger.Options{})
	alice, bob := b.account(sch(10)), b.account(sch(10))
	b.pay(alice, bob, 1)
	b.freeze(alice)
	ask := transfer(alice, bob, sch(1))
	ask.Call = call
	v := b.behind(ask)[0]
	before := b.balance(alice)
	if _, err := b.Unfreeze(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	close(p.release)
	<-p.done
	if !errors.Is(v.Err, ledger.ErrOutcomeUnknown) {
		t.Errorf("told %v; then %d became %d", v.Err, before, b.balance(alice))
	}
	b.mustBalance()
}
