package events_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

const (
	newEvent = `INSERT INTO events (id, type, object_type, object_id, data) VALUES (gen_random_uuid(), 'a.b', 'a', gen_random_uuid(), '{}')`
	bySelf   = `DROP TRIGGER events_are_told_by_rows ON events` // So that what an event must be is reached.

	newEndpoint = `INSERT INTO webhook_endpoints (id, holder_id, provider_id, created_by, url, description, event_types, status, disabled_reason, disabled_at, position)
		SELECT gen_random_uuid(), NULL::uuid, NULL::uuid, gen_random_uuid(), 'https://h.example', NULL, '{}', 'enabled', NULL, NULL::timestamptz, 0`
	newSecret   = `INSERT INTO webhook_secrets (id, endpoint_id, sealed) SELECT gen_random_uuid(), id, '\x00' FROM webhook_endpoints`
	newDelivery = `INSERT INTO webhook_deliveries (id, endpoint_id, seq, event_id, event_type, object_id, status, attempts, tries, ended_at)
		SELECT gen_random_uuid(), id, 1000000, gen_random_uuid(), 'a.b', gen_random_uuid(), 'pending', 1, 1, NULL::timestamptz FROM webhook_endpoints`
	newAttempt = `INSERT INTO webhook_attempts (delivery_id, n, outcome, http_status, milliseconds) SELECT id, 7, 'refused', 500, 1 FROM webhook_deliveries WHERE status = 'delivered'`
	newTest    = `INSERT INTO webhook_tests (id, endpoint_id, requested_by) SELECT gen_random_uuid(), id, gen_random_uuid() FROM webhook_endpoints`
)

// but is a statement with one thing otherwise.
func but(t *testing.T, sql, old, other string) string {
	t.Helper()
	if !strings.Contains(sql, old) {
		t.Fatalf("%q is not in %s", old, sql)
	}
	return strings.Replace(sql, old, other, 1)
}

func drop(table, trigger string) string { return "DROP TRIGGER " + trigger + " ON " + table }

func lift(table, constraint string) string {
	return "ALTER TABLE " + table + " DROP CONSTRAINT " + constraint + " CASCADE"
}

// guardedOffice has an endpoint, one delivery that has ended and one that is pending.
func guardedOffice(t *testing.T) *office {
	t.Helper()
	o := newOffice(t)
	alice, a := o.holder(2)
	o.endpoint(events.Viewer{HolderID: alice})
	o.inTx(func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), newTest)
		return err
	})
	o.submit(transfer(a[0], a[1]))
	o.work()
	o.post.answer = func(events.Message) events.Reply { return events.Reply{HTTPStatus: 500} }
	o.submit(transfer(a[0], a[1]))
	o.work()
	return o
}

// What has happened, what was sent of it, and to whom, stays as it is, whoever asks.
func TestTheDatabaseGuardsEventsAndWebhooks(t *testing.T) {
	t.Parallel()
	o := guardedOffice(t)
	var guards []pgtest.Guard
	refused := func(table, constraint, do string) {
		guards = append(guards, pgtest.Guard{What: constraint + ": " + do, Do: do, Constraint: constraint, Without: lift(table, constraint)})
	}
	triggered := func(table, trigger string, do ...string) {
		for _, sql := range do {
			guards = append(guards, pgtest.Guard{What: trigger + ": " + sql, Do: sql, Constraint: trigger, Without: drop(table, trigger)})
			if slices.Contains(kept, trigger) { // What is never changed at all says so by the name of its table.
				guards[len(guards)-1].Constraint = table + "_is_append_only"
			}
		}
	}
	eventCases(t, refused, triggered)
	for i := range guards {
		if guards[i].Constraint != "events_are_told_by_rows" && strings.HasPrefix(guards[i].Do, "INSERT INTO events ") {
			guards[i].First = bySelf
		}
	}
	webhookCases(t, refused, triggered)
	for i := range guards {
		if strings.HasPrefix(guards[i].Do, "TRUNCATE webhook_deliveries") {
			guards[i].First = lift("webhook_attempts", "webhook_attempts_delivery_id_fkey") // A table that others refer to is not emptied alone.
		}
	}
	guards = append(guards, pgtest.Guard{
		What: "a test of no endpoint", Do: but(t, newTest, "(), id,", "(), gen_random_uuid(),"), Constraint: "webhook_tests_endpoint_id_fkey",
		Without: lift("webhook_tests", "webhook_tests_endpoint_id_fkey"), First: drop("webhook_tests", "webhook_tests_are_told"),
	}, pgtest.Guard{ // Both bounds are of one number: fewer tries than none are not fewer than none of attempts.
		What: "fewer attempts than none", Do: but(t, newDelivery, "1, 1,", "-1, -1,"), Constraint: "webhook_deliveries_attempts_check",
		Without: lift("webhook_deliveries", "webhook_deliveries_attempts_check") + ", DROP CONSTRAINT webhook_deliveries_check",
	})
	pgtest.ProveGuards(t, o.db.Pool, guards)
	pgtest.GuardsWithoutCase(t, o.db.Pool,
		[]string{"events", "webhook_endpoints", "webhook_secrets", "webhook_deliveries", "webhook_attempts", "webhook_relay", "webhook_tests"},
		guards, slices.Concat(kept, []string{"webhook_endpoints_are_told", "webhook_tests_are_told"})...)
}

// kept are the triggers that refuse by the name of what is append-only.
var kept = []string{"webhook_endpoints_are_never_deleted", "webhook_secrets_are_never_deleted", "webhook_deliveries_are_never_emptied", "webhook_attempts_is_a_log"}

type addCase func(table, constraint, do string)

type addCases func(table, trigger string, do ...string)

func eventCases(t *testing.T, refused addCase, triggered addCases) {
	t.Helper()
	triggered("events", "events_is_append_only", `UPDATE events SET type = 'a.b'`, `DELETE FROM events`, `TRUNCATE events`)
	triggered("events", "events_are_told_by_rows", newEvent)
	refused("events", "events_pkey", but(t, but(t, newEvent, "(id, ", "(seq, id, "), "VALUES (", "VALUES ((SELECT min(seq) FROM events), "))
	refused("events", "events_id_key", but(t, newEvent, "(gen_random_uuid(), 'a", "((SELECT min(id::text)::uuid FROM events), 'a"))
	refused("events", "events_type_check", but(t, newEvent, "'a.b'", "'a'"))
	refused("events", "events_object_type_check", but(t, newEvent, "'a',", "'A',"))
	refused("events", "events_data_check", but(t, newEvent, "'{}'", "'[]'"))
}

func webhookCases(t *testing.T, refused addCase, triggered addCases) {
	t.Helper()
	const endpoints, deliveries, attempts = "webhook_endpoints", "webhook_deliveries", "webhook_attempts"
	triggered(endpoints, "webhook_endpoints_are_never_deleted", `DELETE FROM webhook_endpoints WHERE false`)
	triggered(endpoints, "webhook_endpoints_stay_whose_they_are", `UPDATE webhook_endpoints SET holder_id = NULL`, `UPDATE webhook_endpoints SET created_by = id`)
	triggered(endpoints, "webhook_endpoints_go_forward", `UPDATE webhook_endpoints SET position = position - 1`)
	refused(endpoints, "webhook_endpoints_pkey", but(t, newEndpoint, "SELECT gen_random_uuid()", "SELECT (SELECT id FROM webhook_endpoints)"))
	refused(endpoints, "webhook_endpoints_holder_id_fkey", but(t, newEndpoint, "NULL::uuid", "gen_random_uuid()"))
	refused(endpoints, "webhook_endpoints_provider_id_fkey", but(t, newEndpoint, "NULL::uuid, NULL::uuid", "NULL::uuid, gen_random_uuid()"))
	refused(endpoints, "webhook_endpoints_have_one_owner",
		but(t, newEndpoint, "NULL::uuid, NULL::uuid", "(SELECT min(id::text)::uuid FROM holders), (SELECT min(id::text)::uuid FROM providers)"))
	refused(endpoints, "webhook_endpoints_url_check", but(t, newEndpoint, "'https://h.example'", "''"))
	refused(endpoints, "webhook_endpoints_url_check", but(t, newEndpoint, "'https://h.example'", "repeat('h', 2001)"))
	refused(endpoints, "webhook_endpoints_description_check", but(t, newEndpoint, "NULL, '{}'", "'', '{}'"))
	refused(endpoints, "webhook_endpoints_event_types_check", but(t, newEndpoint, "'{}'", "array_fill('a'::text, ARRAY[101])"))
	refused(endpoints, "webhook_endpoints_status_check", but(t, newEndpoint, "'enabled'", "'tired'"))
	refused(endpoints, "webhook_endpoints_disabled_reason_check", but(t, newEndpoint, "'enabled', NULL, NULL::timestamptz", "'disabled', 'bored', now()"))
	refused(endpoints, "webhook_endpoints_disabled_for_a_reason", but(t, newEndpoint, "'enabled'", "'disabled'"))
	refused(endpoints, "webhook_endpoints_disabled_for_a_reason", but(t, newEndpoint, "NULL::timestamptz", "now()"))
	refused(endpoints, "webhook_endpoints_position_check", but(t, newEndpoint, ", 0", ", -1"))

	triggered("webhook_secrets", "webhook_secrets_are_never_deleted", `DELETE FROM webhook_secrets`, `TRUNCATE webhook_secrets`)
	refused("webhook_secrets", "webhook_secrets_pkey", but(t, newSecret, "gen_random_uuid()", "(SELECT id FROM webhook_secrets)"))
	refused("webhook_secrets", "webhook_secrets_endpoint_id_fkey", but(t, newSecret, ", id,", ", gen_random_uuid(),"))

	triggered(deliveries, "webhook_deliveries_stay_what_they_are", `UPDATE webhook_deliveries SET seq = seq + 100`, `UPDATE webhook_deliveries SET event_id = id`,
		`UPDATE webhook_deliveries SET object_id = id`, `UPDATE webhook_deliveries SET attempts = attempts - 1, tries = 0`)
	triggered(deliveries, "webhook_deliveries_are_pruned_at_their_end", `DELETE FROM webhook_deliveries`)
	triggered(deliveries, "webhook_deliveries_are_never_emptied", `TRUNCATE webhook_deliveries`)
	refused(deliveries, "webhook_deliveries_pkey", but(t, newDelivery, "gen_random_uuid()", "(SELECT min(id::text)::uuid FROM webhook_deliveries)"))
	refused(deliveries, "webhook_deliveries_endpoint_id_fkey", but(t, newDelivery, ", id, 1", ", gen_random_uuid(), 1"))
	refused(deliveries, "webhook_deliveries_once", but(t, newDelivery, "1000000", "(SELECT min(seq) FROM webhook_deliveries)"))
	refused(deliveries, "webhook_deliveries_status_check", but(t, newDelivery, "'pending', 1, 1, NULL::timestamptz", "'lost', 1, 1, now()"))
	refused(deliveries, "webhook_deliveries_check", but(t, newDelivery, "1, 1,", "1, 2,"))
	refused(deliveries, "webhook_deliveries_check", but(t, newDelivery, "1, 1,", "1, -1,"))
	refused(deliveries, "webhook_deliveries_end", but(t, newDelivery, "NULL::timestamptz", "now()"))

	triggered(attempts, "webhook_attempts_is_a_log", `UPDATE webhook_attempts SET outcome = 'delivered'`, `TRUNCATE webhook_attempts`)
	refused(attempts, "webhook_attempts_pkey", but(t, newAttempt, "7", "1"))
	refused(attempts, "webhook_attempts_delivery_id_fkey", but(t, newAttempt, "SELECT id", "SELECT gen_random_uuid()"))
	refused(attempts, "webhook_attempts_n_check", but(t, newAttempt, "7", "0"))
	refused(attempts, "webhook_attempts_outcome_check", but(t, newAttempt, "'refused'", "'liked'"))
	refused(attempts, "webhook_attempts_http_status_check", but(t, newAttempt, "500", "99"))
	refused(attempts, "webhook_attempts_milliseconds_check", but(t, newAttempt, "500, 1", "500, -1"))

	refused("webhook_relay", "webhook_relay_pkey", `INSERT INTO webhook_relay DEFAULT VALUES`)
	refused("webhook_relay", "webhook_relay_one_check", `INSERT INTO webhook_relay (one) VALUES (false)`)

	triggered("webhook_tests", "webhook_tests_is_append_only", `UPDATE webhook_tests SET requested_by = id`, `DELETE FROM webhook_tests`, `TRUNCATE webhook_tests`)
	refused("webhook_tests", "webhook_tests_pkey", but(t, newTest, "gen_random_uuid()", "(SELECT min(id::text)::uuid FROM webhook_tests)"))
}

// Each row that tells of something is told once; with its trigger gone, nobody hears of it.
func TestRowsTellTheirEvents(t *testing.T) {
	t.Parallel()
	o := guardedOffice(t)
	const (
		margin = `INSERT INTO margin_calls (id, provider_id, opened_at, deadline, coverage, required_sch, required_hours, gpu_class, cause, policy_version)
			SELECT gen_random_uuid(), id, now(), now(), 0.5, 1, 1, 'H', 'mint', 1 FROM providers`
		rollover = `INSERT INTO rollover_calls (id, pledge_id, closes_at, hours) VALUES (gen_random_uuid(), gen_random_uuid(), now(), 1)`
		pledge   = `INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, created_by)
			SELECT gen_random_uuid(), id, 'H', 1, 'eu-1', now(), now() + interval '1 day', id FROM providers`
	)
	for _, c := range []struct{ table, trigger, first, do, event string }{
		{"pledge_events", "pledge_events_are_told", pledge, `INSERT INTO pledge_events (pledge_id, status, at, actor) SELECT id, 'pending', now(), id FROM pledges`, "pledge.created"},
		{"margin_calls", "margin_calls_are_told", "", margin, "margin_call.opened"},
		{"margin_calls", "margin_calls_are_told_on", margin, `UPDATE margin_calls SET status = 'escalated', escalated_at = now()`, "margin_call.escalated"},
		{"rollover_calls", "rollover_calls_are_told", "", rollover, "rollover_call.opened"},
		{"rollover_calls", "rollover_calls_are_told_on", rollover, `UPDATE rollover_calls SET status = 'answered', closed_at = now()`, "rollover_call.answered"},
		{
			"coverage_events", "coverage_events_are_told", "",
			`INSERT INTO coverage_events (from_state, to_state, cause, effects, sch, outstanding, epoch_id, policy_version, seq, at)
			 VALUES ('healthy', 'watch', 'mint', '[]', 1, 1, gen_random_uuid(), 1, 1, now())`, "coverage.changed",
		},
		{"webhook_endpoints", "webhook_endpoints_are_told", "", `UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'gone', disabled_at = now()`, "webhook_endpoint.disabled"},
		{"webhook_tests", "webhook_tests_are_told", "", newTest, "webhook.test"},
	} {
		told := func(sql string) (n int) {
			errTried := errors.New("tried")
			err := pgx.BeginFunc(t.Context(), o.db.Pool, func(tx pgx.Tx) error {
				// As a replica, Postgres runs only what is enabled for it, so that nothing else has to be right.
				for _, sql := range []string{`ALTER TABLE ` + c.table + ` ENABLE ALWAYS TRIGGER ` + c.trigger, sql, `SET LOCAL session_replication_role = replica`, c.first} {
					if _, err := tx.Exec(t.Context(), sql); err != nil {
						return err
					}
				}
				const count = `SELECT count(*) FROM events WHERE type = $1`
				var before, after int
				if err := tx.QueryRow(t.Context(), count, c.event).Scan(&before); err != nil {
					return err
				}
				if _, err := tx.Exec(t.Context(), c.do); err != nil {
					return err
				}
				if err := tx.QueryRow(t.Context(), count, c.event).Scan(&after); err != nil {
					return err
				}
				n = after - before
				return errTried
			})
			if !errors.Is(err, errTried) {
				t.Errorf("%s: %v", c.trigger, err)
			}
			return n
		}
		if with, without := told(""), told(drop(c.table, c.trigger)); with != 1 || without != 0 {
			t.Errorf("%s: %d events of %s, and %d without it", c.trigger, with, c.event, without)
		}
	}
}

// The program's own login can do no more than its work.
func TestTheApplicationTellsNoEvents(t *testing.T) {
	t.Parallel()
	o := guardedOffice(t)
	for _, sql := range []string{
		newEvent, `UPDATE events SET type = 'a.b'`, `DELETE FROM events`, `TRUNCATE events`,
		`DELETE FROM webhook_endpoints`, `UPDATE webhook_endpoints SET holder_id = NULL`, `DELETE FROM webhook_secrets`, `UPDATE webhook_secrets SET endpoint_id = id`,
		`UPDATE webhook_deliveries SET seq = 1`, `UPDATE webhook_attempts SET n = 1`, `DELETE FROM webhook_attempts`, `TRUNCATE webhook_deliveries CASCADE`,
		`DELETE FROM webhook_relay`, `INSERT INTO webhook_relay DEFAULT VALUES`, `UPDATE webhook_tests SET id = id`, `DELETE FROM webhook_tests`,
	} {
		_, err := o.db.App.Exec(t.Context(), sql)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "42501" {
			t.Errorf("%s: %v, want insufficient_privilege", sql, err)
		}
	}
}
