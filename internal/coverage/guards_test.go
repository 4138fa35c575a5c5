package coverage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

// What was written stays, for the owner of the tables too.
func TestWhatIsWrittenStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mint(w.active(w.provider, terms{class: h100, hours: 100 * hour}), 100*hour, 100*hour)
	w.clock.Advance(day)
	w.epoch(map[string]string{h100: "0.9"})
	w.assess(2)
	w.exec(`INSERT INTO provider_tiers (provider_id, tier, set_by) VALUES ($1, 'prime', $2)`, w.provider.id, w.maker)
	w.exec(`INSERT INTO concentration_haircuts (provider_id, share, haircut, policy_version) VALUES ($1, 1, 0, 1)`, w.provider.id)
	for _, table := range []string{"policies", "policy_approvals", "provider_tiers", "concentration_haircuts", "coverage_events"} {
		for _, sql := range []string{"DELETE FROM " + table, "TRUNCATE " + table + " CASCADE"} {
			refused(t, sql, w.try(sql), "BL001", "")
		}
	}
	for _, sql := range []string{
		`UPDATE policies SET mint_buffer = 1`, `UPDATE policy_approvals SET effective_at = now()`, `UPDATE provider_tiers SET tier = 'basic'`,
		`UPDATE concentration_haircuts SET haircut = 0.5`, `UPDATE coverage_events SET to_state = 'healthy'`,
		`DELETE FROM margin_calls`, `TRUNCATE margin_calls CASCADE`, `TRUNCATE pledge_positions`,
		`UPDATE position_lots SET interruptible = NOT interruptible`, `DELETE FROM position_lots`, `TRUNCATE position_lots CASCADE`,
	} {
		refused(t, sql, w.try(sql), "BL001", "")
	}
}

func TestGuardsOfCoverage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(w.provider, terms{class: h100, hours: 100 * hour})
	w.mint(p, 100*hour, 100*hour)
	w.clock.Advance(day)
	w.epoch(map[string]string{h100: "0.9"})
	w.assess(2)
	draft, err := w.draft(func(*coverage.Terms) {})
	if err != nil {
		t.Fatal(err)
	}
	const approve = `INSERT INTO policy_approvals (version, replaces, drafted_by, approved_by, effective_at) VALUES `
	now := w.clock.Now().Format(time.RFC3339)
	maker, checker := w.maker.String(), w.checker.String()
	for what, tc := range map[string]struct{ sql, code, constraint string }{
		"approved by whoever drafted it":  {approve + `(2, 1, '` + maker + `', '` + maker + `', '` + now + `')`, "23514", "policy_approvals_by_another"},
		"approved by nobody":              {approve + `(2, 1, '` + maker + `', NULL, '` + now + `')`, "23514", "policy_approvals_by_another"},
		"drafted by another than it was":  {approve + `(2, 1, '` + checker + `', '` + maker + `', '` + now + `')`, "23503", "policy_approvals_of_its_author"},
		"approved without a draft":        {approve + `(3, 1, '` + maker + `', '` + checker + `', '` + now + `')`, "23503", ""},
		"retroactive":                     {approve + `(2, 1, '` + maker + `', '` + checker + `', '2020-01-01')`, "BL010", "policy_approvals_follow_each_other"},
		"out of the chain":                {approve + `(2, NULL, '` + maker + `', '` + checker + `', '` + now + `')`, "23514", "policy_approvals_go_forward"},
		"a policy of nobody":              {replaceIn(`drafted_by`, `NULL`), "23514", "policies_have_an_author"},
		"thresholds out of order":         {replaceIn(`call_below`, `1.5`), "23514", "policies_thresholds_are_ordered"},
		"a haircut of everything":         {replaceIn(`basic_haircut`, `1`), "23514", "policies_haircuts_in_range"},
		"a haircut of null":               {replaceIn(`delivery_haircuts`, `'{NULL}'`), "23514", ""},
		"a ladder that falls":             {replaceIn(`delivery_beyond_days`, `'{2,1}'`), "23514", "policies_ladders_rise"},
		"a position that nobody moved":    {`UPDATE pledge_positions SET available = available + 1`, "BL010", "pledge_positions_follow_accounts"},
		"a position of its own":           {`DELETE FROM pledge_positions`, "BL010", "pledge_positions_follow_accounts"},
		"a lot of no pledge":              {`INSERT INTO position_lots (provider_id, gpu_class, interruptible) VALUES (gen_random_uuid(), 'X', false)`, "BL010", "position_lots_follow_pledges"},
		"a position in another's lot":     {otherLot, "23503", "pledge_positions_lot_fkey"},
		"another call beside one":         {`INSERT INTO margin_calls SELECT gen_random_uuid(), provider_id, 'open', opened_at, deadline, coverage, required_sch, required_hours, gpu_class, cause, policy_version FROM margin_calls`, "23505", "margin_calls_one_at_a_time"},
		"a call for less":                 {`UPDATE margin_calls SET status = 'cured', cured_at = now(), cure = 'pledge', required_sch = 1`, "BL010", "margin_calls_terms_are_fixed"},
		"a call that is escalated early":  {`UPDATE margin_calls SET status = 'escalated', escalated_at = opened_at`, "23514", "margin_calls_escalate_after_the_deadline"},
		"a call that is cured by nothing": {`UPDATE margin_calls SET status = 'cured', cured_at = now()`, "23514", "margin_calls_cured_when"},
		"a call that stays as it is":      {`UPDATE margin_calls SET status = 'open'`, "BL010", "margin_calls_change_status_by_the_rules"},
		"a state that no event tells of":  {`UPDATE coverage_states SET state = 'healthy'`, "BL010", "coverage_states_have_their_events"},
		"an event that follows none":      {`INSERT INTO coverage_events (provider_id, from_state, to_state, cause, effects, sch, outstanding, epoch_id, policy_version, seq, at) SELECT provider_id, 'healthy', 'watch', 'mint', '[]', 1, 1, epoch_id, 1, 1, now() FROM coverage_events`, "BL010", "coverage_events_follow_each_other"},
		"an event that changes nothing":   {`INSERT INTO coverage_events (provider_id, from_state, to_state, cause, effects, sch, outstanding, epoch_id, policy_version, seq, at) SELECT provider_id, to_state, to_state, 'mint', '[]', 1, 1, epoch_id, 1, 1, now() FROM coverage_events`, "23514", "coverage_events_are_changes"},
		"a tier that there is not":        {`INSERT INTO provider_tiers (provider_id, tier, set_by) SELECT id, 'gold', id FROM providers`, "23514", ""},
	} {
		refused(t, what, w.try(tc.sql), tc.code, tc.constraint)
	}
	if _, err := w.approve(w.checker, draft.ID, time.Time{}); err != nil {
		t.Errorf("what is right: %v", err)
	}
	_, err = w.draft(func(*coverage.Terms) {})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "two successors", w.try(approve+`(3, 1, '`+maker+`', '`+checker+`', '2999-01-01')`), "23505", "policy_approvals_replace_once")
}

// otherLot is what somebody would do who has switched off the guard of positions.
const otherLot = `DO $$
BEGIN
    ALTER TABLE position_lots DISABLE TRIGGER position_lots_follow_pledges;
    ALTER TABLE pledge_positions DISABLE TRIGGER pledge_positions_follow_accounts;
    INSERT INTO position_lots (provider_id, gpu_class, interruptible) VALUES (gen_random_uuid(), 'X', false);
    UPDATE pledge_positions SET lot = (SELECT max(lot) FROM position_lots);
END
$$`

// replaceIn is a policy like the first but for one column.
func replaceIn(column, value string) string {
	columns := `watch_below, call_below, default_below, mint_buffer, margin_call_seconds, escalation_grace_seconds, rollover_notice_seconds,
		announcement_notice_seconds, sunset_notice_seconds, draft_life_seconds, max_decrease, index_min_sources, index_max_age_seconds, index_carry_seconds,
		index_mint_stop_seconds, prime_haircut, standard_haircut, basic_haircut, interruptible_haircut, concentration_above, concentration_haircuts,
		delivery_beyond_days, delivery_haircuts, note, drafted_by`
	values := strings.Replace(strings.Replace(columns, "drafted_by", "id", 1), column, value, 1)
	if column == "drafted_by" {
		values = strings.Replace(columns, column, value, 1)
	}
	return `INSERT INTO policies (id, version, ` + columns + `) SELECT gen_random_uuid(), 9, ` + values + ` FROM policies WHERE version = 1`
}

// The API's login reads positions, and cannot write them, or change what is fixed.
func TestRightsOfTheProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.active(w.provider, terms{class: h100, hours: 100 * hour})
	for _, sql := range []string{
		`UPDATE pledge_positions SET available = 1`, `INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible) VALUES (gen_random_uuid(), gen_random_uuid(), 'X', false)`,
		`INSERT INTO position_lots (provider_id, gpu_class, interruptible) VALUES (gen_random_uuid(), 'X', false)`,
		`UPDATE policies SET mint_buffer = 1`, `UPDATE policy_approvals SET effective_at = now()`, `DELETE FROM coverage_events`, `UPDATE providers SET tier = 'prime'`,
		`UPDATE margin_calls SET required_sch = 1`, `INSERT INTO coverage_assessment (at, policy_version, marked_at) VALUES (now(), 1, now())`,
	} {
		err := pg.InTx(t.Context(), w.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), sql)
			return err
		})
		refused(t, sql, err, "42501", "")
	}
}

func TestTiersAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tier := range []coverage.Tier{coverage.TierPrime, coverage.TierBasic} {
		w.clock.Advance(time.Hour)
		if err := w.store.SetTier(t.Context(), coverage.TierChange{Caller: w.maker, ProviderID: w.provider.id, Tier: tier}); err != nil {
			t.Fatal(err)
		}
	}
	tiers, err := coverage.Tiers(t.Context(), w.App, w.provider.id)
	if err != nil || len(tiers) != 2 || tiers[0].Tier != coverage.TierBasic || tiers[1].SetBy != w.maker || !tiers[0].At.Equal(w.clock.Now()) {
		t.Errorf("%+v, %v", tiers, err)
	}
	if c := w.now(); c.Providers[0].Tier != coverage.TierBasic {
		t.Errorf("%+v", c)
	}
	if err := w.store.SetTier(t.Context(), coverage.TierChange{Caller: w.maker, ProviderID: id.New(), Tier: coverage.TierBasic}); err == nil || err.Error() != coverage.ErrProviderNotFound.Error() {
		t.Errorf("of nobody: %v", err)
	}
	if err := w.store.SetTier(t.Context(), coverage.TierChange{Caller: w.maker, ProviderID: w.provider.id, Tier: "gold"}); err == nil {
		t.Error("gold is no tier")
	}
	w.sound()
}

func TestChecksSeeEveryBreach(t *testing.T) {
	t.Parallel()
	for breach, name := range map[string]string{
		`UPDATE pledge_positions SET backing = backing - 1`:                  "positions_are_balances",
		`UPDATE pledge_positions SET haircut = 0.5`:                          "positions_are_balances",
		`UPDATE pledge_positions SET closes_at = closes_at + interval '1 s'`: "positions_are_balances",
		`DELETE FROM pledge_positions`:                                       "positions_are_balances",
		`UPDATE pledge_positions SET due_at = due_at + interval '1 s'`:       "nothing_lapses_unseen",
		`UPDATE coverage_events SET from_state = 'watch'`:                    "states_have_their_events",
		`UPDATE coverage_states SET state = 'watch'`:                         "states_have_their_events",
		`UPDATE providers SET tier = 'prime'`:                                "tiers_are_as_set",
	} {
		t.Run(breach, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mint(w.active(w.provider, terms{class: h100, hours: 100 * hour}), 100*hour, 100*hour)
			w.clock.Advance(day)
			w.epoch(map[string]string{h100: "0.5"})
			w.assess(2)
			w.sound()
			w.tamper(breach)
			checks, err := coverage.Checks(t.Context(), w.App)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range checks {
				if c.OK == (c.Name == name) {
					t.Errorf("%s: %v, %s", c.Name, c.OK, c.Detail)
				}
			}
		})
	}
}
