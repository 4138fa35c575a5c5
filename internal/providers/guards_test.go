package providers_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
)

// The guards hold for the owner of the schema too, as whom these statements run.
func TestTheDatabaseRefusesWhatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, pending := w.active(h100, 10*hour, "0.1"), w.pledge(h100, hour)
	if _, err := w.mint(p.ID, hour); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ sql, code, guard string }{
		{`UPDATE pledges SET hours = hours + 1 WHERE id = $1`, "BL005", "pledges_terms_are_fixed"},
		{`UPDATE pledges SET expires_at = expires_at + interval '1 s' WHERE id = $1`, "BL005", "pledges_terms_are_fixed"},
		{`UPDATE pledges SET gpu_class = 'GH200' WHERE id = $1`, "BL005", "pledges_terms_are_fixed"},
		{`UPDATE pledges SET created_by = id WHERE id = $1`, "BL005", "pledges_terms_are_fixed"},
		{`UPDATE pledges SET haircut = 0 WHERE id = $1`, "BL005", "pledges_terms_are_fixed"},
		{`UPDATE pledges SET verified_by = id WHERE id = $1`, "BL005", "pledges_terms_are_fixed"},
		{`UPDATE pledges SET status = 'pending' WHERE id = $1`, "BL005", "pledges_change_status_by_the_rules"},
		{`UPDATE pledges SET status = 'released' WHERE id = $1`, "BL005", "pledges_have_their_events"},
		{`UPDATE pledges SET status = 'active' WHERE id = $2`, "23514", "pledges_verified_unless_pending_or_rejected"},
		{`UPDATE pledges SET status = 'active', haircut = 1, verified_by = id, verified_at = now() WHERE id = $2`, "23514", "pledges_haircut_in_range"},
		{`UPDATE pledges SET status = 'active', haircut = -0.1, verified_by = id, verified_at = now() WHERE id = $2`, "23514", "pledges_haircut_in_range"},
		{`UPDATE pledges SET status = 'active', haircut = 0.0000001, verified_by = id, verified_at = now() WHERE id = $2`, "23514", "pledges_haircut_in_range"},
		{`UPDATE pledges SET status = 'rejected' WHERE id = $2`, "23514", "pledges_rejected_for_a_reason"},
		{`UPDATE pledges SET reject_reason = 'r' WHERE id = $2`, "23514", "pledges_rejected_for_a_reason"},
		{`DELETE FROM pledges WHERE id = $1`, "BL001", "pledges_is_append_only"},
		{`DELETE FROM pledge_events WHERE pledge_id = $1`, "BL001", "pledge_events_is_append_only"},
		{`UPDATE pledge_events SET status = 'expired' WHERE pledge_id = $1`, "BL001", "pledge_events_is_append_only"},
		{`DELETE FROM mints WHERE pledge_id = $1`, "BL001", "mints_is_append_only"},
		{`UPDATE mints SET backing_hours = backing_hours + 1 WHERE pledge_id = $1`, "BL001", "mints_is_append_only"},
	} {
		_, err := w.Pool.Exec(t.Context(), strings.ReplaceAll(strings.ReplaceAll(tc.sql, "$1", quoted(p.ID)), "$2", quoted(pending.ID)))
		refused(t, tc.sql, err, tc.code, tc.guard)
	}
	for _, sql := range []string{`TRUNCATE pledges CASCADE`, `TRUNCATE pledge_events`, `TRUNCATE mints`} {
		_, err := w.Pool.Exec(t.Context(), sql)
		refused(t, sql, err, "BL001", "")
	}
	w.sound()
}

func quoted(u uuid.UUID) string { return "'" + u.String() + "'" }

func TestPledgesAreWholeAtCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const insert = `INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, created_by)
		VALUES ($1, $2, $3, $4, 'r', now(), now() + $5::interval, $2)`
	const window = `INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours) SELECT id, 1, starts_at, expires_at, hours, 0 FROM pledges WHERE id = $1`
	try := func(hours int, lasts, class string, accounts []ledger.AccountKind, event bool, delivered string) error {
		return pg.InTx(t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
			pledge := id.New()
			if _, err := tx.Exec(t.Context(), insert, pledge, w.provider, class, hours, lasts); err != nil {
				return err
			}
			if delivered != "" {
				if _, err := tx.Exec(t.Context(), delivered, pledge); err != nil {
					return err
				}
			}
			for _, kind := range accounts {
				if _, err := ledger.OpenTx(t.Context(), tx, ledger.NewAccount{
					Asset: money.GPUHours(class), Kind: kind, ProviderID: w.provider, PledgeID: pledge,
				}); err != nil {
					return err
				}
			}
			if !event {
				return nil
			}
			_, err := tx.Exec(t.Context(), `INSERT INTO pledge_events (pledge_id, status, at, actor) VALUES ($1, 'pending', now(), $1)`, pledge)
			return err
		})
	}
	all := []ledger.AccountKind{
		ledger.AccountCommitment, ledger.AccountAvailable, ledger.AccountBacking, ledger.AccountEarmarked,
		ledger.AccountDelivered, ledger.AccountExpired, ledger.AccountReleased,
	}
	if err := try(1, "1 h", h100, all, true, window); err != nil {
		t.Error(err)
	}
	refused(t, "without one account", try(1, "1 h", h100, all[1:], true, window), "BL005", "pledges_have_their_accounts")
	refused(t, "without an event", try(1, "1 h", h100, all, false, window), "BL005", "pledges_have_their_events")
	refused(t, "without windows", try(1, "1 h", h100, all, true, ""), "BL005", "pledges_have_windows")
	refused(t, "without hours", try(0, "1 h", h100, all, true, window), "23514", "pledges_hours_are_positive")
	refused(t, "without time", try(1, "0 s", h100, all, true, window), "23514", "pledges_end_after_they_start")
	refused(t, "of an unknown class", try(1, "1 h", "H900", all, true, window), "23503", "pledges_gpu_class_fkey")
}

func TestAccountsBelongToTheirPledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pledge(h100, hour)
	other, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]ledger.NewAccount{
		"no such pledge":   {Asset: money.GPUHours(h100), ProviderID: w.provider, PledgeID: id.New()},
		"another asset":    {Asset: money.GPUHours(mi300), ProviderID: w.provider, PledgeID: p.ID},
		"another provider": {Asset: money.GPUHours(h100), ProviderID: other.ID, PledgeID: p.ID},
	} {
		n.Kind = ledger.AccountAvailable
		err := pg.InTx(t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
			// The unique index of the pledge's accounts would refuse it first.
			if _, err := tx.Exec(t.Context(), `DROP INDEX accounts_pledge_key`); err != nil {
				return err
			}
			_, err := ledger.OpenTx(t.Context(), tx, n)
			return err
		})
		refused(t, what, err, "23503", "accounts_belong_to_their_pledge")
	}
}

// A mint's row must be what the journal says. Each lie about a mint whose row is missing is refused; the truth is not.
func TestMintsFollowTheJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, other := w.active(h100, 100*hour, "0.5"), w.active(h100, 100*hour, "0.5")
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	post := func(kind ledger.Kind, hours int64, change ...func(*ledger.Command, *bareMint)) *ledger.Transaction {
		step := &bareMint{pledge: p, account: w.account, amount: hour, hours: hours, epoch: epoch.ID}
		c := &ledger.Command{Kind: kind, Call: call(w.provider), Subject: p.ID, Step: step}
		for _, apply := range change {
			apply(c, step)
		}
		v := w.ledger.Submit(t.Context(), c)[0]
		if v.Err != nil {
			t.Fatal(v.Err)
		}
		return v.Transaction
	}
	backed, short, transfer := post(ledger.KindMint, 2*hour), post(ledger.KindMint, 2*hour-1), post(ledger.KindHold, 2*hour)
	truth := func() []any {
		return []any{backed.Seq, backed.ID, p.ID, w.account, int64(hour), int64(2 * hour), "1", "0.5", epoch.ID}
	}
	insert := func(row []any, before string) error {
		return pg.InTx(t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), before); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO mints (seq, transaction_id, pledge_id, account_id, amount, backing_hours, k, haircut, epoch_id)
				VALUES ($1, $2, $3, $4, $5, $6, $7::numeric, $8::numeric, $9)`, row...); err != nil {
				return err
			}
			return errTried
		})
	}
	if err := insert(truth(), ""); !errors.Is(err, errTried) {
		t.Fatalf("the truth is refused: %v", err)
	}
	for what, lie := range map[string]func(row []any){
		"another seq":         func(row []any) { row[0] = short.Seq },
		"no transaction":      func(row []any) { row[0] = int64(1 << 40) },
		"not a mint":          func(row []any) { row[0], row[1] = transfer.Seq, transfer.ID },
		"another transaction": func(row []any) { row[1] = short.ID },
		"another pledge":      func(row []any) { row[2] = other.ID },
		"another account":     func(row []any) { row[3] = id.New() },
		"fewer tokens":        func(row []any) { row[4] = int64(hour - 1) },
		"more hours":          func(row []any) { row[5] = int64(2*hour + 1) },
		"a larger k":          func(row []any) { row[6] = "1.000001" },
		"a smaller haircut":   func(row []any) { row[7] = "0.499999" },
		"another epoch":       func(row []any) { row[8] = id.New() },
	} {
		row := truth()
		lie(row)
		refused(t, what, insert(row, ""), "BL006", "mints_follow_the_journal")
	}
	for what, before := range map[string]string{
		"pledge not active": `SET LOCAL session_replication_role = replica; UPDATE pledges SET status = 'expired'; SET LOCAL session_replication_role = origin`,
		"pledge over":       `SET LOCAL session_replication_role = replica; UPDATE pledges SET starts_at = now() - interval '9 h', expires_at = now() - interval '1 h'; SET LOCAL session_replication_role = origin`,
		"another's tokens":  `SET LOCAL session_replication_role = replica; UPDATE accounts SET provider_id = gen_random_uuid() WHERE kind = 'issuance'; SET LOCAL session_replication_role = origin`,
		"an older epoch":    `SET LOCAL session_replication_role = replica; INSERT INTO epochs SELECT gen_random_uuid(), 2, effective_at + interval '1 us', reference_class, method, inputs, inputs_sha256, created_at FROM epochs; SET LOCAL session_replication_role = origin`,
		"an epoch to come":  `SET LOCAL session_replication_role = replica; UPDATE epochs SET effective_at = now() + interval '1 h'; SET LOCAL session_replication_role = origin`,
	} {
		refused(t, what, insert(truth(), before), "BL006", "mints_follow_the_journal")
	}
	for what, change := range map[string]func(*ledger.Command, *bareMint){
		"more than two postings": func(_ *ledger.Command, s *bareMint) { s.more = true },
		"about something else":   func(c *ledger.Command, _ *bareMint) { c.Subject = other.ID },
		"hours of another's":     func(_ *ledger.Command, s *bareMint) { s.pledge.Accounts.Available = other.Accounts.Available },
		"hours behind another's": func(_ *ledger.Command, s *bareMint) { s.pledge.Accounts.Backing = other.Accounts.Backing },
		"of no epoch":            func(_ *ledger.Command, s *bareMint) { s.epoch = uuid.Nil },
	} {
		posted, row := post(ledger.KindMint, 2*hour, change), truth()
		row[0], row[1] = posted.Seq, posted.ID
		refused(t, what, insert(row, ""), "BL006", "mints_follow_the_journal")
	}
	row := truth()
	row[0], row[1], row[5] = short.Seq, short.ID, int64(2*hour-1)
	refused(t, "too few hours", insert(row, ""), "23514", "mints_are_backed")
}

var errTried = errors.New("tried")

// bareMint makes the postings of a mint, without asking anybody and without a row in mints.
type bareMint struct {
	pledge        providers.Pledge
	account       uuid.UUID
	amount, hours int64
	epoch         uuid.UUID
	// more takes a token back in the same transaction.
	more bool
}

func (s bareMint) Lock() []uuid.UUID {
	return []uuid.UUID{s.pledge.Accounts.Issuance, s.account, s.pledge.Accounts.Available, s.pledge.Accounts.Backing}
}
func (s bareMint) Read(*ledger.Reads) {}

func (s bareMint) Decide(*ledger.Book) (ledger.Decision, error) {
	d := ledger.Decision{Epoch: s.epoch, Moves: []ledger.Move{
		{From: s.pledge.Accounts.Issuance, To: s.account, Amount: money.Micros(s.amount)},
		{From: s.pledge.Accounts.Available, To: s.pledge.Accounts.Backing, Amount: money.Micros(s.hours)},
	}}
	if s.more {
		d.Moves = append(d.Moves, ledger.Move{From: s.account, To: s.pledge.Accounts.Issuance, Amount: money.Micros(1)})
	}
	return d, nil
}

func (s bareMint) Write(*ledger.Writes, *ledger.Transaction) {}

func TestTheRunTimeRoleMayDoNoMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.active(h100, hour, "0")
	for _, sql := range []string{
		`UPDATE pledges SET hours = 1`, `UPDATE pledges SET expires_at = now()`, `UPDATE pledges SET provider_id = id`, `UPDATE pledges SET metadata = NULL`,
		`DELETE FROM pledges`, `TRUNCATE pledges`,
		`UPDATE pledge_events SET status = 'active'`, `DELETE FROM pledge_events`, `TRUNCATE pledge_events`,
		`UPDATE mints SET amount = 1`, `DELETE FROM mints`, `TRUNCATE mints`,
		`ALTER TABLE mints DISABLE TRIGGER ALL`, `SET session_replication_role = replica`,
	} {
		_, err := w.App.Exec(t.Context(), sql)
		refused(t, sql, err, "42501", "")
	}
}

// Each check sees what it is there for, once the guards are off.
func TestChecksSeeEveryBreach(t *testing.T) {
	t.Parallel()
	for name, breach := range map[string]string{
		"mints_are_backed":          `ALTER TABLE mints DROP CONSTRAINT mints_are_backed; UPDATE mints SET backing_hours = backing_hours - 1`,
		"mints_use_published_terms": `UPDATE pledges SET haircut = 0.2`,
		"issued_is_minted":          `DELETE FROM mints`,
		"pledged_hours_are_whole":   `UPDATE pledges SET hours = hours + 1; UPDATE pledge_windows SET hours = hours + 1`,
		"windows_are_the_pledge":    `UPDATE pledge_windows SET later_hours = 1`,
		"only_closed_windows_lapse": `UPDATE accounts SET debits = debits + 1, balance = balance - 1 WHERE kind = 'pledge_available'; ` +
			`UPDATE accounts SET credits = credits + 1, balance = balance + 1 WHERE kind = 'pledge_expired'`,
		"shortfalls_are_backing_lapsed": `UPDATE pledges SET status = 'defaulted'`,
		"substitutions_are_worth_as_much": `INSERT INTO substitutions SELECT 1, id, provider_id, 1, 1, 1, 1, 0, 0, e.epoch_id, e.epoch_id ` +
			`FROM pledges, (SELECT id AS epoch_id FROM epochs) AS e`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.active(h100, 10*hour, "0.1")
			if _, err := w.mint(p.ID, hour); err != nil {
				t.Fatal(err)
			}
			w.sound()
			for sql := range strings.SplitSeq(breach, "; ") {
				w.tamper(sql)
			}
			if failed := failing(t.Context(), t, w.App); failed != name {
				t.Errorf("failing: %q", failed)
			}
		})
	}
}

func failing(ctx context.Context, t *testing.T, db ledger.Querier) string {
	t.Helper()
	checks, err := providers.Checks(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	more, err := providers.CheckJournal(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	checks = append(checks, more...)
	var failed []string
	for _, c := range checks {
		if !c.OK {
			failed = append(failed, c.Name)
		}
	}
	return strings.Join(failed, " ")
}
