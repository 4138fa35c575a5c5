package redeem

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// The database's guards hold even for the owner of the tables.
func TestGuardsAgainstStatements(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	open := s.request(t, 10*hour)
	issued, _, err := s.Issue(t.Context(), s.issuanceOf(s.request(t, 20*hour), "g"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		constraint, sql string
		args            []any
	}{
		{"redemptions_is_append_only", `DELETE FROM redemptions WHERE id = $1`, []any{open.ID}},
		{"redemptions_is_append_only", `TRUNCATE redemptions CASCADE`, nil},
		{"redemption_lines_is_append_only", `UPDATE redemption_lines SET hours = 1`, nil},
		{"redemption_lines_is_append_only", `DELETE FROM redemption_lines`, nil},
		{"redemption_lines_is_append_only", `TRUNCATE redemption_lines CASCADE`, nil},
		{"redemption_events_is_append_only", `UPDATE redemption_events SET detail = 'x'`, nil},
		{"redemption_events_is_append_only", `DELETE FROM redemption_events`, nil},
		{"redemption_events_is_append_only", `TRUNCATE redemption_events`, nil},
		{"redemption_transitions_is_append_only", `INSERT INTO redemption_transitions VALUES ('issued', 'refunded')`, nil},
		{"redemption_transitions_is_append_only", `UPDATE redemption_transitions SET to_status = 'issued'`, nil},
		{"redemption_transitions_is_append_only", `DELETE FROM redemption_transitions`, nil},
		{"redemption_transitions_is_append_only", `TRUNCATE redemption_transitions`, nil},
		{"redemptions_identity_is_fixed", `UPDATE redemptions SET amount = amount + 1`, nil},
		{"redemptions_identity_is_fixed", `UPDATE redemptions SET recipient_account = 'mallory'`, nil},
		{"redemptions_identity_is_fixed", `UPDATE redemptions SET provider_id = id`, nil},
		{"redemptions_end_is_fixed", `UPDATE redemptions SET provider_grant_id = 'h' WHERE id = $1`, []any{issued.ID}},
		{"redemptions_end_is_fixed", `UPDATE redemptions SET reason = 'h' WHERE id = $1`, []any{issued.ID}},
		{"redemptions_are_whole", `UPDATE redemptions SET status = 'cancelled' WHERE id = $1`, []any{open.ID}},
		{
			"redemption_events_follow_the_rules",
			`INSERT INTO redemption_events SELECT $1, 4, 'acknowledged', now(), $1`,
			[]any{open.ID},
		},
		{
			"redemption_events_follow_the_rules", // 5 comes after 4.
			`INSERT INTO redemption_events SELECT $1, 5, 'cancelled', now(), $1`, []any{open.ID},
		},
		{
			"redemption_events_follow_the_rules",
			`INSERT INTO redemption_events SELECT $1, 4, 'cancelled', '2020-01-01', $1`,
			[]any{open.ID},
		},
		{
			"redemption_events_tell_the_status",
			`INSERT INTO redemption_events SELECT $1, 4, 'cancelled', now(), $1`,
			[]any{open.ID},
		},
		{
			"redemption_lines_are_its_hours",
			`INSERT INTO redemption_lines SELECT $1, $2, 1, (now() AT TIME ZONE 'UTC')::date`,
			[]any{open.ID, s.desk.pledge(t, s.provider, h100, hour, farFuture()).id},
		},
		{
			"redemptions_settled_at_their_end",
			`WITH e AS (INSERT INTO redemption_events SELECT $1, 4, 'issued', now(), $1)
			 UPDATE redemptions SET status = 'issued', provider_grant_id = 'h' WHERE id = $1`,
			[]any{open.ID},
		},
		{
			"redemptions_issued_name_their_grant",
			`WITH e AS (INSERT INTO redemption_events SELECT $1, 4, 'issued', now(), $1)
			 UPDATE redemptions SET status = 'issued', settled_by = $2, delivered_hours = hours, burned_amount = amount WHERE id = $1`,
			[]any{open.ID, open.RequestedBy},
		},
		{
			"redemptions_settled_by_key",
			`WITH e AS (INSERT INTO redemption_events SELECT $1, 4, 'issued', now(), $1)
			 UPDATE redemptions SET status = 'issued', settled_by = $2, delivered_hours = hours, burned_amount = amount, provider_grant_id = 'h' WHERE id = $1`,
			[]any{open.ID, issued.SettledBy},
		},
		{
			"redemptions_grant_key",
			`WITH e AS (INSERT INTO redemption_events SELECT $1, 4, 'issued', now(), $1)
			 UPDATE redemptions SET status = 'issued', settled_by = $2, delivered_hours = hours, burned_amount = amount, provider_grant_id = 'g' WHERE id = $1`,
			[]any{open.ID, open.RequestedBy},
		},
		{
			"redemptions_settle_in_the_journal",
			`WITH e AS (INSERT INTO redemption_events SELECT $1, 4, 'issued', now(), $1)
			 UPDATE redemptions SET status = 'issued', settled_by = $2, delivered_hours = hours, burned_amount = amount, provider_grant_id = 'h' WHERE id = $1`,
			[]any{open.ID, open.RequestedBy},
		},
	} {
		_, err := s.db.Pool.Exec(t.Context(), tt.sql, tt.args...)
		if got := pg.ConstraintName(err); got != tt.constraint {
			t.Errorf("%s: %v", tt.sql, err)
		}
	}
	s.proveBooks(t)
}

func TestRunTimeRoleMayDoNoMoreThanItsWork(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	s.request(t, 10*hour)
	for _, sql := range []string{
		`DELETE FROM redemptions`, `DELETE FROM redemption_lines`, `DELETE FROM redemption_events`, `DELETE FROM redemption_transitions`,
		`TRUNCATE redemptions CASCADE`, `TRUNCATE redemption_lines`, `TRUNCATE redemption_events`,
		`UPDATE redemptions SET amount = 1`, `UPDATE redemption_lines SET hours = 1`, `UPDATE redemption_events SET n = 1`,
		`INSERT INTO redemption_transitions VALUES ('issued', 'refunded')`,
	} {
		_, err := s.db.App.Exec(t.Context(), sql)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// tampered is a step that writes something else than it should.
type tampered struct {
	ledger.Step
	decide func(ledger.Decision) ledger.Decision
	write  func(b *ledger.Writes, t *ledger.Transaction)
}

func (s *tampered) Decide(b *ledger.Book) (ledger.Decision, error) {
	d, err := s.Step.Decide(b)
	if err == nil && s.decide != nil {
		d = s.decide(d)
	}
	return d, err
}

func (s *tampered) Write(b *ledger.Writes, t *ledger.Transaction) {
	if s.write == nil {
		s.Step.Write(b, t)
		return
	}
	s.write(b, t)
}

// argument is the number of a parameter of a statement, as in $n, and what to put in its place.
type argument struct {
	n     int
	value any
}

func put(args []any, in []argument) []any {
	for _, a := range in {
		args[a.n-1] = a.value
	}
	return args
}

func TestGuardsAgainstRequestsThatTheJournalDoesNotExplain(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	other := s.desk.pledge(t, s.provider, h100, 100*hour, farFuture())
	stranger, theirs := s.desk.holder(t, money.SCH)
	rival, _ := s.desk.provider(t)
	earlier := s.request(t, hour)
	second := s.open(t, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: s.holder})
	s.mint(t, s.issuance, second, 100*hour)
	noHours := func(d ledger.Decision) ledger.Decision {
		d.Moves = nil
		return d
	}
	tooFew := func(d ledger.Decision) ledger.Decision {
		d.Moves[0].Amount = money.Micros(1)
		return d
	}
	for name, tt := range map[string]struct {
		constraint string
		in         []argument
		decide     func(ledger.Decision) ledger.Decision
		change     func(*ledger.Command)
	}{
		"as it should be":         {"", nil, nil, nil},
		"another account":         {"redemptions_are_whole", []argument{{2, theirs}}, nil, nil},
		"another holder":          {"redemptions_are_whole", []argument{{3, stranger}}, nil, nil},
		"another escrow":          {"redemptions_are_whole", []argument{{4, theirs}}, nil, nil},
		"another provider":        {"redemption_lines_are_earmarked", []argument{{5, rival}}, nil, nil},
		"another class":           {"redemption_lines_are_earmarked", []argument{{6, "H200-SXM-141GB"}}, nil, nil},
		"another amount":          {"redemptions_hours_are_what_the_amount_is_worth", []argument{{7, 2 * hour}}, nil, nil},
		"more hours":              {"redemptions_hours_are_what_the_amount_is_worth", []argument{{8, hour + 1}}, nil, nil},
		"fewer hours":             {"redemptions_hours_are_what_the_amount_is_worth", []argument{{8, hour - 1}, {18, []int64{hour - 1}}}, nil, nil},
		"a k that no epoch has":   {"redemptions_are_whole", []argument{{9, decimal.RequireFromString("0.9999999")}}, nil, nil},
		"another epoch":           {"redemptions_are_whole", []argument{{10, s.announce(t)}}, nil, nil},
		"an unknown transport":    {"redemptions_transport_check", []argument{{11, "fax"}}, nil, nil},
		"another status":          {"redemption_events_tell_the_status", []argument{{13, "reserved"}}, nil, nil},
		"another's transaction":   {"redemptions_requested_by_key", []argument{{15, earlier.RequestedBy}}, nil, nil},
		"no lines":                {"redemptions_are_whole", []argument{{17, []uuid.UUID{}}, {18, []int64{}}}, nil, nil},
		"another pledge":          {"redemption_lines_are_earmarked", []argument{{17, []uuid.UUID{other.id}}}, nil, nil},
		"lines that are too much": {"redemption_lines_are_its_hours", []argument{{18, []int64{hour + 1}}}, nil, nil},
		"it begins halfway":       {"redemption_events_follow_the_rules", []argument{{13, "dispatched"}, {20, []string{"dispatched"}}, {21, []string{""}}}, nil, nil},
		"it skips a step":         {"redemption_events_follow_the_rules", []argument{{20, []string{"requested", "dispatched"}}, {21, []string{"", ""}}}, nil, nil},
		"no hours are earmarked":  {"redemption_lines_are_earmarked", nil, noHours, nil},
		"too few are earmarked":   {"redemption_lines_are_earmarked", nil, tooFew, nil},
		"about something else":    {"redemptions_are_whole", nil, nil, func(c *ledger.Command) { c.Subject = id.New() }},
		"tokens from elsewhere":   {"redemptions_are_whole", nil, nil, func(c *ledger.Command) { c.Moves[0].From = second }},
		"tokens to elsewhere":     {"redemptions_are_whole", nil, nil, func(c *ledger.Command) { c.Moves[0].To = second }},
	} {
		ask := s.ask(hour)
		there, err := s.capacity(t.Context(), &ask)
		if err != nil {
			t.Fatal(err)
		}
		honest := &requestStep{ask: &ask, id: id.New(), escrow: earlier.EscrowAccount, issuance: there.issuance, candidates: there.candidates}
		c := &ledger.Command{
			Kind: ledger.KindRedemptionRequest, Call: ask.Call, Owner: ask.Owner, Subject: honest.id,
			Moves: []ledger.Move{{From: ask.AccountID, To: honest.escrow, Amount: ask.Amount}},
			Step: &tampered{Step: honest, decide: tt.decide, write: func(b *ledger.Writes, at *ledger.Transaction) {
				b.Queue(insertRedemptionSQL, put(insertArgs(honest, at), tt.in)...)
			}},
		}
		if tt.change != nil {
			tt.change(c)
		}
		v := s.books.Submit(t.Context(), c)[0]
		if got := pg.ConstraintName(v.Err); got != tt.constraint || (tt.constraint == "") != (v.Err == nil) {
			t.Errorf("%s: %v", name, v.Err)
		}
	}
	s.expect(t, 98, 2, 200, 98, 2, 0)
	s.proveBooks(t)
}

// announce publishes an epoch that has not come yet.
func (d *desk) announce(t *testing.T) uuid.UUID {
	t.Helper()
	return pgtest.PublishEpoch(t, d.db, time.Hour, h100, map[string]string{h100: "1"})
}

func TestGuardsAgainstSettlementsThatTheJournalDoesNotExplain(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	earlier := s.request(t, hour)
	_, theirs := s.desk.holder(t, money.SCH)
	elsewhere := func(d ledger.Decision) ledger.Decision {
		d.Moves[0].To = theirs
		return d
	}
	tooFew := func(d ledger.Decision) ledger.Decision {
		d.Moves[1].Amount = money.Micros(1)
		return d
	}
	noPledges, noHours := []uuid.UUID{}, []int64{}
	refund := func(c *ledger.Command, s *settleStep) {
		c.Kind, s.kind = ledger.KindRedemptionRefund, ledger.KindRedemptionRefund
		s.steps, s.grant, s.delivered = []Event{{Status: Cancelled}, {Status: Refunded}}, "", 0
	}
	for name, tt := range map[string]struct {
		constraint string
		in         []argument
		decide     func(ledger.Decision) ledger.Decision
		change     func(*ledger.Command, *settleStep)
	}{
		"as it should be":            {"", nil, nil, nil},
		"another status":             {"redemption_events_tell_the_status", []argument{{9, []string{"issued", "acknowledged"}}, {10, []string{"", ""}}}, nil, nil},
		"issued, but not called so":  {"redemptions_settle_in_the_journal", []argument{{2, "refunded"}, {3, nil}, {11, 0}, {12, 0}, {13, noPledges}, {14, noHours}, {9, []string{"cancelled", "refunded"}}, {10, []string{"", ""}}}, nil, nil},
		"without a grant":            {"redemptions_issued_name_their_grant", []argument{{3, nil}}, nil, nil},
		"without a transaction":      {"redemptions_settled_at_their_end", []argument{{5, nil}, {11, nil}, {12, nil}, {13, noPledges}, {14, noHours}}, nil, nil},
		"another's transaction":      {"redemptions_settle_in_the_journal", []argument{{5, earlier.RequestedBy}}, nil, nil},
		"a step that is there":       {"redemption_events_pkey", []argument{{6, 2}}, nil, nil},
		"a gap":                      {"redemption_events_follow_the_rules", []argument{{6, 4}}, nil, nil},
		"acknowledged before issued": {"redemption_events_follow_the_rules", []argument{{2, "acknowledged"}, {9, []string{"acknowledged"}}}, nil, nil},
		"tokens go elsewhere":        {"redemptions_settle_in_the_journal", nil, elsewhere, nil},
		"too few hours":              {"redemptions_settle_in_the_journal", nil, tooFew, nil},
		"about something else":       {"redemptions_settle_in_the_journal", nil, nil, func(c *ledger.Command, _ *settleStep) { c.Subject = id.New() }},
		"another kind":               {"redemptions_settle_in_the_journal", nil, nil, func(c *ledger.Command, _ *settleStep) { c.Kind = ledger.KindRedemptionRefund }},
		"a refund":                   {"", nil, nil, refund},
		"a refund to elsewhere":      {"redemptions_settle_in_the_journal", nil, elsewhere, refund},
		"a refund of too few hours":  {"redemptions_settle_in_the_journal", nil, tooFew, refund},
		"a refund of another kind": {"redemptions_settle_in_the_journal", nil, nil, func(c *ledger.Command, s *settleStep) {
			refund(c, s)
			c.Kind = ledger.KindRedemptionIssue
		}},
	} {
		r := s.request(t, 2*hour)
		step := &settleStep{kind: ledger.KindRedemptionIssue, steps: []Event{{Status: Issued}}, grant: name, delivered: r.Hours, redemption: r}
		c := &ledger.Command{
			Kind: step.kind, Call: call(s.provider), Subject: r.ID, Settles: true,
			Step: &tampered{Step: &extra{settleStep: step, accounts: []uuid.UUID{theirs}}, decide: tt.decide, write: func(b *ledger.Writes, at *ledger.Transaction) {
				b.Queue(settleRedemptionSQL, put(settleArgs(step, at), tt.in)...)
			}},
		}
		if tt.change != nil {
			tt.change(c, step)
		}
		if err := s.route(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		step.share()
		v := s.books.Submit(t.Context(), c)[0]
		if got := pg.ConstraintName(v.Err); got != tt.constraint || (tt.constraint == "") != (v.Err == nil) {
			t.Errorf("%s: %v", name, v.Err)
		}
	}
	s.proveBooks(t)
}

// extra locks more accounts.
type extra struct {
	*settleStep
	accounts []uuid.UUID
}

func (s *extra) Lock() []uuid.UUID { return append(s.settleStep.Lock(), s.accounts...) }
