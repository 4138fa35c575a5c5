package events_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// Whatever way the feed takes (the journal's end, accounts one by one, windows for one of many accounts), from wherever and in whatever
// pages: it has all transactions of its reader in the order of seq, each once, and no other.
func TestFeedHasEverythingOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	random := rand.New(rand.NewPCG(1, 2))
	few, fewAccounts := w.holder(3)
	many, manyAccounts := w.holder(40)
	other, otherAccounts := w.holder(2)
	idle, _ := w.holder(1)
	quiet, quietAccounts := w.holder(2)
	all := slices.Concat(fewAccounts, manyAccounts, otherAccounts)
	w.submit(transfer(quietAccounts[0], fewAccounts[0]))
	for range 14 {
		var commands []*ledger.Command
		for range 100 {
			from, to := random.IntN(len(all)), random.IntN(len(all)-1)
			if to >= from {
				to++
			}
			commands = append(commands, transfer(all[from], all[to]))
		}
		// Mints are few and far between, so that one who wants only those must not be told that there are none too early.
		commands = append(commands, &ledger.Command{
			Kind: ledger.KindMint, Call: call(), Moves: []ledger.Move{{From: w.issuance, To: fewAccounts[0], Amount: money.Micros(1)}},
		})
		w.submit(commands...)
	}
	w.submit(transfer(quietAccounts[1], otherAccounts[0]))

	for name, v := range map[string]events.Viewer{
		"few": {HolderID: few}, "many": {HolderID: many}, "other": {HolderID: other}, "idle": {HolderID: idle}, "quiet": {HolderID: quiet},
		"provider": {ProviderID: w.provider}, "all": {},
	} {
		owner := v.HolderID
		if v.ProviderID != uuid.Nil {
			owner = v.ProviderID
		}
		for _, after := range []int64{0, 700, 1400} {
			for _, limit := range []int{41, 200} {
				for _, types := range [][]events.Type{nil, {events.TransferCreated}, {events.MintCreated}, {events.HoldCreated}} {
					want := w.seqsOf(owner, after, types)
					var got []int64
					for _, e := range w.read(v, after, limit, types...) {
						got = append(got, e.Seq)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%s after %d by %d, %v: %d events, want %d", name, after, limit, types, len(got), len(want))
					}
				}
			}
		}
	}
}

// seqsOf asks the journal plainly.
func (w *world) seqsOf(owner uuid.UUID, after int64, types []events.Type) []int64 {
	w.t.Helper()
	rows, err := w.db.Pool.Query(w.t.Context(), `SELECT DISTINCT t.seq FROM transactions t JOIN postings p ON p.seq = t.seq
		JOIN accounts a ON a.id IN (p.from_account, p.to_account)
		WHERE t.seq > $2 AND ($1 IN (a.holder_id, a.provider_id) OR $1 = '00000000-0000-0000-0000-000000000000')
		AND ($3::text[] IS NULL OR t.kind || '.created' = ANY($3)) ORDER BY 1`, owner, after, types)
	if err != nil {
		w.t.Fatal(err)
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		w.t.Fatal(err)
	}
	return seqs
}

// What comes after something that is not decided yet waits for it, and then nothing is missing.
func TestFeedWaitsForWhatIsNotDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	holder, accounts := w.holder(2)
	v := events.Viewer{HolderID: holder}
	before := w.read(v, 0, 10)
	open, err := w.db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Rollback(t.Context()) //nolint:errcheck // it ends with the test
	// A test of an endpoint is told in a transaction that stays open, while a transfer passes it.
	endpoint := uuid.New()
	w.exec(`INSERT INTO webhook_endpoints (id, holder_id, created_by, url, event_types, position) VALUES ($1, $2, $2, 'https://x.example', '{}', 0)`, endpoint, holder)
	if _, err := open.Exec(t.Context(), `INSERT INTO webhook_tests (id, endpoint_id, requested_by) VALUES ($1, $1, $1)`, endpoint); err != nil {
		t.Fatal(err)
	}
	later := w.submit(transfer(accounts[0], accounts[1]))
	if got := w.read(v, 0, 10); len(got) != len(before) {
		t.Fatalf("%d events are read past one that is not decided; before it there were %d", len(got), len(before))
	}
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.read(v, before[len(before)-1].Seq, 10)
	if len(got) != 2 || got[0].Type != events.WebhookTest || got[1].Seq != later.Seq || got[0].Seq >= later.Seq {
		t.Fatalf("afterwards there are %v", got)
	}
}

// Events are told by the rows that they tell of, for the owner of the tables too, and stay as they were told.
func TestEventsAreToldByRowsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := uuid.New()
	w.exec(`INSERT INTO webhook_endpoints (id, created_by, url, event_types, position) VALUES ($1, $1, 'https://x.example', '{}', 5)`, endpoint)
	w.exec(`INSERT INTO webhook_tests (id, endpoint_id, requested_by) VALUES ($1, $1, $1)`, endpoint)
	w.exec(`INSERT INTO webhook_deliveries (id, endpoint_id, seq, event_id, event_type, object_id) VALUES ($1, $1, 1, $1, 'webhook.test', $1)`, endpoint)
	for _, tt := range []struct{ sql, constraint string }{
		{`INSERT INTO events (type, object_type, object_id, data) VALUES ('webhook.test', 'webhook_endpoint', $1, '{}')`, "events_are_told_by_rows"},
		{`SELECT tell('webhook.test', 'webhook_endpoint', $1, NULL, NULL, '{}', now())`, "events_are_told_by_rows"},
		{`UPDATE events SET type = 'webhook.best' WHERE object_id = $1`, "events_is_append_only"},
		{`DELETE FROM events WHERE object_id = $1`, "events_is_append_only"},
		{`UPDATE webhook_tests SET requested_by = id WHERE id = $1`, "webhook_tests_is_append_only"},
		{`DELETE FROM webhook_endpoints WHERE id = $1`, "webhook_endpoints_is_append_only"},
		{`DELETE FROM webhook_secrets WHERE id = $1`, "webhook_secrets_is_append_only"},
		{`UPDATE webhook_endpoints SET created_by = gen_random_uuid() WHERE id = $1`, "webhook_endpoints_stay_whose_they_are"},
		{`UPDATE webhook_endpoints SET position = 4 WHERE id = $1`, "webhook_endpoints_go_forward"},
		{`UPDATE webhook_endpoints SET status = 'disabled' WHERE id = $1`, "webhook_endpoints_disabled_for_a_reason"},
		{`UPDATE webhook_deliveries SET seq = 2 WHERE id = $1`, "webhook_deliveries_stay_what_they_are"},
		{`DELETE FROM webhook_deliveries WHERE id = $1`, "webhook_deliveries_are_pruned_at_their_end"},
		{`INSERT INTO webhook_deliveries (id, endpoint_id, seq, event_id, event_type, object_id) VALUES (gen_random_uuid(), $1, 1, $1, 'webhook.test', $1)`, "webhook_deliveries_once"},
	} {
		_, err := w.db.Pool.Exec(t.Context(), tt.sql, endpoint)
		if got := pg.ConstraintName(err); got != tt.constraint {
			t.Errorf("%s: %v, by %q; want %s", tt.sql, err, got, tt.constraint)
		}
	}
	for _, sql := range []string{
		`INSERT INTO events (type, object_type, object_id, data) VALUES ('webhook.test', 'webhook_endpoint', $1, '{}')`,
		`UPDATE webhook_endpoints SET holder_id = NULL WHERE id = $1`, `DELETE FROM webhook_attempts WHERE delivery_id = $1`,
	} {
		if _, err := w.db.App.Exec(t.Context(), sql, endpoint); err == nil {
			t.Errorf("the run-time role may %s", sql)
		}
	}
}
