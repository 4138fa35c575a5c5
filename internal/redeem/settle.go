package redeem

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// mine returns a redemption of those that the filter narrows to, which must narrow to what the caller may act on.
func (r *Redemptions) mine(ctx context.Context, redemption uuid.UUID, narrow Filter) (*Redemption, error) {
	if narrow == (Filter{}) {
		return nil, ErrNotFound
	}
	return r.Get(ctx, redemption, narrow)
}

// settle submits a step that brings a redemption to its end.
func (r *Redemptions) settle(ctx context.Context, found *Redemption, call ledger.Call, step *settleStep) (ledger.Verdict, error) {
	c, err := r.settlement(ctx, found, call, step)
	if err != nil {
		return ledger.Verdict{}, err
	}
	return r.books.Submit(ctx, c)[0], nil
}

// settlement is the command of a step that brings a redemption to its end.
func (r *Redemptions) settlement(ctx context.Context, found *Redemption, call ledger.Call, step *settleStep) (*ledger.Command, error) {
	step.redemption = found
	if err := r.route(ctx, step); err != nil {
		return nil, err
	}
	step.share()
	return &ledger.Command{
		Kind: step.kind, Call: call, Subject: found.ID, Settles: true, Claims: []ledger.Claim{providers.ClaimRedemption(found.ProviderID)}, Step: step,
	}, nil
}

// errSameGrant means that the redemption was issued with this very grant before.
var errSameGrant = errors.New("redemption was issued with this grant")

// settleStep takes a redemption's amount out of escrow, and its hours out of the earmarked accounts.
type settleStep struct {
	kind   ledger.Kind
	steps  []Event
	grant  string
	reason string
	// delivered is the hours for which credits were given, and burned the tokens that go with them.
	delivered, burned int64
	// lease is the one under which it is done, or the nil UUID.
	lease uuid.UUID
	// untouched says that it is right only while the provider cannot have granted anything.
	untouched bool
	// ruling is the operators' that this carries out, or nil.
	ruling *ruling
	// redemption is as it was before the locks; of it, only what never changes is used.
	redemption *Redemption
	// issuance takes what is burned. It is locked in any case, as the provider is claimed.
	issuance uuid.UUID
	lines    []settledLine

	now state
}

// settledLine is what a redemption earmarked of one pledge, and the accounts of that.
type settledLine struct {
	pledge                                   uuid.UUID
	hours                                    int64
	available, backing, earmarked, delivered uuid.UUID
	// gives is how many of the hours are delivered.
	gives int64
}

// state is what the database says of a redemption once its escrow account is locked.
type state struct {
	status Status
	holder uuid.UUID
	grant  string
	steps  int
	// hours and k are the redemption's, and delivered what was given of it.
	hours, delivered int64
	k                decimal.Decimal
	// lease is the last that there was, or the nil UUID.
	lease uuid.UUID
	// unreached says that it was to be sent, that none of the attempts reached the provider, and that none is under way.
	unreached bool
	// grantee is the redemption that has the grant which is to be used, if one has.
	grantee uuid.UUID
}

// untouched tells whether the provider cannot have granted anything: it has not heard of the redemption, because nothing was sent or none of
// it arrived, or has it in its queue and never took it from there.
func (s *state) untouched(t Transport) bool {
	switch s.status {
	case Requested, Reserved:
		return true
	case Dispatched:
		return t.issuer().unheard(s)
	case Issued, Acknowledged, Rejected, Cancelled, Expired, Refunded, Unknown:
	}
	return false
}

// share says what of each line is delivered: first those hours that lapse first, in whose order the lines are; and what is burned for it.
func (s *settleStep) share() {
	rest := s.delivered
	for i := range s.lines {
		s.lines[i].gives = min(rest, s.lines[i].hours)
		rest -= s.lines[i].gives
	}
	s.burned = worthOf(s.redemption, s.delivered)
}

// worthOf returns how many tokens some of a redemption's hours cost: all of them those that were asked for, and else hours · k rounded up,
// since the provider asks.
func worthOf(r *Redemption, hours int64) int64 {
	if hours == r.Hours {
		return r.Amount
	}
	return decimal.NewFromInt(hours).Mul(r.K).Ceil().IntPart()
}

func (s *settleStep) Lock() []uuid.UUID {
	accounts := []uuid.UUID{s.redemption.EscrowAccount, s.issuance}
	if s.burned < s.redemption.Amount {
		accounts = append(accounts, s.redemption.AccountID)
	}
	for _, l := range s.lines {
		// Whether a pledge is exhausted depends on all of them.
		accounts = append(accounts, l.available, l.backing, l.earmarked)
		if l.gives > 0 {
			accounts = append(accounts, l.delivered)
		}
	}
	return accounts
}

func (s *settleStep) Read(r *ledger.Reads) {
	queueState(r, s)
	s.ruling.queue(r, s.redemption.ID)
}

func (s *settleStep) Decide(*ledger.Book) (d ledger.Decision, err error) {
	if err := s.allowed(); err != nil {
		return d, err
	}
	d.Moves, d.Epoch = s.moves(), s.redemption.EpochID
	d.Details, err = json.Marshal(details{Steps: s.now.steps + len(s.steps)})
	return d, err
}

func (s *settleStep) allowed() error {
	switch {
	case s.grant != "" && s.now.grant == s.grant && s.now.delivered == s.delivered && s.ruling == nil:
		return errSameGrant
	case !s.now.status.MayBecome(s.steps[0].Status):
		return ErrConflict
	case s.untouched && !s.now.untouched(s.redemption.Transport):
		return ErrConflict
	case s.lease != uuid.Nil && s.lease != s.now.lease:
		return ErrLeased
	case s.now.grantee != uuid.Nil:
		return ErrGrantUsed
	}
	return s.ruling.allowed(s.now)
}

// moves leaves out those of nothing.
func (s *settleStep) moves() (moves []ledger.Move) {
	move := func(from, to uuid.UUID, amount int64) {
		if amount > 0 {
			moves = append(moves, ledger.Move{From: from, To: to, Amount: money.Micros(amount)})
		}
	}
	move(s.redemption.EscrowAccount, s.issuance, s.burned)
	move(s.redemption.EscrowAccount, s.redemption.AccountID, s.redemption.Amount-s.burned)
	for _, l := range s.lines {
		move(l.earmarked, l.delivered, l.gives)
		move(l.earmarked, l.backing, l.hours-l.gives)
	}
	return moves
}

func (s *settleStep) Write(w *ledger.Writes, t *ledger.Transaction) {
	s.ruling.write(w, s.redemption.ID, t)
	queueSettle(w, s, t)
}
