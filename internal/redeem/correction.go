package redeem

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// Correction takes back a part of what an issued redemption delivered, since it was not delivered after all. The past stays as it is: a
// transaction of its own gives tokens back to the account and hours back to what backs tokens.
type Correction struct {
	RedemptionID uuid.UUID
	// N counts the corrections of one redemption from 1, in the order in which they were proposed.
	N int
	// Hours is in millionths. Amount is hours · k of the redemption, rounded down to a millionth of SCH.
	Hours, Amount int64
	Reason        string
	ProposedBy    uuid.UUID
	ProposedAt    time.Time
	// The others are zero until a second operator has agreed.
	ApprovedBy    uuid.UUID
	ApprovedAt    time.Time
	TransactionID uuid.UUID
}

// NewCorrection proposes one.
type NewCorrection struct {
	By           uuid.UUID
	RedemptionID uuid.UUID
	// Hours is in millionths, greater than zero.
	Hours int64
	// Reason is 1 to 500 characters.
	Reason string
}

// ProposeCorrectionTx records a proposal. Its errors are ErrNotFound; ErrConflict unless credits were issued; ErrOvercorrected where fewer
// hours than that are left of them; ledger.ErrAmountOutOfRange for hours that are worth less than a millionth of SCH; and *[InvalidError].
func ProposeCorrectionTx(ctx context.Context, tx pgx.Tx, n NewCorrection) (Correction, error) {
	if err := checkText("reason", n.Reason, maxReason); err != nil {
		return Correction{}, err
	}
	now, err := lockFound(ctx, tx, n.RedemptionID)
	if err != nil {
		return Correction{}, err
	}
	before, err := selectCorrected(ctx, tx, n.RedemptionID)
	amount := decimal.NewFromInt(n.Hours).Mul(now.k).Floor()
	switch {
	case err != nil:
		return Correction{}, err
	case now.status != Issued && now.status != Acknowledged:
		return Correction{}, ErrConflict
	case n.Hours <= 0 || amount.IsZero():
		return Correction{}, ledger.ErrAmountOutOfRange
	case n.Hours > now.delivered-before:
		return Correction{}, ErrOvercorrected
	}
	return insertCorrection(ctx, tx, n, amount.IntPart())
}

// ApproveCorrection does what another operator has proposed: tokens are issued to the account, frozen or not, and the hours back tokens
// again, those first that lapse last. A pledge of theirs that had ended is active again, until they lapse or are redeemed. It returns the
// redemption as it is then. To approve again what one has approved changes nothing.
//
// It returns ErrNotFound where there is no such proposal; ErrSamePerson to who made it; ErrConflict where another operator has approved it;
// ErrOvercorrected where others have taken back too much since; ledger.ErrAccountClosed; or an error of the ledger's write path.
func (r *Redemptions) ApproveCorrection(ctx context.Context, a Approval) (*Redemption, error) {
	c, err := selectCorrection(ctx, r.pool, a.RedemptionID, a.N)
	if err == nil {
		err = a.once(c.ProposedBy, c.ApprovedBy, func() error { return r.correct(ctx, c, a) }, func() (uuid.UUID, error) {
			now, err := selectCorrection(ctx, r.pool, a.RedemptionID, a.N)
			if err != nil {
				return uuid.Nil, err
			}
			return now.ApprovedBy, nil
		})
	}
	if err != nil {
		return nil, err
	}
	return r.Get(ctx, a.RedemptionID, Filter{})
}

func (r *Redemptions) correct(ctx context.Context, c *Correction, a Approval) error {
	found, err := r.Get(ctx, a.RedemptionID, Filter{})
	if err != nil {
		return err
	}
	s := &correctionStep{redemption: found, proposed: c, by: a.By}
	if err := r.routeCorrection(ctx, s); err != nil {
		return err
	}
	return r.books.Submit(ctx, &ledger.Command{
		Kind: ledger.KindRedemptionCorrect, Call: a.call(), Subject: found.ID, Settles: true,
		Claims: []ledger.Claim{providers.ClaimRedemption(found.ProviderID)}, Step: s,
	})[0].Err
}

// correctionStep is the compensating transaction.
type correctionStep struct {
	redemption *Redemption
	proposed   *Correction
	by         uuid.UUID
	issuance   uuid.UUID
	// lines are the hours delivered, those which lapse last first; gives is how many of them are taken back.
	lines []settledLine

	approved  bool
	corrected map[uuid.UUID]int64
}

func (s *correctionStep) Lock() []uuid.UUID {
	accounts := []uuid.UUID{s.redemption.EscrowAccount, s.redemption.AccountID, s.issuance}
	for _, l := range s.lines {
		accounts = append(accounts, l.available, l.backing, l.earmarked, l.delivered)
	}
	return accounts
}

func (s *correctionStep) Read(r *ledger.Reads) { queueCorrected(r, s) }

func (s *correctionStep) Decide(*ledger.Book) (d ledger.Decision, err error) {
	if s.approved {
		return d, ErrConflict
	}
	rest := s.proposed.Hours
	d.Epoch = s.redemption.EpochID
	d.Moves = []ledger.Move{{From: s.issuance, To: s.redemption.AccountID, Amount: money.Micros(s.proposed.Amount)}}
	for i := range s.lines {
		l := &s.lines[i]
		l.gives = min(rest, l.hours-s.corrected[l.pledge])
		if l.gives > 0 {
			d.Moves = append(d.Moves, ledger.Move{From: l.delivered, To: l.backing, Amount: money.Micros(l.gives)})
			rest -= l.gives
		}
	}
	if rest > 0 {
		return ledger.Decision{}, ErrOvercorrected
	}
	return d, nil
}

func (s *correctionStep) Write(w *ledger.Writes, t *ledger.Transaction) {
	queueCorrection(w, s, t)
	for _, l := range s.lines {
		if l.gives > 0 {
			providers.QueueRevived(w, l.pledge, t)
		}
	}
}

// CorrectionsOf returns all that were proposed of a redemption, oldest first; or ErrNotFound.
func (r *Redemptions) CorrectionsOf(ctx context.Context, redemption uuid.UUID) ([]Correction, error) {
	if _, err := r.Get(ctx, redemption, Filter{}); err != nil {
		return nil, err
	}
	return selectCorrections(ctx, r.pool, redemption)
}
