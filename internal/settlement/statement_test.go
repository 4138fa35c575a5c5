package settlement_test

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/settlement"
)

// story has every way in which what a provider owes can change, a minute apart, and returns those moments.
func (w *world) story() []time.Time {
	w.t.Helper()
	moments := []time.Time{w.later()}
	next := func() { moments = append(moments, w.later()) }
	short := w.pledge(w.provider, h100, 100*hour, time.Hour)
	long := w.pledge(w.provider, h100, 100*hour, 1000*time.Hour)
	other := w.pledge(w.provider, mi300, 100*hour, 1000*time.Hour)
	theirs := w.pledge(w.rival, h100, 100*hour, 1000*time.Hour)
	next()
	w.mint(w.provider, short, 40*hour)
	w.mint(w.rival, theirs, 50*hour)
	next()
	w.mint(w.provider, other, 20*hour+1)
	wrong := w.mint(w.provider, long, 7*hour)
	next()
	first, second := w.redeem(w.provider, h100, 10*hour), w.redeem(w.provider, mi300, 5*hour)
	next()
	if v := w.ledger.Reverse(w.t.Context(), call(w.holder), wrong.ID, "by mistake"); v.Err != nil {
		w.t.Fatal(v.Err)
	}
	next()
	w.issue(first)
	next()
	w.reject(second)
	next()
	hours := money.Micros(5 * hour)
	if _, _, err := w.store.Substitute(w.t.Context(), providers.NewSubstitution{
		Call: call(w.provider), ProviderID: w.provider, PledgeID: short, SubstituteID: other, Hours: &hours,
	}); err != nil {
		w.t.Fatal(err)
	}
	next()
	// The rest of the short pledge lapses behind tokens.
	w.clock.Advance(time.Hour)
	if n, err := w.store.LapseDue(w.t.Context()); err != nil || n != 1 {
		w.t.Fatalf("%d pledges lapsed, %v", n, err)
	}
	next()
	w.issue(w.redeem(w.provider, mi300, 6*hour))
	next()
	return moments
}

func TestAStatementTellsTheStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	moments := w.story()
	got := w.statement(w.provider, moments[0], moments[len(moments)-1])
	// 5 hours of the H100 are worth 5 SCH, for which 6,729,566 millionths of an hour of the MI300X stand in.
	want := []settlement.Class{
		{
			GPUClass: h100,
			Hours:    settlement.Figures{Issued: 47 * hour, Reversed: 7 * hour, Delivered: 10 * hour, Lapsed: 25 * hour, Substituted: -5 * hour},
			Tokens:   settlement.Figures{Issued: 47 * hour, Reversed: 7 * hour, Delivered: 10 * hour, Lapsed: w.shortfall(), Closing: 30*hour - w.shortfall()},
		},
		{
			GPUClass: mi300,
			Hours: settlement.Figures{
				Issued: 26_918_265, Delivered: 8_075_478, Substituted: 6_729_566, Closing: 26_918_265 - 8_075_478 + 6_729_566,
			},
			Tokens: settlement.Figures{Issued: 20*hour + 1, Delivered: 6 * hour, Closing: 14*hour + 1},
		},
	}
	if diff := cmp.Diff(want, got.Classes); diff != "" {
		t.Errorf("the statement (-want +got):\n%s", diff)
	}
	if got.Hours.Closing != 25_572_353 || got.Tokens.Issued != 67*hour+1 || got.Tokens.Closing != w.outstanding()-w.shortfall() {
		t.Errorf("in all: %+v %+v", got.Hours, got.Tokens)
	}
	rival := w.statement(w.rival, moments[0], moments[len(moments)-1])
	if len(rival.Classes) != 1 || rival.Hours != (settlement.Figures{Issued: 50 * hour, Closing: 50 * hour}) || rival.Tokens != rival.Hours {
		t.Errorf("the rival's: %+v", rival)
	}
}

func (w *world) shortfall() (sch int64) {
	w.t.Helper()
	if err := w.Pool.QueryRow(w.t.Context(), `SELECT sum(sch)::bigint FROM pledge_shortfalls`).Scan(&sch); err != nil || sch <= 0 {
		w.t.Fatal(sch, err)
	}
	return sch
}

func (w *world) outstanding() (sch int64) {
	w.t.Helper()
	const sql = `SELECT -balance FROM accounts WHERE provider_id = $1 AND kind = 'issuance'`
	if err := w.Pool.QueryRow(w.t.Context(), sql, w.provider).Scan(&sch); err != nil {
		w.t.Fatal(err)
	}
	return sch
}

// A part of a redemption is delivered, and some of that is corrected afterwards, in another period.
func TestPartsAndCorrections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pledge := w.pledge(w.provider, mi300, 100*hour, 1000*time.Hour)
	from := w.clock.Now()
	w.mint(w.provider, pledge, 20*hour)
	r := w.redeem(w.provider, mi300, 10*hour)
	if _, _, err := w.redemptions.Issue(t.Context(), redeem.Issuance{
		Call: call(w.provider), ProviderID: w.provider, RedemptionID: r.ID, GrantID: "g", Hours: 8 * hour,
	}); err != nil {
		t.Fatal(err)
	}
	between := w.later()
	var c redeem.Correction
	err := pg.InTx(t.Context(), w.App, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
		c, err = redeem.ProposeCorrectionTx(t.Context(), tx, redeem.NewCorrection{By: uuid.New(), RedemptionID: r.ID, Hours: 3 * hour, Reason: "not there"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.redemptions.ApproveCorrection(t.Context(), redeem.Approval{By: uuid.New(), RedemptionID: r.ID, N: c.N}); err != nil {
		t.Fatal(err)
	}
	to := w.later()
	// 8 hours cost 5,943,920 millionths of SCH, and 3 give 2,228,970 back.
	first, second := w.statement(w.provider, from, between), w.statement(w.provider, between, to)
	for _, tt := range []struct{ got, want settlement.Figures }{
		{first.Hours, settlement.Figures{Issued: 26_918_263, Delivered: 8 * hour, Closing: 18_918_263}},
		{first.Tokens, settlement.Figures{Issued: 20 * hour, Delivered: 5_943_920, Closing: 14_056_080}},
		{second.Hours, settlement.Figures{Opening: 18_918_263, Corrected: 3 * hour, Closing: 21_918_263}},
		{second.Tokens, settlement.Figures{Opening: 14_056_080, Corrected: 2_228_970, Closing: 16_285_050}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Error(diff)
		}
	}
}

// Whatever moments a period is cut at, its parts begin where the one before ended, and add up to the whole.
func TestPeriodsMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	moments := w.story()
	begin, end := moments[0], moments[len(moments)-1]
	for _, at := range slices.Clone(moments[:len(moments)-1]) { // Between, just before and just after what happened.
		moments = append(moments, at.Add(-time.Microsecond), at.Add(time.Microsecond), at.Add(30*time.Second))
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	whole := w.statement(w.provider, begin, end)
	for range 20 {
		cuts := []time.Time{begin, end}
		for range 1 + random.IntN(6) {
			if at := moments[random.IntN(len(moments))]; at.After(begin) && at.Before(end) {
				cuts = append(cuts, at)
			}
		}
		slices.SortFunc(cuts, time.Time.Compare)
		cuts = slices.CompactFunc(cuts, time.Time.Equal)
		var sum [2]settlement.Figures
		for i := range cuts[1:] {
			part := w.statement(w.provider, cuts[i], cuts[i+1])
			for n, f := range []settlement.Figures{part.Hours, part.Tokens} {
				if f.Opening != sum[n].Closing {
					t.Fatalf("seed %d: part %d of %v begins with %d, and the one before ended with %d", seed, i, cuts, f.Opening, sum[n].Closing)
				}
				sum[n] = plus(sum[n], f)
			}
		}
		if sum != [2]settlement.Figures{whole.Hours, whole.Tokens} {
			t.Fatalf("seed %d: the parts of %v amount to %+v, the whole to %+v %+v", seed, cuts, sum, whole.Hours, whole.Tokens)
		}
	}
}

// plus is the figures of two periods that meet.
func plus(a, b settlement.Figures) settlement.Figures {
	return settlement.Figures{
		Opening: a.Opening, Issued: a.Issued + b.Issued, Reversed: a.Reversed + b.Reversed, Delivered: a.Delivered + b.Delivered,
		Corrected: a.Corrected + b.Corrected, Lapsed: a.Lapsed + b.Lapsed, Substituted: a.Substituted + b.Substituted, Closing: b.Closing,
	}
}

// A statement of what is over stays as it is, whatever comes later.
func TestWhatIsOverStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pledge := w.pledge(w.provider, h100, 100*hour, 1000*time.Hour)
	from := w.clock.Now()
	w.mint(w.provider, pledge, 10*hour)
	to := w.later()
	before := w.statement(w.provider, from, to)
	w.mint(w.provider, pledge, 10*hour) // At the very moment at which the period ends.
	w.later()
	w.issue(w.redeem(w.provider, h100, 3*hour))
	w.later()
	if diff := cmp.Diff(before, w.statement(w.provider, from, to)); diff != "" {
		t.Error(diff)
	}
	next := w.statement(w.provider, to, w.clock.Now())
	want := settlement.Figures{Opening: 10 * hour, Issued: 10 * hour, Delivered: 3 * hour, Closing: 17 * hour}
	if next.Hours != want || next.Tokens != want {
		t.Errorf("%+v", next)
	}
}

// A transaction whose time is in the period and which has yet to commit is waited for.
func TestWritersAreAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pledge := w.pledge(w.provider, h100, 100*hour, 1000*time.Hour)
	from := w.clock.Now()
	w.mint(w.provider, pledge, 10*hour)
	to := w.later()
	writer, err := w.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Rollback(t.Context()) //nolint:errcheck // It has committed, or the test has failed.
	if _, err := writer.Exec(t.Context(), `SELECT FROM accounts WHERE provider_id = $1 AND kind = 'issuance' FOR NO KEY UPDATE`, w.provider); err != nil {
		t.Fatal(err)
	}
	type result struct {
		s   *settlement.Statement
		err error
	}
	done := make(chan result, 1)
	go func() {
		s, err := settlement.Of(t.Context(), w.App, settlement.Request{ProviderID: w.provider, Period: settlement.Period{From: from, To: to}})
		done <- result{s, err}
	}()
	const waiting = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`
	for blocked := false; !blocked; time.Sleep(time.Millisecond) {
		select {
		case r := <-done:
			t.Fatalf("it did not wait: %+v", r)
		default:
		}
		if err := w.Pool.QueryRow(t.Context(), waiting).Scan(&blocked); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.err != nil || r.s.Hours.Issued != 10*hour {
		t.Errorf("%+v", r)
	}
}

func TestPeriodsThatNoStatementIsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.Now()
	for _, tt := range []struct {
		name        string
		from, to    time.Time
		field, code string
	}{
		{"to come", now.Add(-time.Hour), now.Add(time.Microsecond), "to", "in_the_future"},
		{"empty", now, now, "from", "out_of_range"},
		{"turned around", now.Add(-time.Hour), now.Add(-2 * time.Hour), "from", "out_of_range"},
		{"begins in the future", now.Add(time.Hour), time.Time{}, "from", "out_of_range"},
	} {
		_, err := settlement.Of(t.Context(), w.App, settlement.Request{ProviderID: w.provider, Period: settlement.Period{From: tt.from, To: tt.to}})
		e, ok := errors.AsType[*settlement.InvalidError](err)
		if !ok || e.Field != tt.field || e.Code != tt.code || e.Error() == "" {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := settlement.Of(t.Context(), w.App, settlement.Request{ProviderID: uuid.New()}); !errors.Is(err, settlement.ErrProviderNotFound) {
		t.Error(err)
	}
}

// Left out, the period is what has passed of the month; at the very beginning of one, it is the month before.
func TestThePeriodThatIsMeant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct{ now, from string }{
		{"2090-05-17T11:12:13.000001Z", "2090-05-01T00:00:00Z"},
		{"2090-06-01T00:00:00Z", "2090-05-01T00:00:00Z"},
		{"2090-06-01T00:00:00.000001Z", "2090-06-01T00:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339Nano, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.Set(now)
		s := w.statement(w.provider, time.Time{}, time.Time{})
		if !s.To.Equal(now) || s.From.Format(time.RFC3339Nano) != tt.from || len(s.Classes) != 0 {
			t.Errorf("at %s it is from %s to %s: %+v", tt.now, s.From, s.To, s.Classes)
		}
	}
}

// Of every kind of transaction it is known whether it changes what a provider owes.
func TestEveryKindHasItsLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var definition string
	const sql = `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'transactions'::regclass AND conname = 'transactions_kind_check'`
	if err := w.Pool.QueryRow(t.Context(), sql).Scan(&definition); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, quoted := range regexp.MustCompile(`'([a-z_]+)'`).FindAllStringSubmatch(definition, -1) {
		kinds = append(kinds, quoted[1])
	}
	// None of these moves hours over the edge of what is behind tokens, nor tokens out of or into issuance.
	without := []ledger.Kind{
		ledger.KindTransfer, ledger.KindHold, ledger.KindHoldCapture, ledger.KindHoldVoid, ledger.KindPledgeActivation, ledger.KindPledgeRelease,
		ledger.KindRedemptionRequest, ledger.KindRedemptionRefund,
	}
	if len(kinds) < 14 {
		t.Fatalf("the kinds are %v, by %s", kinds, definition)
	}
	for _, kind := range kinds {
		if settlement.HasLine(kind) == slices.Contains(without, ledger.Kind(kind)) {
			t.Errorf("%s: has a line: %t", kind, settlement.HasLine(kind))
		}
	}
}

// Books that do not explain themselves have no statement.
func TestNoStatementThatIsFalse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, sql string }{
		{"a posting is missing", `DELETE FROM postings p USING transactions t WHERE t.seq = p.seq AND t.kind = 'mint' AND p.line = 0`},
		{"hours are missing", `DELETE FROM postings p USING transactions t WHERE t.seq = p.seq AND t.kind = 'redemption_issue' AND p.asset <> 'SCH'`},
		{"a balance is another", `UPDATE postings p SET from_balance = from_balance + 1 FROM transactions t WHERE t.seq = p.seq AND t.kind = 'redemption_issue' AND p.line = 1`},
		{"a kind has no line", `UPDATE transactions SET kind = 'pledge_release' WHERE kind = 'redemption_issue'`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			pledge := w.pledge(w.provider, h100, 100*hour, 1000*time.Hour)
			from := w.clock.Now()
			w.mint(w.provider, pledge, 10*hour)
			w.issue(w.redeem(w.provider, h100, 3*hour))
			to := w.later()
			w.statement(w.provider, from, to)
			w.exec(`SET session_replication_role = replica; ` + tt.sql)
			if s, err := settlement.Of(t.Context(), w.App, settlement.Request{ProviderID: w.provider, Period: settlement.Period{From: from, To: to}}); err == nil {
				t.Errorf("%+v", s)
			}
		})
	}
}

// What others do is not read, nor what came after.
func TestAStatementReadsItsPeriod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	theirs := w.pledge(w.rival, h100, 1000*hour, 1000*time.Hour)
	pledge := w.pledge(w.provider, h100, 1000*hour, 1000*time.Hour)
	from := w.clock.Now()
	w.mint(w.provider, pledge, 10*hour)
	to := w.later()
	read := func() (rows int64) {
		t.Helper()
		rows = w.postingsRead(func() { w.statement(w.provider, from, to) })
		return rows
	}
	before := read()
	w.mintAtOnce(300, w.rival, theirs)
	w.mintAtOnce(300, w.provider, pledge)
	if after := read(); after > before+150 { // Halving looks at a few more, of some 1,200.
		t.Errorf("a statement of one mint read %d rows of postings, and %d once there were more", before, after)
	}
}

// postingsRead returns how many rows of postings, and entries of their indexes, f reads.
func (w *world) postingsRead(f func()) int64 {
	w.t.Helper()
	const sql = `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'postings'`
	count := func() (n int64) {
		w.t.Helper()
		// Connections report what they did when they are gone.
		w.App.Reset()
		for last := int64(-1); n != last; time.Sleep(50 * time.Millisecond) {
			last = n
			conn, err := pgx.Connect(w.t.Context(), w.Pool.Config().ConnString())
			if err != nil {
				w.t.Fatal(err)
			}
			err = conn.QueryRow(w.t.Context(), sql).Scan(&n)
			_ = conn.Close(w.t.Context())
			if err != nil {
				w.t.Fatal(err)
			}
		}
		return n
	}
	before := count()
	f()
	return count() - before
}
