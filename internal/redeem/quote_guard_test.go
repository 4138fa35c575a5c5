package redeem

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// A second quote on the same terms as the first, and lines for it.
const (
	secondQuote = `WITH q AS (INSERT INTO redemption_quotes (id, account_id, holder_id, provider_id, gpu_class, amount, hours, k, epoch_id, transport, created_by, created_at, expires_at)
		SELECT gen_random_uuid(), account_id, holder_id, provider_id, gpu_class, amount, hours, k, epoch_id, transport, created_by, created_at, expires_at
		FROM redemption_quotes WHERE id = $q RETURNING id, expires_at)
		INSERT INTO redemption_quote_lines (quote_id, pledge_id, hours, expires_at) `
	itsLines = `SELECT q.id, l.pledge_id, l.hours, q.expires_at FROM q, redemption_quote_lines l WHERE l.quote_id = $q`
)

// otherwise is a second quote with a column or more otherwise.
func otherwise(t *testing.T, old, other string) string {
	t.Helper()
	head, tail, ok := strings.Cut(secondQuote, "SELECT gen_random_uuid()")
	if !ok || !strings.Contains(tail, old) {
		t.Fatalf("%q is not in %s", old, tail)
	}
	return head + "SELECT gen_random_uuid()" + strings.Replace(tail, old, other, 1) + itsLines
}

// What was promised, and what is late, stays as it is, whoever asks.
func TestTheDatabaseGuardsQuotesAndDelays(t *testing.T) {
	t.Parallel()
	s, clock := newLateScene(t)
	q := s.quote(t, 10*hour)
	inTime := s.asks(t, hour, Refund)
	s.asks(t, hour, Wait)
	stranger, theirs := s.desk.holder(t, money.SCH)
	poor := s.desk.pledge(t, s.provider, h100, hour, clock.Now().Add(1000*time.Hour))
	var names []string
	for name, one := range map[string]uuid.UUID{"$q": q.ID, "$inTime": inTime.ID, "$stranger": stranger, "$theirs": theirs, "$poor": poor.id} {
		names = append(names, name, "'"+one.String()+"'")
	}
	fill := strings.NewReplacer(names...)
	guards := append(quoteCases(t), delayCases()...)
	for i := range guards {
		guards[i].What, guards[i].Do, guards[i].First = guards[i].Constraint+": "+guards[i].Do, fill.Replace(guards[i].Do), fill.Replace(guards[i].First)
	}
	pgtest.ProveGuards(t, s.db.Pool, guards)
	pgtest.GuardsWithoutCase(t, s.db.Pool, []string{"redemption_quotes", "redemption_quote_lines", "redemption_escalations"}, guards,
		"redemption_quotes_are_whole",     // Four rules, each with a name of its own.
		"redemption_quotes_lines_key",     // It refuses nothing that the primary key does not: the lines refer to it.
		"redemption_escalations_are_told", // TestLateRedemptionsFollowTheirHoldersChoice
	)
	for _, sql := range []string{
		`UPDATE redemption_quotes SET amount = 1`, `DELETE FROM redemption_quotes`, `DELETE FROM redemption_quote_lines`, `UPDATE redemption_quote_lines SET hours = 1`,
		`UPDATE redemption_escalations SET escalated_at = now()`, `DELETE FROM redemption_escalations`, `UPDATE redemptions SET on_delay = 'wait'`,
	} {
		_, err := s.db.App.Exec(t.Context(), sql)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "42501" {
			t.Errorf("%s: %v, want insufficient_privilege", sql, err)
		}
	}
	s.proveBooks(t)
}

func quoteCases(t *testing.T) []pgtest.Guard {
	t.Helper()
	const (
		quotes, lines = "ALTER TABLE redemption_quotes DROP CONSTRAINT ", "ALTER TABLE redemption_quote_lines DROP CONSTRAINT "
		whole         = "; DROP TRIGGER redemption_quotes_are_whole ON redemption_quotes"
		there         = "; DROP TRIGGER redemption_quote_lines_are_there ON redemption_quote_lines"
		worth         = ", DROP CONSTRAINT redemption_quotes_hours_are_what_the_amount_is_worth"
		appended      = "DROP TRIGGER redemption_quotes_is_append_only ON redemption_quotes"
		linesAppended = "DROP TRIGGER redemption_quote_lines_is_append_only ON redemption_quote_lines"
		alone         = lines + "redemption_quote_lines_end_with_their_quote; ALTER TABLE redemptions DROP CONSTRAINT redemptions_quote_id_fkey"
	)
	four := strings.Repeat(secondQuote+itsLines+"; ", maxLiveQuotes-1)
	return []pgtest.Guard{
		{Constraint: "redemption_quotes_is_append_only", Do: `UPDATE redemption_quotes SET expires_at = expires_at`, Without: appended},
		{Constraint: "redemption_quotes_is_append_only", Do: `DELETE FROM redemption_quotes`, Without: appended, First: alone},
		{Constraint: "redemption_quotes_is_append_only", Do: `TRUNCATE redemption_quotes`, Without: appended, First: alone},
		{
			Constraint: "redemption_quotes_pkey", Without: quotes + "redemption_quotes_pkey CASCADE",
			Do: `INSERT INTO redemption_quotes SELECT id, account_id, holder_id, provider_id, gpu_class, amount, hours, k, epoch_id, transport, created_by, created_at,
				expires_at + interval '1 second' FROM redemption_quotes WHERE id = $q`,
		},
		{Constraint: "redemption_quotes_account_id_fkey", Do: otherwise(t, "account_id", "gen_random_uuid()"), Without: quotes + "redemption_quotes_account_id_fkey" + whole},
		{Constraint: "redemption_quotes_holder_id_fkey", Do: otherwise(t, "holder_id", "gen_random_uuid()"), Without: quotes + "redemption_quotes_holder_id_fkey" + whole},
		{Constraint: "redemption_quotes_provider_id_fkey", Do: otherwise(t, "provider_id", "gen_random_uuid()"), Without: quotes + "redemption_quotes_provider_id_fkey" + there},
		{Constraint: "redemption_quotes_gpu_class_fkey", Do: otherwise(t, "gpu_class", "'ABACUS'"), Without: quotes + "redemption_quotes_gpu_class_fkey" + whole + there},
		{Constraint: "redemption_quotes_epoch_id_fkey", Do: otherwise(t, "epoch_id", "gen_random_uuid()"), Without: quotes + "redemption_quotes_epoch_id_fkey" + whole},
		{Constraint: "redemption_quotes_amount_check", Do: otherwise(t, " amount,", " 0,"), Without: quotes + "redemption_quotes_amount_check" + worth},
		{Constraint: "redemption_quotes_hours_check", Do: otherwise(t, "amount, hours, k", "1, 0, 2"), Without: quotes + "redemption_quotes_hours_check" + whole},
		{
			Constraint: "redemption_quotes_k_check", Do: otherwise(t, " k,", " 0,"), Without: quotes + "redemption_quotes_k_check" + whole,
			First: quotes + "redemption_quotes_hours_are_what_the_amount_is_worth",
		},
		{Constraint: "redemption_quotes_transport_check", Do: otherwise(t, "transport", "'fax'"), Without: quotes + "redemption_quotes_transport_check"},
		{
			Constraint: "redemption_quotes_hours_are_what_the_amount_is_worth", Do: otherwise(t, " amount,", " amount + 1,"),
			Without: quotes + "redemption_quotes_hours_are_what_the_amount_is_worth",
		},
		{Constraint: "redemption_quotes_are_short", Do: otherwise(t, "created_at, expires_at", "created_at, created_at + interval '11 minutes'"), Without: quotes + "redemption_quotes_are_short"},
		{Constraint: "redemption_quotes_are_short", Do: otherwise(t, "created_at, expires_at", "created_at, created_at"), Without: quotes + "redemption_quotes_are_short"},
		{Constraint: "redemption_quotes_have_the_k_in_force", Do: otherwise(t, "amount, hours, k", "2 * amount, hours, 2 * k"), Without: whole[2:]},
		{Constraint: "redemption_quotes_are_of_the_account", Do: otherwise(t, "account_id", "$theirs"), Without: whole[2:]},
		{Constraint: "redemption_quotes_are_of_the_account", Do: otherwise(t, "holder_id", "$stranger"), Without: whole[2:]},
		{Constraint: "redemption_quote_lines_are_its_hours", Do: secondQuote + `SELECT id, $poor, 1000000, expires_at FROM q`, Without: whole[2:]},
		{Constraint: "redemption_quotes_are_few", First: four, Do: secondQuote + itsLines, Without: whole[2:]},

		{Constraint: "redemption_quote_lines_is_append_only", Do: `UPDATE redemption_quote_lines SET hours = 1`, Without: linesAppended},
		{Constraint: "redemption_quote_lines_is_append_only", Do: `DELETE FROM redemption_quote_lines`, Without: linesAppended},
		{Constraint: "redemption_quote_lines_is_append_only", Do: `TRUNCATE redemption_quote_lines`, Without: linesAppended},
		{Constraint: "redemption_quote_lines_pkey", Do: `INSERT INTO redemption_quote_lines SELECT * FROM redemption_quote_lines`, Without: lines + "redemption_quote_lines_pkey"},
		{
			Constraint: "redemption_quote_lines_pledge_id_fkey", Do: secondQuote + `SELECT id, gen_random_uuid(), 10000000, expires_at FROM q`,
			Without: lines + "redemption_quote_lines_pledge_id_fkey" + there,
		},
		{Constraint: "redemption_quote_lines_hours_check", Do: secondQuote + itsLines + ` UNION ALL SELECT id, $poor, 0, expires_at FROM q`, Without: lines + "redemption_quote_lines_hours_check"},
		{
			Constraint: "redemption_quote_lines_end_with_their_quote", Do: strings.Replace(secondQuote+itsLines, "q.expires_at FROM q", "q.expires_at + interval '1 hour' FROM q", 1),
			Without: lines + "redemption_quote_lines_end_with_their_quote",
		},
		{Constraint: "redemption_quote_lines_are_there", Do: secondQuote + `SELECT id, $poor, 10000000, expires_at FROM q`, Without: there[2:]},
	}
}

func delayCases() []pgtest.Guard {
	const (
		escalate  = `INSERT INTO redemption_escalations (redemption_id) SELECT $inTime`
		asNot     = `INSERT INTO redemption_escalations (redemption_id) SELECT gen_random_uuid()`
		anyTime   = "DROP TRIGGER redemption_escalations_are_of_what_is_late ON redemption_escalations"
		appended  = "DROP TRIGGER redemption_escalations_is_append_only ON redemption_escalations"
		escalated = "ALTER TABLE redemption_escalations DROP CONSTRAINT "
		fixed     = "DROP TRIGGER redemptions_terms_are_fixed ON redemptions"
		terms     = "ALTER TABLE redemptions DROP CONSTRAINT "
		one       = ` WHERE id = $inTime`
	)
	guards := []pgtest.Guard{
		{Constraint: "redemption_escalations_is_append_only", Do: `UPDATE redemption_escalations SET escalated_at = now()`, Without: appended},
		{Constraint: "redemption_escalations_is_append_only", Do: `DELETE FROM redemption_escalations`, Without: appended},
		{Constraint: "redemption_escalations_is_append_only", Do: `TRUNCATE redemption_escalations`, Without: appended},
		{Constraint: "redemption_escalations_pkey", Do: escalate, Without: escalated + "redemption_escalations_pkey", First: anyTime + "; " + escalate},
		{Constraint: "redemption_escalations_redemption_id_fkey", Do: asNot, Without: escalated + "redemption_escalations_redemption_id_fkey", First: anyTime},
		{Constraint: "redemption_escalations_are_of_what_is_late", Do: escalate, Without: anyTime},
		{
			Constraint: "redemptions_expire_when_they_are_late", Without: "DROP TRIGGER redemptions_expire_when_they_are_late ON redemption_events",
			Do: `WITH e AS (INSERT INTO redemption_events SELECT $inTime, 4, 'expired', ballast_now(), $inTime) UPDATE redemptions SET status = 'expired'` + one,
		},
		{Constraint: "redemptions_quote_key", Do: `UPDATE redemptions SET quote_id = $q`, Without: "DROP INDEX redemptions_quote_key", First: fixed},
		{Constraint: "redemptions_quote_id_fkey", Do: `UPDATE redemptions SET quote_id = id` + one, Without: terms + "redemptions_quote_id_fkey", First: fixed},
		{Constraint: "redemptions_rerouted_from_key", Do: `UPDATE redemptions SET rerouted_from = $inTime`, Without: "DROP INDEX redemptions_rerouted_from_key", First: fixed},
		{Constraint: "redemptions_rerouted_from_fkey", Do: `UPDATE redemptions SET rerouted_from = $q` + one, Without: terms + "redemptions_rerouted_from_fkey", First: fixed},
		{Constraint: "redemptions_on_delay_check", Do: `UPDATE redemptions SET on_delay = 'later'` + one, Without: terms + "redemptions_on_delay_check", First: fixed},
		{Constraint: "redemptions_deliver_by_check", Do: `UPDATE redemptions SET deliver_by = created_at` + one, Without: terms + "redemptions_deliver_by_check", First: fixed},
	}
	for _, change := range []string{`quote_id = $q`, `on_delay = 'reroute'`, `deliver_by = deliver_by + interval '1 hour'`, `rerouted_from = (SELECT max(id::text)::uuid FROM redemptions)`} {
		guards = append(guards, pgtest.Guard{Constraint: "redemptions_terms_are_fixed", Do: `UPDATE redemptions SET ` + change + one, Without: fixed})
	}
	return guards
}

// What the write path itself would do wrong, is refused when its group commits; and is done once the guard is gone.
func TestTheDatabaseGuardsWhatRequestsMakeOfQuotes(t *testing.T) {
	t.Parallel()
	s, _ := newLateScene(t)
	earlier := s.asks(t, hour, Reroute)
	q := s.quote(t, 90*hour)
	for _, c := range []struct {
		what, constraint, without string
		ask                       NewRedemption
		tamper                    func(*requestStep) ledger.Step
	}{
		{
			"a place is taken of what is not late", "redemptions_are_rerouted_when_late", `DROP TRIGGER redemptions_are_rerouted_when_late ON redemptions`, s.ask(hour),
			func(step *requestStep) ledger.Step {
				step.ask.reroutes = earlier.ID
				return step
			},
		},
		{
			"another amount than the quote's", "redemptions_are_whole", `DROP TRIGGER redemptions_are_whole ON redemptions`, s.ask(hour),
			func(step *requestStep) ledger.Step {
				return &tampered{Step: step, write: func(b *ledger.Writes, at *ledger.Transaction) {
					b.Queue(insertRedemptionSQL, put(insertArgs(step, at), []argument{{22, q.ID}})...)
				}}
			},
		},
	} {
		submit := func() error {
			c.ask.Call = call(s.holder)
			there, err := s.capacity(t.Context(), &c.ask)
			if err != nil {
				t.Fatal(err)
			}
			command := c.ask.command(earlier.EscrowAccount, there)
			command.Step = c.tamper(command.Step.(*requestStep))
			return s.books.Submit(t.Context(), command)[0].Err
		}
		if err := submit(); pg.ConstraintName(err) != c.constraint {
			t.Errorf("%s: %v, want a refusal by %s", c.what, err, c.constraint)
		}
		s.exec(t, c.without)
		if err := submit(); err != nil {
			t.Errorf("%s, without %s: %v", c.what, c.constraint, err)
		}
	}
}

// A step that forgets what quotes keep.
func TestTheDatabaseGuardsWhatQuotesKeep(t *testing.T) {
	t.Parallel()
	s, _ := newLateScene(t)
	earlier := s.asks(t, hour, Wait)
	s.quote(t, 90*hour)
	forgetful := func() error {
		ask := s.ask(9*hour + 1)
		there, err := s.capacity(t.Context(), &ask)
		if err != nil {
			t.Fatal(err)
		}
		command := ask.command(earlier.EscrowAccount, there)
		command.Step = &forgets{command.Step.(*requestStep)}
		return s.books.Submit(t.Context(), command)[0].Err
	}
	if err := forgetful(); pg.ConstraintName(err) != "redemption_lines_leave_what_is_kept" {
		t.Errorf("hours that are kept for others were taken: %v", err)
	}
	s.exec(t, `DROP TRIGGER redemption_lines_leave_what_is_kept ON redemption_lines`)
	if err := forgetful(); err != nil {
		t.Errorf("without the guard: %v", err)
	}
}

// forgets what quotes keep.
type forgets struct{ *requestStep }

func (s *forgets) Decide(b *ledger.Book) (ledger.Decision, error) {
	s.kept = &reserved{lines: map[uuid.UUID][]kept{}, used: map[uuid.UUID]bool{}}
	return s.requestStep.Decide(b)
}
