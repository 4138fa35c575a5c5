package redeem

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// shop is a scene whose provider delivers by voucher.
type shop struct {
	*scene
	vouchers *voucher.Store
}

func newShop(t testing.TB, amount int64) *shop {
	t.Helper()
	s := &shop{scene: newScene(t, amount)}
	ring, err := vault.ParseKeyring(vault.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	s.vouchers = voucher.NewStore(s.db.App, vault.New(ring, s.db.App))
	if _, err := s.SetDelivery(t.Context(), NewDelivery{Caller: s.provider, ProviderID: s.provider, Transport: TransportVoucher}); err != nil {
		t.Fatal(err)
	}
	return s
}

// load brings codes for so many hours, named by a prefix and a number.
func (s *shop) load(t testing.TB, class, prefix string, count int, hours int64, expiresAt time.Time) voucher.Batch {
	t.Helper()
	n := voucher.NewLoad{Caller: s.provider, ProviderID: s.provider}
	for i := range count {
		n.Vouchers = append(n.Vouchers, voucher.NewVoucher{
			Line: i + 1, Code: fmt.Sprintf("%s-%d", prefix, i), GPUClass: class, Hours: money.Micros(hours), ExpiresAt: expiresAt,
		})
	}
	var b voucher.Batch
	err := pg.InTx(t.Context(), s.db.App, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
		b, err = s.vouchers.LoadTx(t.Context(), tx, n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *shop) code(t testing.TB, r *Redemption) string {
	t.Helper()
	code, _, err := s.vouchers.Code(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestAVoucherIsHandedOutAndIssued(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	b := s.load(t, h100, "code", 2, 10*hour, time.Time{})
	ask := s.ask(10 * hour)
	r, replayed, err := s.Request(t.Context(), ask)
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	if r.Status != Issued || r.Transport != TransportVoucher || r.ProviderGrantID != voucher.Grant(b.ID, 1) || r.DeliveredHours != 10*hour {
		t.Errorf("%+v", r)
	}
	if got := statuses(r); got != "requested reserved dispatched issued" {
		t.Error(got)
	}
	if code := s.code(t, r); code != "code-0" {
		t.Errorf("the code is %q", code)
	}
	again, replayed, err := s.Request(t.Context(), ask)
	if err != nil || !replayed || again.ID != r.ID || again.Status != Issued {
		t.Errorf("again: %+v %t %v", again, replayed, err)
	}
	s.expect(t, 90, 0, 90, 90, 0, 10)
	s.proveBooks(t)
}

func statuses(r *Redemption) (all string) {
	for i, e := range r.Timeline {
		if i > 0 {
			all += " "
		}
		all += string(e.Status)
	}
	return all
}

// What is handed out is for exactly the hours and the class, not void, and good for another hour; what expires first goes first.
func TestTheRightVoucherIsHandedOut(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	clock := pgtest.NewClock(t, s.db, time.Now())
	s.load(t, h100, "never", 1, 10*hour, time.Time{})
	s.load(t, h100, "late", 1, 10*hour, clock.Now().Add(30*time.Hour))
	s.load(t, h100, "soon", 1, 10*hour, clock.Now().Add(2*time.Hour))
	s.load(t, h100, "other-hours", 1, 10*hour+1, clock.Now().Add(2*time.Hour))
	s.load(t, "H200-SXM-141GB", "other-class", 1, 10*hour, clock.Now().Add(2*time.Hour))
	voided := s.load(t, h100, "voided", 3, 10*hour, clock.Now().Add(2*time.Hour))
	if n, err := s.vouchers.Void(t.Context(), voucher.VoidRequest{Caller: s.provider, ProviderID: s.provider, BatchID: voided.ID}); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	for _, want := range []string{"soon-0", "late-0", "never-0"} {
		if got := s.code(t, s.request(t, 10*hour)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	s.load(t, h100, "short", 1, 10*hour, clock.Now().Add(time.Hour+time.Microsecond))
	clock.Advance(time.Microsecond)
	before := s.balance(t, s.account)
	if _, _, err := s.Request(t.Context(), s.ask(10*hour)); !errors.Is(err, ErrNoCapacity) {
		t.Errorf("one that is good for an hour: %v", err)
	}
	if _, _, err := s.Request(t.Context(), s.ask(9*hour)); !errors.Is(err, ErrNoCapacity) {
		t.Errorf("hours of which there are none: %v", err)
	}
	if after := s.balance(t, s.account); after != before {
		t.Errorf("the account went from %d to %d", before, after)
	}
	s.proveBooks(t)
}

// A thousand holders race for five hundred codes by two write paths.
func TestRacingHoldersNeverGetTheSameVoucher(t *testing.T) {
	t.Parallel()
	const holders, codes = 1000, 500
	s := newShop(t, holders*hour)
	s.load(t, h100, "code", codes, hour, time.Time{})
	asks := s.crowd(t, holders)
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	var mu sync.Mutex
	holderOf := map[string]uuid.UUID{}
	var won, refused atomic.Int64
	atOnce(holders, func(i int) {
		r, _, err := desks[i%2].Request(t.Context(), asks[i])
		for errors.Is(err, ledger.ErrOutcomeUnknown) || errors.Is(err, ledger.ErrOverloaded) || errors.Is(err, idempotency.ErrInProgress) {
			r, _, err = desks[i%2].Request(t.Context(), asks[i]) // A slow machine keeps some waiting for longer than they may.
		}
		switch {
		case err == nil && r.Status == Issued:
			won.Add(1)
			code := s.code(t, r)
			mu.Lock()
			defer mu.Unlock()
			if other, twice := holderOf[code]; twice {
				t.Errorf("%s was handed to %s and %s", code, other, r.ID)
			}
			holderOf[code] = r.ID
		case errors.Is(err, ErrNoCapacity):
			refused.Add(1)
		default:
			t.Errorf("%+v %v", r, err)
		}
	})
	if won.Load() != codes || refused.Load() != holders-codes || len(holderOf) != codes {
		t.Errorf("%d won, %d were refused, %d codes were handed out", won.Load(), refused.Load(), len(holderOf))
	}
	stock, err := s.vouchers.Stock(t.Context(), s.provider)
	if err != nil || len(stock.Kinds) != 1 || stock.Kinds[0].Used != codes || stock.Kinds[0].Free != 0 {
		t.Errorf("%+v %v", stock, err)
	}
	s.proveBooks(t)
}

// crowd makes holders with one token each, all backed by the scene's pledge, and what each of them asks.
func (s *shop) crowd(t testing.TB, n int) []NewRedemption {
	t.Helper()
	asks := make([]NewRedemption, n)
	for i := range asks {
		holder, account := s.desk.holder(t, money.SCH)
		asks[i] = NewRedemption{
			Call: call(holder), Owner: holder, AccountID: account, Amount: money.Micros(hour), ProviderID: s.provider, GPUClass: h100,
		}
	}
	commands := make([]*ledger.Command, n)
	for i, ask := range asks {
		commands[i] = &ledger.Command{
			Kind: ledger.KindTransfer, Call: call(s.holder), Moves: []ledger.Move{{From: s.account, To: ask.AccountID, Amount: money.Micros(hour)}},
		}
	}
	for _, v := range s.books.Submit(t.Context(), commands...) {
		if v.Err != nil {
			t.Fatal(v.Err)
		}
	}
	return asks
}

// What was cut off between the voucher and the credits is issued by the sweep, once, and whoever asks again has the answer.
func TestWhatWasCutOffIsIssued(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	clock := pgtest.NewClock(t, s.db, time.Now())
	s.load(t, h100, "code", 3, 10*hour, time.Time{})
	s.request(t, 10*hour) // So that there is an escrow account.
	cut := s.ask(10 * hour)
	v, err := s.submitRequest(t.Context(), &cut, s.escrow(t))
	if err != nil || v.Err != nil {
		t.Fatal(err, v.Err)
	}
	r, err := s.Get(t.Context(), v.Transaction.Subject, Filter{})
	if err != nil || r.Status != Dispatched {
		t.Fatal(r, err)
	}
	s.mayOnlyBeIssued(t, r)
	clock.Advance(10*time.Second - time.Microsecond)
	if n, err := s.IssueVouchers(t.Context()); n != 0 || err != nil {
		t.Errorf("%d were issued while the request may still run, %v", n, err)
	}
	clock.Advance(time.Microsecond)
	twin := s.twin(t)
	var done atomic.Int64
	atOnce(4, func(i int) {
		n, err := []*Redemptions{s.Redemptions, twin}[i%2].IssueVouchers(t.Context())
		if err != nil {
			t.Error(err)
		}
		done.Add(int64(n))
	})
	if done.Load() != 1 {
		t.Errorf("%d were issued", done.Load())
	}
	again, replayed, err := s.Request(t.Context(), cut)
	if err != nil || !replayed || again.ID != r.ID || again.Status != Issued || s.code(t, again) != "code-1" {
		t.Errorf("%+v %t %v", again, replayed, err)
	}
	s.expect(t, 80, 0, 80, 80, 0, 20)
	s.proveBooks(t)
}

// mayOnlyBeIssued tries everything else that could become of a redemption for which a voucher is set aside.
func (s *shop) mayOnlyBeIssued(t *testing.T, r *Redemption) {
	t.Helper()
	if _, _, err := s.Cancel(t.Context(), s.cancellationOf(r)); !errors.Is(err, ErrConflict) {
		t.Errorf("cancelled: %v", err)
	}
	if _, _, err := s.Reject(t.Context(), s.rejectionOf(r)); !errors.Is(err, ErrConflict) {
		t.Errorf("rejected: %v", err)
	}
	if _, _, err := s.Expire(t.Context(), Expiry{Call: call(s.provider), RedemptionID: r.ID, Cause: "late"}); !errors.Is(err, ErrConflict) {
		t.Errorf("expired: %v", err)
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(r, "another grant")); !errors.Is(err, ErrConflict) {
		t.Errorf("issued otherwise: %v", err)
	}
	part := s.issuanceOf(r, "")
	part.Hours = hour
	var err error
	if part.GrantID, err = voucher.GrantOf(t.Context(), s.db.App, r.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Issue(t.Context(), part); !errors.Is(err, ErrConflict) {
		t.Errorf("issued for a part: %v", err)
	}
	if _, _, err := s.IssueVoucher(t.Context(), uuid.New()); !errors.Is(err, ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
}

// A request that was planned for other hours than it turns out to be worth is planned again.
func TestAVoucherForOtherHoursIsLookedForAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	s.load(t, h100, "code", 1, 10*hour, time.Time{})
	ask := s.ask(10 * hour)
	there, err := s.capacity(t.Context(), &ask)
	if err != nil {
		t.Fatal(err)
	}
	s.request(t, 10*hour)
	for _, planned := range []int64{0, 9 * hour} {
		step := &requestStep{ask: &ask, id: uuid.New(), escrow: s.escrow(t), issuance: there.issuance, candidates: there.candidates, voucherHours: planned}
		v := s.books.Submit(t.Context(), &ledger.Command{
			Kind: ledger.KindRedemptionRequest, Call: ask.Call, Owner: ask.Owner, Subject: step.id, Claims: step.claims(),
			Moves: []ledger.Move{{From: ask.AccountID, To: step.escrow, Amount: ask.Amount}}, Step: step,
		})[0]
		if !errors.Is(v.Err, errVoucherHours) {
			t.Errorf("planned for %d: %v", planned, v.Err)
		}
	}
}

// A provider that goes over to vouchers, or away from them, has what is under way end as it began.
func TestTransportsOfWhatIsUnderWayStay(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	s.load(t, h100, "code", 1, 10*hour, time.Time{})
	set := func(transport Transport) {
		t.Helper()
		if _, err := s.SetDelivery(t.Context(), NewDelivery{Caller: s.provider, ProviderID: s.provider, Transport: transport}); err != nil {
			t.Fatal(err)
		}
	}
	set(TransportPull)
	polled := s.request(t, 10*hour)
	set(TransportVoucher)
	handed := s.request(t, 10*hour)
	if polled.Transport != TransportPull || polled.Status != Dispatched || handed.Status != Issued {
		t.Errorf("%+v\n%+v", polled, handed)
	}
	if _, _, err := s.IssueVoucher(t.Context(), polled.ID); !errors.Is(err, voucher.ErrNone) {
		t.Errorf("a voucher for one that is polled for: %v", err)
	}
	if _, _, err := s.Reject(t.Context(), s.rejectionOf(polled)); err != nil {
		t.Error(err)
	}
	s.proveBooks(t)
}

// The database refuses what the program would not do.
func TestGuardsOfVouchers(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	s.load(t, h100, "code", 3, 10*hour, time.Time{})
	s.load(t, h100, "other", 2, 20*hour, time.Time{})
	used := s.request(t, 10*hour)
	cut := s.ask(10 * hour)
	v, err := s.submitRequest(t.Context(), &cut, s.escrow(t))
	if err != nil || v.Err != nil {
		t.Fatal(err, v.Err)
	}
	open := v.Transaction.Subject
	if _, err := s.SetDelivery(t.Context(), NewDelivery{Caller: s.provider, ProviderID: s.provider, Transport: TransportPull}); err != nil {
		t.Fatal(err)
	}
	polled := s.request(t, 10*hour)
	s.exec(t, `UPDATE vouchers SET voided_at = now(), voided_by = gen_random_uuid() WHERE id = (SELECT id FROM vouchers WHERE hours = 20000000 LIMIT 1)`)
	const free = `(SELECT id FROM vouchers WHERE redemption_id IS NULL AND voided_at IS NULL AND hours = 10000000 LIMIT 1)`
	for _, tt := range []struct {
		constraint, sql string
		args            []any
	}{
		{"vouchers_are_used_once", `UPDATE vouchers SET redemption_id = NULL WHERE redemption_id = $1`, []any{used.ID}},
		{"vouchers_are_used_once", `UPDATE vouchers SET redemption_id = $2 WHERE redemption_id = $1`, []any{used.ID, open}},
		{"vouchers_are_used_once", `UPDATE vouchers SET voided_at = NULL, voided_by = NULL WHERE voided_at IS NOT NULL`, nil},
		{"vouchers_used_or_voided", `UPDATE vouchers SET voided_at = now(), voided_by = $1 WHERE redemption_id = $1`, []any{used.ID}},
		{"vouchers_redemption_key", `UPDATE vouchers SET redemption_id = $1 WHERE id = ` + free, []any{open}},
		{"vouchers_fit_their_redemption", `UPDATE vouchers SET redemption_id = $1 WHERE id = ` + free, []any{polled.ID}},
		{"vouchers_are_what_was_loaded", `UPDATE vouchers SET hours = 20000000 WHERE id = ` + free, nil},
		{"vouchers_are_what_was_loaded", `UPDATE vouchers SET code_digest = sha256('x') WHERE id = ` + free, nil},
		{"vouchers_are_what_was_loaded", `UPDATE vouchers SET expires_at = 'infinity' WHERE id = ` + free, nil},
		{"vouchers_is_append_only", `DELETE FROM vouchers`, nil},
		{"vouchers_code_key", `INSERT INTO vouchers SELECT gen_random_uuid(), batch_id, n + 100, provider_id, gpu_class, hours, code_sealed, code_digest FROM vouchers LIMIT 1`, nil},
		{"vouchers_begin_free", `INSERT INTO vouchers SELECT gen_random_uuid(), batch_id, n + 100, provider_id, gpu_class, hours, code_sealed, sha256('x'),
			NULL, now(), gen_random_uuid() FROM vouchers LIMIT 1`, nil},
		{"redemptions_by_voucher_are_issued", `UPDATE redemptions SET status = 'rejected' WHERE id = $1`, []any{open}},
		{"voucher_batches_is_append_only", `UPDATE voucher_batches SET vouchers = 1`, nil},
		{"voucher_kinds_is_append_only", `DELETE FROM voucher_kinds`, nil},
		{"voucher_stock_events_cross_the_threshold", `INSERT INTO voucher_stock_events (provider_id, gpu_class, hours, state, free, low_stock)
			SELECT provider_id, gpu_class, hours, 'low', 5, 4 FROM voucher_kinds LIMIT 1`, nil},
	} {
		_, err := s.db.Pool.Exec(t.Context(), tt.sql, tt.args...)
		if pg.ConstraintName(err) != tt.constraint {
			t.Errorf("%s: %v, want %s", tt.sql, err, tt.constraint)
		}
	}
	if _, err := s.db.App.Exec(t.Context(), `UPDATE vouchers SET hours = 1`); err == nil {
		t.Error("the run-time role may change what was loaded")
	}
}

// A redemption by voucher that has none cannot be committed.
func TestGuardOfRedemptionsWithoutVoucher(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	s.load(t, h100, "code", 1, 10*hour, time.Time{})
	s.exec(t, `CREATE FUNCTION keep_free() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.redemption_id = NULL; RETURN NEW; END'`)
	s.exec(t, `CREATE TRIGGER aa_keep_free BEFORE UPDATE ON vouchers FOR EACH ROW EXECUTE FUNCTION keep_free()`)
	if r, _, err := s.Request(t.Context(), s.ask(10*hour)); pg.ConstraintName(err) != "redemptions_have_their_voucher" {
		t.Errorf("%+v %v", r, err)
	}
}
