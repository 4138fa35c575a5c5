package anchor_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/pg"
)

const quoteFile = `source,gpu_class,gpu_count,instance_type,region,price_usd_per_hour,observed_at
one,GH200,2,i,r,4,2026-01-02T03:04:05Z
two,GH200,1,i,r,2.5,
`

func (m *market) rows() string {
	m.t.Helper()
	var rows string
	err := m.Pool.QueryRow(m.t.Context(), `SELECT format('%s batches, %s quotes, counter %s', (SELECT count(*) FROM quote_batches), (SELECT count(*) FROM quotes),
		(SELECT batches FROM quote_counter))`).Scan(&rows)
	if err != nil {
		m.t.Fatal(err)
	}
	return rows
}

func TestAFileIsTakenOnce(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	first, err := anchor.ImportQuotes(t.Context(), m.App, []byte(quoteFile), time.Time{})
	if err != nil || first.Quotes != 2 || first.Number != 3 || first.Replayed || !first.ReceivedAt.Equal(m.clock.Now()) {
		t.Fatalf("%+v, %v", first, err)
	}
	before := m.rows()
	m.clock.Advance(time.Hour)
	// The same in another order, with other line ends.
	lines := strings.Split(strings.TrimSpace(quoteFile), "\n")
	for _, file := range []string{quoteFile, strings.Join([]string{lines[0], lines[2], lines[1]}, "\r\n")} {
		again, err := anchor.ImportQuotes(t.Context(), m.App, []byte(file), time.Time{})
		if err != nil || !again.Replayed || again.ID != first.ID {
			t.Errorf("%+v, %v", again, err)
		}
	}
	if after := m.rows(); after != before {
		t.Errorf("%s, not %s", after, before)
	}
	// Said to be of another time, what had no time is new, and what had one is not.
	later, err := anchor.ImportQuotes(t.Context(), m.App, []byte(quoteFile), m.clock.Now())
	if err != nil || later.Replayed || later.Quotes != 1 {
		t.Errorf("%+v, %v", later, err)
	}
	var price string
	err = m.App.QueryRow(t.Context(), `SELECT price_usd_per_hour::text || ' ' || seller FROM quotes WHERE source = 'two' ORDER BY seq DESC LIMIT 1`).Scan(&price)
	if price != "2.5 two" || err != nil {
		t.Error(price, err)
	}
}

// Of several prices of one offer at one time the last counts, whichever were said before.
func TestAQuoteCanBeCorrectedBack(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	at := m.clock.Now().Format(time.RFC3339Nano)
	for _, step := range []struct {
		price, spot string
		kept        int
	}{{"2.40", "", 1}, {"3.10", "", 1}, {"2.40", "", 1}, {"2.4", "", 0}, {"3.10", "1", 1}, {"3.10", "1", 0}, {"3.10", "", 1}, {"", "1", 1}, {"2.40", "", 1}} {
		var b anchor.QuoteBatch
		err := pg.InTx(t.Context(), m.App, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
			b, err = anchor.EnterQuotesTx(t.Context(), tx, anchor.NewQuotes{Origin: anchor.QuotesFromAPI, Quotes: []anchor.NewQuote{{Line: 1, ObservedAt: at, Quote: anchor.Quote{
				Source: "one", GPUClass: gh200, GPUCount: "1", InstanceType: "i", Region: "r", PriceUSD: step.price, SpotUSD: step.spot,
			}}}})
			return err
		})
		if err != nil || b.Quotes != step.kept {
			t.Fatalf("%+v: %+v, %v", step, b, err)
		}
		var last string
		if err := m.App.QueryRow(t.Context(), `SELECT format('%s %s', price_usd_per_hour::float, spot_usd_per_hour) FROM quotes
			WHERE source = 'one' ORDER BY seq DESC LIMIT 1`).Scan(&last); err != nil || last != strings.TrimRight(step.price, "0")+" "+step.spot {
			t.Errorf("%+v: %q, %v", step, last, err)
		}
		m.clock.Advance(time.Minute)
		m.update()
	}
	m.sound()
}

// Of a file with bad rows nothing is taken, and both those that are no rows and those that make no sense are named in order.
func TestNothingOfABrokenFileIsTaken(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	before := m.rows()
	future := m.clock.Now().Add(time.Microsecond).Format(time.RFC3339Nano)
	file := quoteFile + "three,GH200,1,i,r\nfour,GH200,1,i,r,NaN,\nfive,GH300,1,i,r,1," + future + "\nsix,GH200,1,\"i,r,1,\n"
	_, err := anchor.ImportQuotes(t.Context(), m.App, []byte(file), time.Time{})
	bad, ok := errors.AsType[*anchor.QuotesError](err)
	if !ok {
		t.Fatal(err)
	}
	var got []string
	for _, f := range bad.Faults {
		got = append(got, fmt.Sprint(f.Line, " ", f.Code))
	}
	if want := "4 wrong_fields, 5 invalid_price, 6 unknown_class, 6 in_the_future, 7 unreadable"; strings.Join(got, ", ") != want {
		t.Errorf("%s, not %s", strings.Join(got, ", "), want)
	}
	if after := m.rows(); after != before {
		t.Errorf("%s, not %s", after, before)
	}
}

// Batches are numbered without a gap, however many come at once, and a file that many import is taken once.
func TestBatchesFollowEachOther(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := anchor.ImportQuotes(t.Context(), m.App, []byte(quoteFile), time.Time{}); err != nil {
				t.Error(err)
			}
			if err := m.enter(gh200, map[string]string{fmt.Sprint("source", i): "3"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if rows := m.rows(); rows != "11 batches, 580 quotes, counter 11" { // 285 twice, 2, and 8.
		t.Error(rows)
	}
	m.update()
	m.sound()
}

// The guards hold for the owner of the schema too, as whom these statements run.
func TestTheDatabaseGuardsQuotesAndIndex(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	const (
		batch  = `INSERT INTO quote_batches (number, id, origin, content_sha256, quotes) VALUES (%s, gen_random_uuid(), 'api', sha256('x'), %s)`
		quote  = `INSERT INTO quotes (batch, line, source, seller, gpu_class, gpu_count, instance_type, region, price_usd_per_hour, spot_usd_per_hour, catalog_commit, observed_at) `
		fixing = `INSERT INTO index_fixings (number, at, batches, method, min_sources, quote_max_age_seconds, carry_limit_seconds, inputs_sha256, classes) `
		value  = `INSERT INTO index_values (fixing, gpu_class, status, sources, price_usd, twap_7d_usd, twap_30d_usd, priced_at, stale_since) `
		draw   = `UPDATE quote_counter SET batches = batches + 1; `
		next   = fixing + `VALUES (4, ballast_now(), 2, 'm', 1, 1, 1, sha256('x'), 1); `
	)
	// one is a batch with one quote, of which some values are spoilt.
	one := func(count, price, spot, observed string) string {
		return draw + fmt.Sprintf(batch, "3", "1") + "; " + quote + fmt.Sprintf(`VALUES (3, 1, 's', 's', 'GH200', %s, 'i', 'r', %s, %s, '', %s)`, count, price, spot, observed)
	}
	hour := func(number, at, batches string) string {
		return fixing + fmt.Sprintf(`VALUES (%s, ballast_now() + interval '%s', %s, 'm', 1, 1, 1, sha256('x'), 1)`, number, at, batches)
	}
	m.clock.Advance(time.Hour)
	for _, tc := range []struct{ name, sql, code, guard string }{
		{"change", `UPDATE quotes SET price_usd_per_hour = 1`, "BL001", "quotes_is_append_only"},
		{"delete", `DELETE FROM quotes`, "BL001", "quotes_is_append_only"},
		{"truncate", `TRUNCATE quotes`, "BL001", "quotes_is_append_only"},
		{"change batch", `UPDATE quote_batches SET origin = 'api'`, "BL001", "quote_batches_is_append_only"},
		{"delete batch", `DELETE FROM quote_batches`, "BL001", "quote_batches_is_append_only"},
		{"truncate batches", `TRUNCATE quote_batches CASCADE`, "BL001", ""},
		{"change fixing", `UPDATE index_fixings SET method = 'x'`, "BL001", "index_fixings_is_append_only"},
		{"delete fixing", `DELETE FROM index_fixings`, "BL001", "index_fixings_is_append_only"},
		{"truncate fixings", `TRUNCATE index_fixings CASCADE`, "BL001", ""},
		{"change value", `UPDATE index_values SET price_usd = 1`, "BL001", "index_values_is_append_only"},
		{"delete value", `DELETE FROM index_values`, "BL001", "index_values_is_append_only"},
		{"truncate values", `TRUNCATE index_values`, "BL001", "index_values_is_append_only"},
		{"second counter", `INSERT INTO quote_counter (the_one, batches) VALUES (true, 0)`, "BL001", "quote_counter_is_append_only"},
		{"no counter", `DELETE FROM quote_counter`, "BL001", "quote_counter_is_append_only"},
		{"counter back", `UPDATE quote_counter SET batches = batches - 1`, "BL007", "quote_counter_counts_by_one"},
		{"counter ahead", `UPDATE quote_counter SET batches = batches + 2`, "BL007", "quote_counter_counts_by_one"},
		{"number not drawn", fmt.Sprintf(batch, "3", "0"), "BL007", "quote_batches_follow_each_other"},
		{"number left out", draw + draw + fmt.Sprintf(batch, "4", "0"), "BL007", "quote_batches_follow_each_other"},
		{"file again", draw + `INSERT INTO quote_batches (number, id, origin, content_sha256, quotes) SELECT 3, gen_random_uuid(), 'file', content_sha256, 0
			FROM quote_batches WHERE number = 1`, "23505", "quote_batches_files_are_taken_once"},
		{"later quote", quote + `VALUES (2, 999, 's', 's', 'GH200', 1, 'i', 'r', 1, NULL, '', ballast_now())`, "BL007", "quotes_come_with_their_batch"},
		{"fewer quotes", draw + fmt.Sprintf(batch, "3", "2") + "; " + quote + `VALUES (3, 1, 's', 's', 'GH200', 1, 'i', 'r', 1, NULL, '', ballast_now())`, "BL007", "quotes_come_with_their_batch"},
		{"zero", one("1", "0", "NULL", "ballast_now()"), "23514", "quotes_price_in_range"},
		{"negative", one("1", "-1", "NULL", "ballast_now()"), "23514", "quotes_price_in_range"},
		{"NaN", one("1", "'NaN'", "NULL", "ballast_now()"), "23514", "quotes_price_in_range"},
		{"infinite", one("1", "'Infinity'", "NULL", "ballast_now()"), "23514", "quotes_price_in_range"},
		{"spot of zero", one("1", "1", "0", "ballast_now()"), "23514", "quotes_spot_in_range"},
		{"no price", one("1", "NULL", "NULL", "ballast_now()"), "23514", "quotes_have_a_price"},
		{"no GPU", one("0", "1", "NULL", "ballast_now()"), "23514", "quotes_gpu_count_in_range"},
		{"future", one("1", "1", "NULL", "ballast_now() + interval '1 us'"), "23514", "quotes_are_not_of_the_future"},
		{"unknown class", strings.ReplaceAll(one("1", "1", "NULL", "ballast_now()"), "GH200", "GH300"), "23503", "quotes_have_a_class"},
		{"twice", draw + fmt.Sprintf(batch, "3", "1") + "; " + quote + `SELECT 3, line, source, seller, gpu_class, gpu_count, instance_type, region, price_usd_per_hour,
			spot_usd_per_hour, catalog_commit, observed_at FROM quotes WHERE seq = 1`, "BL007", "quotes_are_kept_once"},
		{"two prices at once", draw + fmt.Sprintf(batch, "3", "2") + "; " + quote + `VALUES (3, 1, 's', 's', 'GH200', 1, 'i', 'r', 1, NULL, '', ballast_now()),
			(3, 2, 's', 's', 'GH200', 1, 'i', 'r', 2, NULL, '', ballast_now())`, "23505", "quotes_are_said_once_in_a_batch"},
		{"fixing left out", hour("5", "0", "2"), "BL007", "index_fixings_follow_each_other"},
		{"fixing before", hour("4", "-1 hour", "2"), "BL007", "index_fixings_follow_each_other"},
		{"fixing of the future", hour("4", "1 us", "2"), "BL007", "index_fixings_follow_each_other"},
		{"fewer batches", hour("4", "0", "1"), "BL007", "index_fixings_follow_each_other"},
		{"batches to come", hour("4", "0", "3"), "BL007", "index_fixings_follow_each_other"},
		{
			"later value", `INSERT INTO assets (code, scale) VALUES ('GPUH:GH300', 6); INSERT INTO gpu_classes (gpu_class, vendor, memory_gb, memory_bandwidth_tb_s,
			bf16_dense_tflops, interconnect, source) VALUES ('GH300', 'v', 1, 1, 1, 'i', 's'); ` + value + `VALUES (3, 'GH300', 'stale', 0, NULL, NULL, NULL, NULL, now())`,
			"BL007", "index_values_come_with_their_fixing",
		},
		{"two values", next + value + `VALUES (4, 'GH200', 'fresh', 1, 1, 1, 1, now(), NULL), (4, 'L4-24GB', 'fresh', 1, 1, 1, 1, now(), NULL)`, "BL007", "index_values_come_with_their_fixing"},
		{"price of zero", next + value + `VALUES (4, 'GH200', 'fresh', 1, 0, 1, 1, now(), NULL)`, "23514", "index_values_price_is_positive"},
		{"average of zero", next + value + `VALUES (4, 'GH200', 'fresh', 1, 1, 0, 1, now(), NULL)`, "23514", "index_values_twap_7d_is_positive"},
		{"long average of zero", next + value + `VALUES (4, 'GH200', 'fresh', 1, 1, 1, 0, now(), NULL)`, "23514", "index_values_twap_30d_is_positive"},
		{"fresh and stale", next + value + `VALUES (4, 'GH200', 'fresh', 1, 1, 1, 1, now(), now())`, "23514", "index_values_say_since_when"},
		{"thin since never", next + value + `VALUES (4, 'GH200', 'thin', 1, 1, 1, 1, now(), NULL)`, "23514", "index_values_say_since_when"},
		{"price of no time", next + value + `VALUES (4, 'GH200', 'fresh', 1, 1, 1, 1, NULL, NULL)`, "23514", "index_values_price_has_a_time"},
		{"fresh without a price", next + value + `VALUES (4, 'GH200', 'fresh', 1, NULL, NULL, NULL, NULL, NULL)`, "23514", "index_values_only_stale_have_no_price"},
	} {
		refused(t, tc.name, m.run(tc.sql), tc.code, tc.guard)
	}
	for _, sql := range []string{one("1", "1", "NULL", "ballast_now()"), next + value + `VALUES (4, 'GH200', 'fresh', 1, 1, 1, 1, now(), NULL)`} {
		if err := m.run(sql); err != nil {
			t.Errorf("what the guards let through: %v", err)
		}
	}
}

// run runs statements in one transaction, as the owner of the schema, and undoes them.
func (m *market) run(sql string) error {
	undo := errors.New("undo")
	err := pg.InTx(m.t.Context(), m.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(m.t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		return undo
	})
	if errors.Is(err, undo) {
		return nil
	}
	return err
}

// The run-time role adds, and changes nothing.
func TestTheRunTimeRoleOnlyAddsQuotes(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	for _, sql := range []string{
		`UPDATE quotes SET line = 1`, `DELETE FROM quotes`, `UPDATE quote_batches SET quotes = 1`, `DELETE FROM quote_batches`, `DELETE FROM quote_counter`,
		`UPDATE index_fixings SET number = 1`, `DELETE FROM index_fixings`, `UPDATE index_values SET sources = 1`, `DELETE FROM index_values`, `TRUNCATE quotes`,
	} {
		_, err := m.App.Exec(t.Context(), sql)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
