package providers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
)

func TestTermsOfAContractAreFixed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0")
	for _, change := range []string{
		`datacenter = 'x'`, `form_factor = 'x'`, `memory_gb = 80`, `interconnect = 'x'`, `node_size = 8`, `firmness = 'interruptible'`,
		`max_concurrency = 1`, `max_daily_hours = 1`, `notice_hours = 1`, `remedy = 'x'`, `encumbrance = 'x'`,
	} {
		_, err := w.Pool.Exec(t.Context(), `UPDATE pledges SET `+change+` WHERE id = $1`, p.ID)
		refused(t, change, err, "BL005", "pledges_terms_are_fixed")
	}
	for _, sql := range []string{
		`UPDATE pledge_windows SET hours = 1`, `DELETE FROM pledge_windows`, `TRUNCATE pledge_windows`, `UPDATE pledge_shortfalls SET hours = 1`,
		`DELETE FROM pledge_shortfalls`, `TRUNCATE pledge_shortfalls`, `UPDATE substitutions SET old_hours = 1`, `DELETE FROM substitutions`,
		`TRUNCATE substitutions`, `DELETE FROM rollover_calls`, `TRUNCATE rollover_calls`,
	} {
		_, err := w.Pool.Exec(t.Context(), sql)
		refused(t, sql, err, "BL001", "")
		_, err = w.App.Exec(t.Context(), sql)
		refused(t, sql+" at run time", err, "42501", "")
	}
	_, err := w.App.Exec(t.Context(), `UPDATE rollover_calls SET opened_at = now()`)
	refused(t, "the opening of a call", err, "42501", "")
}

// The windows of a pledge are what was pledged, whoever writes them.
func TestWindowsAreThePledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := w.now()
	at := func(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }
	type row struct {
		n, from, to, gpus int
		hours, later      int64
	}
	try := func(rows ...row) error {
		return pg.InTx(t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
			pledge := id.New()
			if _, err := tx.Exec(t.Context(), `INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, max_concurrency, created_by)
				VALUES ($1, $2, $3, $4, 'r', $5, $6, 10, $2)`, pledge, w.provider, h100, 30*hour, at(0), at(10)); err != nil {
				return err
			}
			var values []string
			for _, r := range rows {
				values = append(values, fmt.Sprintf("('%s', %d, '%s', '%s', NULLIF(%d, 0), %d, %d)", pledge, r.n, at(r.from).Format(time.RFC3339Nano),
					at(r.to).Format(time.RFC3339Nano), r.gpus, r.hours, r.later))
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, gpus, hours, later_hours) VALUES `+
				strings.Join(values, ", ")); err != nil {
				return err
			}
			return errTried
		})
	}
	for what, tc := range map[string]struct {
		rows        []row
		code, guard string
	}{
		"a sum that is less":          {[]row{{1, 0, 1, 10, 10 * hour, 10 * hour}, {2, 1, 2, 10, 10 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"a sum that is more":          {[]row{{1, 0, 1, 10, 10 * hour, 30 * hour}, {2, 1, 4, 10, 30 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"an overlap":                  {[]row{{1, 0, 2, 10, 20 * hour, 10 * hour}, {2, 1, 3, 5, 10 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"another order":               {[]row{{2, 0, 1, 10, 10 * hour, 20 * hour}, {1, 1, 3, 10, 20 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"a gap in the numbers":        {[]row{{1, 0, 1, 10, 10 * hour, 20 * hour}, {3, 1, 3, 10, 20 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"before the pledge":           {[]row{{1, -1, 2, 10, 30 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"after the pledge":            {[]row{{1, 8, 11, 10, 30 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"too many GPUs":               {[]row{{1, 0, 2, 15, 30 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"later hours that are wrong":  {[]row{{1, 0, 1, 10, 10 * hour, 20 * hour}, {2, 1, 3, 10, 20 * hour, 1}}, "BL005", "pledge_windows_are_the_pledge"},
		"later hours that are more":   {[]row{{1, 0, 1, 10, 10 * hour, 20*hour + 1}, {2, 1, 3, 10, 20 * hour, 0}}, "BL005", "pledge_windows_are_the_pledge"},
		"more than the GPUs deliver":  {[]row{{1, 0, 2, 10, 30 * hour, 0}}, "23514", "pledge_windows_hours_are_what_they_deliver"},
		"a millionth more than that":  {[]row{{1, 0, 3, 10, 30*hour + 1, 0}}, "23514", "pledge_windows_hours_are_what_they_deliver"},
		"a window that ends too soon": {[]row{{1, 3, 3, 0, 30 * hour, 0}}, "23514", "pledge_windows_end_after_they_start"},
	} {
		refused(t, what, try(tc.rows...), tc.code, tc.guard)
	}
	if err := try(row{1, 0, 1, 10, 10 * hour, 20 * hour}, row{2, 1, 3, 10, 20 * hour, 0}); !errors.Is(err, errTried) {
		t.Errorf("as it should be: %v", err)
	}
	if err := try(row{1, 0, 3, 0, 30 * hour, 0}); !errors.Is(err, errTried) {
		t.Errorf("without GPUs: %v", err)
	}
	p := w.pledge(h100, hour)
	_, err := w.Pool.Exec(t.Context(), `INSERT INTO pledge_windows SELECT id, 2, expires_at - interval '1 h', expires_at - interval '1 m', NULL, 1, 0 FROM pledges WHERE id = $1`, p.ID)
	refused(t, "one more", err, "BL005", "pledge_windows_are_the_pledge")
}

// bare makes postings without asking anybody, and writes nothing.
type bare struct {
	locks []uuid.UUID
	epoch uuid.UUID
	moves []ledger.Move
}

func (s bare) Lock() []uuid.UUID  { return s.locks }
func (s bare) Read(*ledger.Reads) {}
func (s bare) Decide(*ledger.Book) (ledger.Decision, error) {
	return ledger.Decision{Epoch: s.epoch, Moves: s.moves}, nil
}
func (s bare) Write(*ledger.Writes, *ledger.Transaction) {}

func (w *world) post(kind ledger.Kind, subject, epoch uuid.UUID, moves ...ledger.Move) *ledger.Transaction {
	w.t.Helper()
	s := bare{epoch: epoch, moves: moves}
	for _, m := range moves {
		s.locks = append(s.locks, m.From, m.To)
	}
	v := w.ledger.Submit(w.t.Context(), &ledger.Command{Kind: kind, Call: call(w.provider), Subject: subject, Step: s})[0]
	if v.Err != nil {
		w.t.Fatal(v.Err)
	}
	return v.Transaction
}

// try inserts a row after a change that nobody guards against, and takes both back.
func (w *world) try(change, sql string, row ...any) error {
	return pg.InTx(w.t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if change != "" {
			change = `SET LOCAL session_replication_role = replica; ` + change + `; SET LOCAL session_replication_role = origin`
		}
		if _, err := tx.Exec(w.t.Context(), change); err != nil {
			return err
		}
		if _, err := tx.Exec(w.t.Context(), sql, row...); err != nil {
			return err
		}
		return errTried
	})
}

// Not even the program can set hours behind tokens that are not to come any more.
func TestMintsOfLapsedHoursAreRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p := w.activate(w.curved(h100, curve(clock.Now(), 10*time.Hour, 10, 10)), "0")
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Hour)
	const insert = `INSERT INTO mints (seq, transaction_id, pledge_id, account_id, amount, backing_hours, k, haircut, epoch_id) VALUES ($1, $2, $3, $4, $5, $5, 1, 0, $6)`
	for hours, want := range map[int64]string{100 * hour: "", 100*hour + 1: "mints_follow_the_journal"} {
		a := p.Accounts
		tx := w.post(ledger.KindMint, p.ID, epoch.ID, ledger.Move{From: a.Issuance, To: w.account, Amount: money.Micros(hours)},
			ledger.Move{From: a.Available, To: a.Backing, Amount: money.Micros(hours)})
		err := w.try("", insert, tx.Seq, tx.ID, p.ID, w.account, hours, epoch.ID)
		if got := pg.ConstraintName(err); got != want {
			t.Errorf("%d hours: %v", hours, err)
		}
		w.post(ledger.KindPledgeRelease, p.ID, uuid.Nil, ledger.Move{From: a.Backing, To: a.Available, Amount: money.Micros(hours)})
	}
}

func TestSubstitutionsFollowTheJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	old, by := w.activeFor(10*time.Hour, 100*hour), w.activeFor(20*time.Hour, 100*hour)
	other, theirs := w.activeFor(20*time.Hour, 100*hour), w.anothers()
	if _, err := w.mint(old.ID, 100*hour); err != nil {
		t.Fatal(err)
	}
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(o, s providers.Pledge, kind ledger.Kind, subject uuid.UUID, oldHours, newHours int64) *ledger.Transaction {
		return w.post(kind, subject, epoch.ID, ledger.Move{From: o.Accounts.Backing, To: o.Accounts.Available, Amount: money.Micros(oldHours)},
			ledger.Move{From: s.Accounts.Available, To: s.Accounts.Backing, Amount: money.Micros(newHours)})
	}
	made := swap(old, by, ledger.KindPledgeSubstitute, old.ID, 10*hour, 10*hour)
	truth := func() []any {
		return []any{made.Seq, old.ID, by.ID, int64(10 * hour), int64(10 * hour), "1", "1", "0", "0", epoch.ID, epoch.ID}
	}
	const insert = `INSERT INTO substitutions VALUES ($1, $2, $3, $4, $5, $6::numeric, $7::numeric, $8::numeric, $9::numeric, $10, $11)`
	if err := w.try("", insert, truth()...); !errors.Is(err, errTried) {
		t.Fatalf("the truth is refused: %v", err)
	}
	const guard = "substitutions_follow_the_journal"
	for what, tc := range map[string]struct {
		change string
		lie    func(row []any)
		guard  string
	}{
		"no transaction":         {"", func(row []any) { row[0] = int64(1 << 40) }, guard},
		"another old pledge":     {"", func(row []any) { row[1] = other.ID }, guard},
		"another new pledge":     {"", func(row []any) { row[2] = other.ID }, guard},
		"fewer old hours":        {"", func(row []any) { row[3] = int64(10*hour - 1) }, guard},
		"more new hours":         {"", func(row []any) { row[4] = int64(10*hour + 1) }, guard},
		"a smaller old k":        {"", func(row []any) { row[5] = "0.9" }, guard},
		"a larger new k":         {"", func(row []any) { row[6] = "1.1" }, guard},
		"another old epoch":      {"", func(row []any) { row[9] = id.New() }, guard},
		"another new epoch":      {"", func(row []any) { row[10] = id.New() }, guard},
		"a smaller new haircut":  {`UPDATE pledges SET haircut = 0.1 WHERE id = '` + by.ID.String() + `'`, func(row []any) { row[4] = int64(10 * hour) }, guard},
		"a smaller old haircut":  {`UPDATE pledges SET haircut = 0.1 WHERE id = '` + old.ID.String() + `'`, func([]any) {}, guard},
		"not active":             {`UPDATE pledges SET status = 'defaulted' WHERE id = '` + by.ID.String() + `'`, func([]any) {}, guard},
		"another provider's":     {`UPDATE pledges SET provider_id = gen_random_uuid() WHERE id = '` + by.ID.String() + `'`, func([]any) {}, guard},
		"hours that have lapsed": {`UPDATE pledge_windows SET ends_at = starts_at + interval '1 s' WHERE pledge_id = '` + by.ID.String() + `'`, func([]any) {}, guard},
		"an older epoch": {`INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256, created_at)
			SELECT gen_random_uuid(), 2, effective_at + interval '1 us', reference_class, method, inputs, inputs_sha256, created_at FROM epochs`, func([]any) {}, guard},
		"worth less": {"", func(row []any) { row[6] = "0.999999" }, "substitutions_are_worth_as_much"},
		"for itself": {"", func(row []any) { row[2] = old.ID }, "substitutions_are_between_two"},
		"of another provider": {"", func(row []any) {
			row[0], row[2] = swap(old, theirs, ledger.KindPledgeSubstitute, old.ID, 10*hour, 10*hour).Seq, theirs.ID
		}, guard},
		"of another kind": {"", func(row []any) { row[0] = swap(old, by, ledger.KindPledgeRelease, old.ID, 10*hour, 10*hour).Seq }, guard},
		"about another":   {"", func(row []any) { row[0] = swap(old, by, ledger.KindPledgeSubstitute, by.ID, 10*hour, 10*hour).Seq }, guard},
	} {
		row := truth()
		tc.lie(row)
		err := w.try(tc.change, insert, row...)
		if got := pg.ConstraintName(err); got != tc.guard {
			t.Errorf("%s: %v", what, err)
		}
	}
	clock.Advance(time.Hour)
}

func TestShortfallsFollowTheJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p := w.active(h100, 100*hour, "0.5")
	if _, err := w.mint(p.ID, 20*hour); err != nil {
		t.Fatal(err)
	}
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	lost := w.post(ledger.KindPledgeLapse, p.ID, epoch.ID, ledger.Move{From: p.Accounts.Backing, To: p.Accounts.Expired, Amount: money.Micros(10*hour + 1)})
	spare := w.post(ledger.KindPledgeLapse, p.ID, epoch.ID, ledger.Move{From: p.Accounts.Available, To: p.Accounts.Expired, Amount: money.Micros(10*hour + 1)})
	released := w.post(ledger.KindPledgeRelease, p.ID, epoch.ID, ledger.Move{From: p.Accounts.Backing, To: p.Accounts.Expired, Amount: money.Micros(10*hour + 1)})
	const insert = `INSERT INTO pledge_shortfalls VALUES ($1, $2, $3, $4::numeric, $5::numeric, $6, $7::numeric, $8)`
	truth := func() []any {
		return []any{lost.Seq, p.ID, int64(10*hour + 1), "1", "0.5", epoch.ID, "5000001", lost.CreatedAt}
	}
	defaulted := `UPDATE pledges SET status = 'defaulted'`
	if err := w.try(defaulted, insert, truth()...); !errors.Is(err, errTried) {
		t.Fatalf("the truth is refused: %v", err)
	}
	other := w.active(h100, hour, "0.5")
	const guard = "pledge_shortfalls_follow_the_journal"
	for what, tc := range map[string]struct {
		lie   func(row []any)
		guard string
	}{
		"of available hours":    {func(row []any) { row[0], row[7] = spare.Seq, spare.CreatedAt }, guard},
		"in another kind":       {func(row []any) { row[0], row[7] = released.Seq, released.CreatedAt }, guard},
		"no transaction":        {func(row []any) { row[0] = int64(1 << 40) }, guard},
		"of another pledge":     {func(row []any) { row[1] = other.ID }, guard},
		"more hours":            {func(row []any) { row[2] = int64(10*hour + 2); row[6] = "5000001" }, guard},
		"a smaller k":           {func(row []any) { row[3], row[6] = "0.5", "2500001" }, guard},
		"a larger haircut":      {func(row []any) { row[4], row[6] = "0.75", "2500001" }, guard},
		"at another time":       {func(row []any) { row[7] = lost.CreatedAt.Add(time.Microsecond) }, guard},
		"rounded down":          {func(row []any) { row[6] = "5000000" }, "pledge_shortfalls_are_what_the_hours_were_to_back"},
		"worth more than it is": {func(row []any) { row[6] = "5000002" }, "pledge_shortfalls_are_what_the_hours_were_to_back"},
	} {
		row := truth()
		tc.lie(row)
		if err := w.try(defaulted, insert, row...); pg.ConstraintName(err) != tc.guard {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := w.try("", insert, truth()...); pg.ConstraintName(err) != guard {
		t.Errorf("without a default: %v", err)
	}
	clock.Advance(time.Hour)
}

func TestRolloverCallsEndOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stopClock()
	p := w.activeFor(time.Hour, hour)
	if _, err := w.mint(p.ID, hour); err != nil {
		t.Fatal(err)
	}
	w.callRollovers(1)
	for sql, guard := range map[string]string{
		`UPDATE rollover_calls SET pledge_id = id`:                                                         "rollover_calls_end_once",
		`UPDATE rollover_calls SET opened_at = opened_at + interval '1 s'`:                                 "rollover_calls_end_once",
		`UPDATE rollover_calls SET status = 'answered'`:                                                    "rollover_calls_closed_at_their_end",
		`UPDATE rollover_calls SET closed_at = now()`:                                                      "rollover_calls_closed_at_their_end",
		`INSERT INTO rollover_calls SELECT gen_random_uuid(), pledge_id, closes_at, 1 FROM rollover_calls`: "rollover_calls_open_key",
	} {
		if _, err := w.Pool.Exec(t.Context(), sql); pg.ConstraintName(err) != guard {
			t.Errorf("%s: %v", sql, err)
		}
	}
	w.exec(`UPDATE rollover_calls SET status = 'answered', closed_at = now()`)
	for _, sql := range []string{`UPDATE rollover_calls SET status = 'open', closed_at = NULL`, `UPDATE rollover_calls SET status = 'defaulted'`, `UPDATE rollover_calls SET hours = 1`} {
		_, err := w.Pool.Exec(t.Context(), sql)
		refused(t, sql, err, "BL009", "rollover_calls_end_once")
	}
}
