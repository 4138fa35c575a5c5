package redeem

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
)

func (s *scene) tryCorrection(t testing.TB, n NewCorrection) (c Correction, err error) {
	t.Helper()
	err = pg.InTx(t.Context(), s.db.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		c, err = ProposeCorrectionTx(t.Context(), tx, n)
		return err
	})
	return c, err
}

func (s *scene) correction(t testing.TB, of *Redemption, by uuid.UUID, hours int64) Correction {
	t.Helper()
	c, err := s.tryCorrection(t, NewCorrection{By: by, RedemptionID: of.ID, Hours: hours, Reason: "Two machines never started"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *scene) status(t testing.TB, pledge uuid.UUID) (status string) {
	t.Helper()
	if err := s.db.Pool.QueryRow(t.Context(), `SELECT status FROM pledges WHERE id = $1`, pledge).Scan(&status); err != nil {
		t.Fatal(err)
	}
	return status
}

// What was delivered and then was not comes back as a transaction of its own, by two operators, once.
func TestCorrection(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10*hour)
	r := s.at(t, TransportPull, Issued)
	s.expect(t, 0, 0, 0, 0, 0, 10)
	if got := s.status(t, s.pledge.id); got != "exhausted" {
		t.Fatalf("the pledge is %s", got)
	}
	maker, checker, third := id.New(), id.New(), id.New()
	c := s.correction(t, r, maker, 4*hour)
	if c.N != 1 || c.Hours != 4*hour || c.Amount != 4*hour || c.ProposedBy != maker || c.ApprovedBy != uuid.Nil {
		t.Errorf("%+v", c)
	}
	approve := func(by uuid.UUID, n int) error {
		_, err := s.ApproveCorrection(t.Context(), Approval{By: by, RedemptionID: r.ID, N: n})
		return err
	}
	if err := approve(maker, 1); !errors.Is(err, ErrSamePerson) {
		t.Errorf("by who proposed it: %v", err)
	}
	if err := approve(checker, 2); !errors.Is(err, ErrNotFound) {
		t.Errorf("another number: %v", err)
	}
	s.expect(t, 0, 0, 0, 0, 0, 10)
	for range 2 { // The second changes nothing.
		if err := approve(checker, 1); err != nil {
			t.Fatal(err)
		}
		s.expect(t, 4, 0, 4, 4, 0, 6)
	}
	if err := approve(third, 1); !errors.Is(err, ErrConflict) {
		t.Errorf("by a third: %v", err)
	}
	now := s.now(t, r)
	if len(now.Corrections) != 1 || now.DeliveredHours != 10*hour || now.Status != Issued {
		t.Fatalf("%+v", now)
	}
	all, err := s.CorrectionsOf(t.Context(), r.ID)
	if diff := cmp.Diff(now.Corrections, all); diff != "" || err != nil || all[0].ApprovedBy != checker || all[0].TransactionID == uuid.Nil {
		t.Error(diff, err, all)
	}
	if got := s.status(t, s.pledge.id); got != "active" {
		t.Errorf("the pledge is %s", got)
	}
	// The hours can be redeemed again, and the first answer to an old request is still the first.
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(s.request(t, 4*hour), "again")); err != nil {
		t.Error(err)
	}
	s.expect(t, 0, 0, 0, 0, 0, 10)
	s.proveBooks(t)
}

func TestCorrectionsAreOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r := s.at(t, TransportPull, Issued)
	maker, checker := id.New(), id.New()
	for _, tt := range []struct {
		of    uuid.UUID
		hours int64
		want  error
	}{
		{id.New(), hour, ErrNotFound},
		{s.at(t, TransportPull, Dispatched).ID, hour, ErrConflict},
		{s.at(t, TransportPull, Refunded).ID, hour, ErrConflict},
		{r.ID, 10*hour + 1, ErrOvercorrected},
		{r.ID, 0, ledger.ErrAmountOutOfRange},
		{r.ID, -1, ledger.ErrAmountOutOfRange},
	} {
		if _, err := s.tryCorrection(t, NewCorrection{By: maker, RedemptionID: tt.of, Hours: tt.hours, Reason: "x"}); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	var invalid *InvalidError
	for _, reason := range []string{"", strings.Repeat("x", 501)} {
		if _, err := s.tryCorrection(t, NewCorrection{By: maker, RedemptionID: r.ID, Hours: 1, Reason: reason}); !errors.As(err, &invalid) {
			t.Errorf("%.5q: %v", reason, err)
		}
	}
	// Both fit when they are proposed, and one of them when they are approved.
	s.correction(t, r, maker, 6*hour)
	s.correction(t, r, maker, 5*hour)
	var done, over atomic.Int64
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	atOnce(8, func(i int) {
		switch _, err := desks[i%2].ApproveCorrection(t.Context(), Approval{By: checker, RedemptionID: r.ID, N: 1 + i/2%2}); {
		case err == nil:
			done.Add(1)
		case errors.Is(err, ErrOvercorrected), errors.Is(err, ErrConflict):
			over.Add(1)
		default:
			t.Error(err)
		}
	})
	if now := s.now(t, r); len(now.Corrections) != 1 || done.Load() == 0 || over.Load() == 0 {
		t.Errorf("%+v; %d and %d", now.Corrections, done.Load(), over.Load())
	}
	s.proveBooks(t)
}

func TestCorrectionNeedsAnOpenAccount(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10*hour)
	r := s.at(t, TransportPull, Issued)
	s.correction(t, r, id.New(), hour)
	if _, err := s.books.CloseAccount(t.Context(), s.account); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ApproveCorrection(t.Context(), Approval{By: id.New(), RedemptionID: r.ID, N: 1}); !errors.Is(err, ledger.ErrAccountClosed) {
		t.Errorf("into a closed account: %v", err)
	}
	s.proveBooks(t)
}

// Hours that come back when their time has passed lapse, and are missed: that is a default.
func TestCorrectionAfterTheHoursAreOver(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	p := s.contract(t, clock, 10*hour, func(n *providers.NewPledge) { n.Hours = money.Micros(10 * hour) })
	r := s.at(t, TransportPull, Issued)
	if got := s.status(t, p.ID); got != "exhausted" {
		t.Fatalf("the pledge is %s", got)
	}
	clock.Advance(200 * time.Hour)
	s.correction(t, r, id.New(), 3*hour)
	if _, err := s.ApproveCorrection(t.Context(), Approval{By: id.New(), RedemptionID: r.ID, N: 1}); err != nil {
		t.Fatal(err)
	}
	store := providers.NewStore(s.db.App, s.books)
	if n, err := store.LapseDue(t.Context()); n != 1 || err != nil {
		t.Errorf("%d lapsed: %v", n, err)
	}
	if got := s.status(t, p.ID); got != "defaulted" {
		t.Errorf("the pledge is %s", got)
	}
	if got := s.balance(t, s.account); got != 3*hour {
		t.Errorf("the account has %d", got)
	}
	s.proveBooks(t)
	checks, err := providers.Checks(t.Context(), s.db.App)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if !c.OK {
			t.Errorf("%s: %s", c.Name, c.Detail)
		}
	}
}

func TestGuardsOfCorrections(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r, open := s.at(t, TransportPull, Issued), s.at(t, TransportPull, Dispatched)
	maker := id.New()
	s.correction(t, r, maker, 2*hour)
	s.correction(t, r, maker, 3*hour)
	if _, err := s.ApproveCorrection(t.Context(), Approval{By: id.New(), RedemptionID: r.ID, N: 1}); err != nil {
		t.Fatal(err)
	}
	done := s.now(t, r).Corrections[0].TransactionID
	const approve = `UPDATE redemption_corrections SET approved_by = gen_random_uuid(), approved_at = now(), transaction_id = $2 WHERE redemption_id = $1 AND n = 2`
	for _, tt := range []struct {
		constraint, sql string
		args            []any
	}{
		{"redemption_corrections_are_of_the_delivered", `INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by) VALUES ($1, 1, 1, 1, 'r', $1)`, []any{open.ID}},
		{"redemption_corrections_are_of_the_delivered", `INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by) VALUES ($1, 4, 1, 1, 'r', $1)`, []any{r.ID}},
		{"redemption_corrections_are_of_the_delivered", `INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by) VALUES ($1, 3, 1, 2, 'r', $1)`, []any{r.ID}},
		{"redemption_corrections_are_of_the_delivered", `INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by) VALUES ($1, 3, 10000001, 10000001, 'r', $1)`, []any{r.ID}},
		{"redemption_corrections_are_of_the_delivered", `INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by, approved_by, approved_at, transaction_id)
			VALUES ($1, 3, 1, 1, 'r', $1, gen_random_uuid(), now(), $2)`, []any{r.ID, r.RequestedBy}},
		{"redemption_corrections_are_fixed", `UPDATE redemption_corrections SET hours = 1 WHERE redemption_id = $1 AND n = 2`, []any{r.ID}},
		{"redemption_corrections_are_fixed", `UPDATE redemption_corrections SET approved_by = $1 WHERE redemption_id = $1 AND n = 1`, []any{r.ID}},
		{"redemption_corrections_four_eyes", `UPDATE redemption_corrections SET approved_by = proposed_by, approved_at = now(), transaction_id = $2 WHERE redemption_id = $1 AND n = 2`, []any{r.ID, r.RequestedBy}},
		{"redemption_corrections_approved_when", `UPDATE redemption_corrections SET approved_by = gen_random_uuid() WHERE redemption_id = $1 AND n = 2`, []any{r.ID}},
		{"redemption_corrections_are_in_the_journal", approve, []any{r.ID, r.RequestedBy}},
		{"redemption_corrections_transaction_key", approve, []any{r.ID, done}},
		{"redemption_corrections_is_append_only", `DELETE FROM redemption_corrections WHERE redemption_id = $1`, []any{r.ID}},
		{"corrected_lines_is_append_only", `UPDATE corrected_lines SET hours = 1 WHERE redemption_id = $1`, []any{r.ID}},
		{"corrected_lines_is_append_only", `DELETE FROM corrected_lines WHERE redemption_id = $1`, []any{r.ID}},
		{"corrected_lines_are_the_correction", `INSERT INTO corrected_lines VALUES ($1, 2, $2, 1)`, []any{r.ID, s.pledge.id}},
		{"delivered_lines_is_append_only", `UPDATE delivered_lines SET hours = 1 WHERE redemption_id = $1`, []any{r.ID}},
		{"delivered_lines_is_append_only", `DELETE FROM delivered_lines WHERE redemption_id = $1`, []any{r.ID}},
		{"delivered_lines_are_its_hours", `INSERT INTO delivered_lines VALUES ($1, $2, 1)`, []any{open.ID, s.pledge.id}},
		{"redemptions_end_is_fixed", `UPDATE redemptions SET delivered_hours = 1 WHERE id = $1`, []any{r.ID}},
		{"redemptions_end_is_fixed", `UPDATE redemptions SET burned_amount = 1 WHERE id = $1`, []any{r.ID}},
		{"redemptions_deliver_at_their_end", `UPDATE redemptions SET delivered_hours = 0, burned_amount = 0 WHERE id = $1`, []any{open.ID}},
	} {
		if _, err := s.db.Pool.Exec(t.Context(), tt.sql, tt.args...); pg.ConstraintName(err) != tt.constraint {
			t.Errorf("%s: %v, want %s", tt.sql, err, tt.constraint)
		}
	}
	s.proveBooks(t)
}

// What a correction says and what its transaction does cannot differ.
func TestGuardsAgainstCorrectionsThatTheJournalDoesNotExplain(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	_, theirs := s.desk.holder(t, money.SCH)
	for name, tt := range map[string]struct {
		constraint string
		decide     func(ledger.Decision) ledger.Decision
		in         []argument
		kind       ledger.Kind
	}{
		"as it should be":     {"", nil, nil, ledger.KindRedemptionCorrect},
		"another kind":        {"redemption_corrections_are_in_the_journal", nil, nil, ledger.KindRedemptionRefund},
		"too few tokens":      {"redemption_corrections_are_in_the_journal", func(d ledger.Decision) ledger.Decision { d.Moves[0].Amount = money.Micros(1); return d }, nil, ledger.KindRedemptionCorrect},
		"tokens to elsewhere": {"redemption_corrections_are_in_the_journal", func(d ledger.Decision) ledger.Decision { d.Moves[0].To = theirs; return d }, nil, ledger.KindRedemptionCorrect},
		"too few hours":       {"redemption_corrections_are_in_the_journal", func(d ledger.Decision) ledger.Decision { d.Moves[1].Amount = money.Micros(1); return d }, nil, ledger.KindRedemptionCorrect},
		"no hours":            {"redemption_corrections_are_in_the_journal", func(d ledger.Decision) ledger.Decision { d.Moves = d.Moves[:1]; return d }, nil, ledger.KindRedemptionCorrect},
		"another line":        {"corrected_lines_are_the_correction", nil, []argument{{7, []int64{hour}}}, ledger.KindRedemptionCorrect},
		"no lines":            {"redemption_corrections_are_in_the_journal", nil, []argument{{6, []uuid.UUID{}}, {7, []int64{}}}, ledger.KindRedemptionCorrect},
	} {
		r := s.at(t, TransportPull, Issued)
		c := s.correction(t, r, id.New(), 2*hour)
		step := &correctionStep{redemption: r, proposed: &c, by: id.New()}
		if err := s.routeCorrection(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		v := s.books.Submit(t.Context(), &ledger.Command{
			Kind: tt.kind, Call: call(step.by), Subject: r.ID, Settles: true, Step: &tampered{
				Step: &wider{correctionStep: step, more: theirs}, decide: tt.decide, write: func(w *ledger.Writes, at *ledger.Transaction) {
					w.Queue(correctSQL, put(correctionArgs(step, at), tt.in)...)
				},
			},
		})[0]
		if got := pg.ConstraintName(v.Err); got != tt.constraint || (tt.constraint == "") != (v.Err == nil) {
			t.Errorf("%s: %v", name, v.Err)
		}
	}
	s.proveBooks(t)
}

// wider locks one more account.
type wider struct {
	*correctionStep
	more uuid.UUID
}

func (s *wider) Lock() []uuid.UUID { return append(s.correctionStep.Lock(), s.more) }
