package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// clock is a time that only a test moves.
type clock struct{ elapsed atomic.Int64 }

var epoch = time.Now()

func (c *clock) now() time.Time          { return epoch.Add(time.Duration(c.elapsed.Load())) }
func (c *clock) advance(d time.Duration) { c.elapsed.Add(int64(d)) }

func startAuthenticator(t testing.TB, db *pgxpool.Pool, now func() time.Time) *Authenticator {
	t.Helper()
	a := newAuthenticator(db, slog.New(slog.DiscardHandler), now)
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

func TestALiveKeyIsItsPrincipal(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	a := startAuthenticator(t, s.db, time.Now)
	h := newHolder(t, s)
	k, secret := newKey(t, s, NewKey{Role: RoleHolder, HolderID: h.ID})
	want := Principal{ID: h.ID, KeyID: k.ID, Role: RoleHolder, HolderID: h.ID}
	for range 2 { // From the database, then from memory.
		if got, err := a.Authenticate(t.Context(), secret); got != want || err != nil {
			t.Errorf("Authenticate = %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestWhatIsNoLiveKey(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	a := startAuthenticator(t, s.db, time.Now)
	_, secret := newKey(t, s, NewKey{Role: RoleOperator})
	last := secret[len(secret)-1]
	other := byte('A')
	if last == other {
		other = 'B'
	}
	for name, presented := range map[string]string{
		"nothing": "", "the prefix": secret[:PrefixLen], "a part": secret[:len(secret)-1], "more": secret + "a",
		"one symbol differs": secret[:len(secret)-1] + string(other), "unknown": "blst_0123456789a_" + secret[17:],
		"not a key": secret[:20] + "\x00" + secret[21:],
	} {
		for range 2 {
			if p, err := a.Authenticate(t.Context(), presented); !errors.Is(err, ErrUnauthenticated) || p != (Principal{}) {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
		}
	}
}

func TestKeysThatShareAPrefixAreToldApart(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	a := startAuthenticator(t, s.db, time.Now)
	start := "operator_0123456_and_then_"
	one, err := s.EnsureOperatorKey(t.Context(), start+"the_first")
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.EnsureOperatorKey(t.Context(), start+"the_second")
	if err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]Key{start + "the_first": one, start + "the_second": two} {
		if p, err := a.Authenticate(t.Context(), secret); p.KeyID != want.ID || err != nil {
			t.Errorf("%s: %+v, %v", secret, p, err)
		}
	}
}

func TestAKeyExpiresOnTime(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	var c clock
	a := startAuthenticator(t, s.db, c.now)
	s.now = c.now
	end := c.now().Add(300 * time.Millisecond)
	_, secret := newKey(t, s, NewKey{Role: RoleOperator, ExpiresAt: &end})
	if _, err := a.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	c.advance(300 * time.Millisecond) // The entry in memory is still fresh.
	if _, err := a.Authenticate(t.Context(), secret); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("at its end: %v", err)
	}
}

func TestRotatedKeysOverlap(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	var c clock
	a := startAuthenticator(t, s.db, c.now)
	s.now = c.now
	old, oldSecret := newKey(t, s, NewKey{Role: RoleOperator})
	_, secret, err := s.RotateKey(t.Context(), Rotation{KeyID: old.ID, Overlap: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for elapsed, want := range []error{nil, ErrUnauthenticated} {
		p, err := a.Authenticate(t.Context(), oldSecret)
		if !errors.Is(err, want) {
			t.Errorf("the old key, step %d: %v", elapsed, err)
		}
		q, err := a.Authenticate(t.Context(), secret)
		if err != nil || q.ID != old.PrincipalID || want == nil && p.ID != q.ID {
			t.Errorf("the new key, step %d: %+v, %v", elapsed, q, err)
		}
		c.advance(time.Minute)
	}
}

// Two authenticators stand for two processes. Real time passes here, since the promise is about real time.
func TestRevocationIsEffectiveWithinASecondEverywhere(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	k, secret := newKey(t, s, NewKey{Role: RoleOperator})
	processes := []*Authenticator{startAuthenticator(t, s.db, time.Now), startAuthenticator(t, s.db, time.Now)}
	for _, a := range processes {
		if _, err := a.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RevokeKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	for i, a := range processes {
		for {
			_, err := a.Authenticate(t.Context(), secret)
			if errors.Is(err, ErrUnauthenticated) {
				break
			}
			if since := time.Since(revoked); err != nil || since > time.Second {
				t.Fatalf("process %d, %s after the revocation: %v", i, since, err)
			}
		}
	}
}

func TestASuspendedHoldersKeysDoNotWork(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	a := startAuthenticator(t, s.db, time.Now)
	h := newHolder(t, s)
	_, secret := newKey(t, s, NewKey{Role: RoleHolder, HolderID: h.ID})
	if _, err := s.db.Exec(t.Context(), `UPDATE holders SET status = 'suspended' WHERE id = $1`, h.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(t.Context(), secret); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("Authenticate = %v", err)
	}
}

// A closed pool stands for a database that is gone: what is in memory serves for its time, and not a moment longer.
func TestMemoryIsBelievedForItsTimeOnly(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	var c clock
	a := startAuthenticator(t, s.db, c.now)
	_, secret := newKey(t, s, NewKey{Role: RoleOperator})
	wrong := "blst_0123456789a_" + secret[17:]
	_, _ = a.Authenticate(t.Context(), secret)
	_, _ = a.Authenticate(t.Context(), wrong)
	s.db.Close()
	c.advance(maxAge)
	if _, err := a.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("a known key within its time: %v", err)
	}
	if _, err := a.Authenticate(t.Context(), wrong); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a key known to be wrong, within its time: %v", err)
	}
	c.advance(1)
	for _, presented := range []string{secret, wrong} {
		if _, err := a.Authenticate(t.Context(), presented); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnauthenticated) {
			t.Errorf("after its time: %v", err)
		}
	}
}

func TestADatabaseThatDoesNotAnswerIsToldFromAWrongKey(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	config := s.db.Config()
	config.MaxConns = 1
	narrow, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(narrow.Close)
	_, secret := newKey(t, s, NewKey{Role: RoleOperator})
	a := startAuthenticator(t, narrow, time.Now)
	only, err := narrow.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(t.Context(), secret); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without an answer: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Authenticate(gone, secret); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("when the caller is gone: %v", err)
	}
	only.Release()
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err = a.Authenticate(t.Context(), secret); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no recovery: %v", err)
		}
	}
}

func TestAKeyInUseIsReadAgainBeforeItsTimeIsUp(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	var c clock
	a := startAuthenticator(t, s.db, c.now)
	_, secret := newKey(t, s, NewKey{Role: RoleOperator})
	_, _ = a.Authenticate(t.Context(), secret)
	first := a.cache.get(prefixOf(secret))
	c.advance(refreshAfter + 1)
	if _, err := a.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); a.cache.get(prefixOf(secret)) == first; {
		if time.Now().After(deadline) {
			t.Fatal("the key was not read again")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAFloodOfWrongKeysTakesFewQueriesAndLittleMemory(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	a := startAuthenticator(t, s.db, time.Now)
	before := s.db.Stat().AcquireCount()
	const callers, each = 200, 50
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				presented := fmt.Sprintf("blst_%04d%04d000_0123456789012345678901234567890123456789012", i, j)
				if _, err := a.Authenticate(t.Context(), presented); !errors.Is(err, ErrUnauthenticated) {
					t.Errorf("Authenticate = %v", err)
				}
			}
		})
	}
	wg.Wait()
	// How many share a query depends on how busy the machine is: a hundred where it is idle, four where it is not.
	if queries := s.db.Stat().AcquireCount() - before; queries > callers*each/2 {
		t.Errorf("%d wrong keys took %d queries", callers*each, queries)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c cache
	for i := range cacheShards * maxEntriesPerShard * 2 {
		c.put(prefix([]byte(fmt.Sprintf("%016d", i))), &entry{asOf: epoch})
	}
	held := 0
	for i := range c.shards {
		held += len(c.shards[i].entries)
	}
	if held > cacheShards*maxEntriesPerShard || held < maxEntriesPerShard {
		t.Errorf("%d entries are held", held)
	}
}

func TestLastUseIsRecordedOffTheWay(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	var c clock
	a := startAuthenticator(t, s.db, c.now)
	used, secret := newKey(t, s, NewKey{Role: RoleOperator})
	unused, _ := newKey(t, s, NewKey{Role: RoleOperator})
	for range 3 {
		if _, err := a.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Second) // Past maxAge: the record of use survives reading the key again.
	}
	want := c.now().Add(-time.Second).Truncate(time.Second)
	if used, _ = s.GetKey(t.Context(), used.ID); used.LastUsedAt != nil {
		t.Error("a use was recorded on the request's way")
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	used, _ = s.GetKey(t.Context(), used.ID)
	unused, _ = s.GetKey(t.Context(), unused.ID)
	if used.LastUsedAt == nil || !used.LastUsedAt.Equal(want) || unused.LastUsedAt != nil {
		t.Errorf("last uses are %v (want %v) and %v", used.LastUsedAt, want, unused.LastUsedAt)
	}
}

func TestUsesThatCannotBeRecordedAreKept(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	a := startAuthenticator(t, s.db, time.Now)
	k, secret := newKey(t, s, NewKey{Role: RoleOperator})
	if _, err := a.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.flush(gone); err == nil {
		t.Fatal("recorded without a database")
	}
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k, _ = s.GetKey(t.Context(), k.ID); k.LastUsedAt == nil {
		t.Error("the use is lost")
	}
}

func TestALateFlushDoesNotMoveLastUseBack(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	k, secret := newKey(t, s, NewKey{Role: RoleOperator})
	later := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	if _, err := s.db.Exec(t.Context(), `UPDATE api_keys SET last_used_at = $1`, later); err != nil {
		t.Fatal(err)
	}
	a := startAuthenticator(t, s.db, time.Now)
	_, _ = a.Authenticate(t.Context(), secret)
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k, _ = s.GetKey(t.Context(), k.ID); !k.LastUsedAt.Equal(later) {
		t.Errorf("the last use went back to %s", k.LastUsedAt)
	}
}

func TestAfterCloseNothingHangs(t *testing.T) {
	t.Parallel()
	a := startAuthenticator(t, newPool(t), time.Now)
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(t.Context(), "blst_0123456789a_0123456789012345678901234567890123456789012"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Authenticate = %v", err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := NewStore(newPool(b))
	a := startAuthenticator(b, s.db, time.Now)
	_, secret := newKey(b, s, NewKey{Role: RoleOperator})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
}
