package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/httpapi"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/vault"
)

// world has the ids of what is in a test's database by name: those of the contract's x-fixtures, and, with "key." before the name of
// whoever it belongs to, API keys themselves.
type world map[string]string

// fill puts ids in the place of names in braces, such as {alice_account}.
func (w world) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	for name, value := range w {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

func (w world) key(t testing.TB, who string) string {
	t.Helper()
	key, ok := w["key."+who]
	if !ok {
		t.Fatalf("nobody is called %s", who)
	}
	return key
}

const operatorSecret = "blst_operator_key_that_only_tests_use"

// The story of the contract's examples, with more people in it: Carol, a holder, and Southwind, another provider, who must see nothing
// of it.
func (b *builder) tell() {
	b.post("operator", "/v1/providers", `{"name":"Northwind Cloud","metadata":{"country":"DE"}}`, "provider", "id")
	b.post("operator", "/v1/api-keys", `{"role":"provider","provider_id":"{provider}","name":"Redemption poller"}`, "provider_key", "id", "key.provider", "key")
	b.post("operator", "/v1/holders", `{"name":"Alice","metadata":{"segment":"research"}}`, "alice", "id")
	b.post("operator", "/v1/api-keys", `{"role":"holder","holder_id":"{alice}","name":"Web client"}`, "api_key", "id", "key.alice", "key")
	b.post("operator", "/v1/holders", `{"name":"Bob"}`, "bob", "id")
	b.post("operator", "/v1/api-keys", `{"role":"holder","holder_id":"{bob}","name":"Bob's"}`, "key.bob", "key")
	for _, role := range []string{"finance", "auditor"} {
		b.post("operator", "/v1/api-keys", `{"role":"`+role+`","name":"`+role+`"}`, "key."+role, "key")
	}
	b.post("operator", "/v1/accounts", `{"holder_id":"{alice}","asset":"SCH","name":"Main"}`, "alice_account", "id")
	b.post("operator", "/v1/accounts", `{"holder_id":"{bob}","asset":"SCH"}`, "bob_account", "id")
	b.post("provider", "/v1/pledges", pledgeBody, "pledge", "id")
	b.post("operator", "/v1/pledges/{pledge}/verify", `{"haircut":"0.1"}`)
	b.post("provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"100.000000","reference":"PO-881"}`, "mint", "id")
	b.post("alice", "/v1/transfers",
		`{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"12.500000","reference":"INV-2026-0042","metadata":{"order":"A-17"}}`,
		"transfer", "id")
	b.post("alice", "/v1/holds",
		`{"account_id":"{alice_account}","amount":"5.000000","expires_at":"2031-01-01T00:00:00Z","reference":"job-5521","metadata":{"queue":"training"}}`,
		"hold", "id", "hold_transaction", "transaction_id")
	b.post("alice", "/v1/redemptions",
		`{"account_id":"{alice_account}","amount":"10.000000","provider_id":"{provider}","gpu_class":"H100-SXM-80GB","recipient":{"provider_account":"alice@northwind"}}`,
		"redemption", "id", "epoch", "epoch_id")
	b.post("alice", "/v1/redemption-quotes", strings.Replace(quoteBody, "{amount}", "2.500000", 1), "redemption_quote", "id")
	b.post("provider", "/v1/pledges", pledgeBody, "pledge_pending", "id")
	b.post("alice", "/v1/accounts", `{"asset":"SCH","name":"Savings","metadata":{"purpose":"reserve"}}`, "alice_second_account", "id")

	b.post("operator", "/v1/holders", `{"name":"Carol"}`, "carol", "id")
	b.post("operator", "/v1/api-keys", `{"role":"holder","holder_id":"{carol}","name":"Carol's"}`, "key.carol", "key")
	b.post("operator", "/v1/accounts", `{"holder_id":"{carol}","asset":"SCH"}`, "carol_account", "id")
	b.post("operator", "/v1/accounts", `{"holder_id":"{alice}","asset":"USD"}`, "alice_usd", "id")
	b.post("operator", "/v1/providers", `{"name":"Southwind Cloud"}`, "southwind", "id")
	b.post("operator", "/v1/api-keys", `{"role":"provider","provider_id":"{southwind}","name":"Southwind's"}`, "key.southwind", "key")
	b.post("southwind", "/v1/pledges", pledgeBody, "southwind_pledge", "id")
	b.post("operator", "/v1/pledges", substituteBody, "pledge_substitute", "id")
	b.post("second", "/v1/pledges/{pledge_substitute}/verify", `{}`)
	b.post("second", "/v1/anchor/epochs", `{}`, "epoch_draft", "id")
	b.post("second", "/v1/anchor/epochs", `{}`, "epoch_approved", "id")
	b.post("operator", "/v1/anchor/epochs/{epoch_approved}/approve", `{}`)
	b.post("second", "/v1/gpu-classes/L4-24GB/sunset",
		`{"no_mints_from":"2032-01-01T00:00:00Z","sunset_at":"2032-07-01T00:00:00Z","reason":"Its index has been thin for a year"}`, "sunset", "id")
	b.names["key.second_operator"] = b.names["key.second"]
	b.post("operator", "/v1/webhook-endpoints", `{"url":"http://127.0.0.1:8999/hook","event_types":["webhook_endpoint.*"]}`, "webhook_endpoint", "id", "secret.webhook", "secret")
	b.post("operator", "/v1/webhook-endpoints/{webhook_endpoint}/test", `{}`, "webhook_delivery", "id")
	b.post("second", "/v1/policies", `{"mint_buffer":"0.02","note":"A buffer."}`, "policy_draft", "id")
	b.post("operator", "/v1/pledges/{southwind_pledge}/verify", `{}`)
	b.post("provider", "/v1/provider/delivery/secrets", `{}`, "old_provider_secret", "id")
	b.post("provider", "/v1/provider/delivery/secrets", `{}`, "provider_secret", "id", "secret.provider", "secret")
	b.post("provider", "/v1/provider/vouchers", `{"gpu_class":"H100-SXM-80GB","hours":"10","codes":["NW-STORY-0001","NW-STORY-0002"]}`, "voucher_batch", "id")
}

const pledgeBody = `{"gpu_class":"H100-SXM-80GB","hours":"1000.000000","region":"eu-central-1","starts_at":"2026-08-01T00:00:00Z",` +
	`"expires_at":"2031-08-01T00:00:00Z","sla_percent":"99.9"}`

const quoteBody = `{"account_id":"{alice_account}","amount":"{amount}","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`

// An operator enters it for the provider, and another verifies it.
const substituteBody = `{"provider_id":"{provider}","gpu_class":"H100-SXM-80GB","hours":"500","region":"eu-central-1",` +
	`"starts_at":"2026-08-01T00:00:00Z","expires_at":"2033-08-01T00:00:00Z"}`

// The ids that no answer of the story has.
const otherNamesSQL = `
SELECT 'issuance_account', id FROM accounts a WHERE kind = 'issuance' AND provider_id = (SELECT provider_id FROM pledges ORDER BY id LIMIT 1)
UNION ALL SELECT 'escrow_account', id FROM accounts WHERE kind = 'escrow'
UNION ALL SELECT 'alice_hold_account', id FROM accounts WHERE kind = 'hold'
UNION ALL SELECT kind, id FROM accounts WHERE pledge_id = (SELECT id FROM pledges ORDER BY id LIMIT 1)`

// builder tells the story over the API, into the template of the tests' databases.
type builder struct {
	ctx     context.Context //nolint:containedctx // It lives as long as the seed function.
	handler http.Handler
	names   world
	err     error
}

// post makes a request, and remembers values of its answer, given as name, field, name, field.
func (b *builder) post(who, path, body string, remember ...string) {
	if b.err != nil {
		return
	}
	r := httptest.NewRequestWithContext(b.ctx, http.MethodPost, b.names.fill(path), strings.NewReader(b.names.fill(body)))
	r.Header.Set("Authorization", "Bearer "+b.names["key."+who])
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", freshKey())
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, r)
	var answer object
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code >= http.StatusBadRequest {
		b.err = fmt.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		return
	}
	for pair := range slices.Chunk(remember, 2) {
		b.names[pair[0]] = answer[pair[1]].(string)
	}
}

// seedWorld fills the template, and leaves the names in a table beside the program's own.
func seedWorld(ctx context.Context, pool *pgxpool.Pool) error {
	if err := anchor.Seed(ctx, pool); err != nil {
		return err
	}
	keys := access.NewStore(pool)
	operator, err := keys.EnsureOperatorKey(ctx, operatorSecret)
	if err != nil {
		return err
	}
	second, secondSecret, err := keys.CreateKey(ctx, access.NewKey{Role: access.RoleOperator, Name: "A second operator"})
	if err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	set := settings{
		ledger:    ledger.Options{Logger: logger},
		transport: httpapi.Transport{Logger: logger, Metrics: httpapi.NewMetrics(), Health: httpapi.NewHealth(logger)},
		timeout:   time.Minute,

		secretKeys: keyring(),
		outbound:   outbound.New(outbound.Config{AllowLoopback: true}),
	}
	if set.secretKeys, err = vault.ParseKeyring(theSecretKeys); err != nil {
		return err
	}
	api, stop := newAPI(pool, pool, &set) //nolint:contextcheck // The write path outlives those who ask it.
	b := &builder{ctx: ctx, handler: httpapi.New(api, set.transport), names: world{
		"key.operator": operatorSecret, "operator": idText("prin", operator.PrincipalID), "operator_key": idText("key", operator.ID),
		"key.second": secondSecret, "second_operator": idText("prin", second.PrincipalID), "second_key": idText("key", second.ID),
	}}
	b.tell()
	if err := stop(ctx); err != nil {
		return err
	}
	if b.err != nil {
		return fmt.Errorf("tell the story: %w", b.err)
	}
	return writeWorld(ctx, pool, b.names)
}

func idText(prefix string, u uuid.UUID) string { return id.Format(id.Prefix(prefix), u) }

func writeWorld(ctx context.Context, pool *pgxpool.Pool, names world) error {
	rows, err := pool.Query(ctx, otherNamesSQL)
	if err != nil {
		return err
	}
	var name string
	var account uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{&name, &account}, func() error {
		names[name] = idText("acct", account)
		return nil
	}); err != nil {
		return err
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	_, err = pool.Exec(ctx, `CREATE SCHEMA test; CREATE TABLE test.world (names jsonb)`)
	if err == nil {
		_, err = pool.Exec(ctx, `INSERT INTO test.world VALUES ($1)`, text)
	}
	return err
}

func readWorld(t testing.TB, pool *pgxpool.Pool) world {
	t.Helper()
	var names world
	if err := pool.QueryRow(t.Context(), `SELECT names FROM test.world`).Scan(&names); err != nil {
		t.Fatal(err)
	}
	return names
}

func uuidOf(t testing.TB, prefix, text string) uuid.UUID {
	t.Helper()
	u, err := id.Parse(id.Prefix(prefix), text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
