package redeem

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// NewRedemption asks for tokens to be redeemed.
type NewRedemption struct {
	ledger.Call
	// Owner is the holder to whom the account must belong. Nobody else may redeem from it.
	Owner     uuid.UUID
	AccountID uuid.UUID
	// QuoteID is the quote whose terms hold, or the nil UUID. With it, Amount, ProviderID and GPUClass are the quote's, whatever they are here.
	QuoteID uuid.UUID
	// Amount is in SCH.
	Amount     money.Quantity
	ProviderID uuid.UUID
	GPUClass   string
	// OnDelay is what is to be done when the provider is late; [Wait] if it is empty.
	OnDelay OnDelay
	// RecipientAccount is the holder's account at the provider, up to 200 characters, or empty.
	RecipientAccount string
	// Metadata is a JSON object, or nil.
	Metadata []byte

	// quote is that of QuoteID, of which only what never changes is used.
	quote *Quote
	// reroutes is the late redemption whose place this one takes, or the nil UUID.
	reroutes uuid.UUID
}

// Request puts an amount into escrow and earmarks the hours that it is worth, of the provider's pledges that lapse first. It
// returns the redemption as the request left it, which is dispatched, reserved where it is pushed, or issued where there is a voucher for it, and whether this repeats the answer
// to an earlier call.
//
// With a quote, its k and its hours hold, though another epoch has begun, and its hours are there, unless their provider put others in their
// place behind tokens. It then also returns ErrQuoteNotFound, also for another's; ErrQuoteUsed; or ErrQuoteExpired.
//
// Its errors are ErrNoCapacity, *[InvalidError], anchor.ErrNoEpoch, and of the ledger: ErrAccountNotFound (also for another's account),
// ErrAccountKind, ErrAssetMismatch, ErrAccountFrozen, ErrAccountClosed, ErrInsufficientFunds, ErrAmountOutOfRange (also for
// less than a millionth of an hour), or one of the write path's.
func (r *Redemptions) Request(ctx context.Context, n NewRedemption) (*Redemption, bool, error) {
	if n.RecipientAccount != "" {
		if err := checkText("recipient.provider_account", n.RecipientAccount, maxExternalID); err != nil {
			return nil, false, err
		}
	}
	if err := r.takeQuote(ctx, &n); err != nil {
		return nil, false, err
	}
	account, err := r.books.Account(ctx, n.AccountID)
	if err == nil {
		err = n.mayRedeem(account)
	}
	if err != nil {
		return nil, false, err
	}
	escrow, err := ledger.Child(ctx, r.pool, account, ledger.AccountEscrow, n.Call, n.Amount)
	if err != nil {
		return nil, false, err
	}
	v, err := r.submitRequest(ctx, &n, escrow)
	if err != nil {
		return nil, false, err
	}
	found, replayed, err := r.answer(ctx, v)
	if err != nil {
		return nil, replayed, err
	}
	found, err = found.Transport.issuer().deliver(ctx, r, found)
	return found, replayed, err
}

func (n *NewRedemption) mayRedeem(from *ledger.Account) error {
	switch {
	case from.HolderID == uuid.Nil || from.HolderID != n.Owner:
		return ledger.ErrAccountNotFound
	case from.Kind != ledger.AccountHolder:
		return ledger.ErrAccountKind
	case from.Asset != money.SCH:
		return ledger.ErrAssetMismatch
	}
	return nil
}

// submitRequest locks first no more pledges than had the hours, and, where others took those meanwhile, all that have any. The
// command is submitted even if there seem to be none: it may have been accepted before.
func (r *Redemptions) submitRequest(ctx context.Context, n *NewRedemption, escrow uuid.UUID) (ledger.Verdict, error) {
	for again := false; ; again = true {
		there, err := r.capacity(ctx, n)
		if err != nil {
			return ledger.Verdict{}, err
		}
		all := true
		if !again {
			there.candidates, all = n.enough(there.rate, there.candidates)
		}
		v := r.books.Submit(ctx, n.command(escrow, there))[0]
		switch {
		case errors.Is(v.Err, errVoucherHours):
			continue
		case errors.Is(v.Err, errNoVoucher):
			v.Err = ErrNoCapacity
			return v, nil
		case all || !errors.Is(v.Err, ErrNoCapacity):
			return v, nil
		}
	}
}

// command takes hours of the candidates that there are.
func (n *NewRedemption) command(escrow uuid.UUID, there supply) *ledger.Command {
	step := &requestStep{
		ask: n, id: id.New(), escrow: escrow, issuance: there.issuance, candidates: there.candidates, voucherHours: n.voucherHours(there),
	}
	return &ledger.Command{
		Kind: ledger.KindRedemptionRequest, Call: n.Call, Owner: n.Owner, Subject: step.id, Claims: step.claims(),
		Moves: []ledger.Move{{From: n.AccountID, To: escrow, Amount: n.Amount}}, Step: step,
	}
}

// enough returns as many candidates as the amount seems to need, and whether that is all of them.
func (n *NewRedemption) enough(read anchor.RateRead, candidates []candidate) ([]candidate, bool) {
	hours, err := n.hours(read)
	if err != nil {
		return candidates, true
	}
	return enough(candidates, hours)
}

// hours returns what the amount seems to be redeemed for.
func (n *NewRedemption) hours(read anchor.RateRead) (int64, error) {
	if n.quote != nil {
		return n.quote.Hours, nil
	}
	rate, err := read.Now()
	if err != nil {
		return 0, err
	}
	amount, err := n.Amount.Minor(money.Scale(money.SCH))
	if err != nil {
		return 0, err
	}
	return worth(amount, rate.K)
}

// requestStep earmarks the hours of a new redemption.
type requestStep struct {
	ask        *NewRedemption
	id, escrow uuid.UUID
	// issuance is the provider's, whose lock goes with the claim on the provider.
	issuance   uuid.UUID
	candidates []candidate

	rates    *anchor.Rates
	kept     *reserved
	delivery *Delivery
	// used says that the quote was used before.
	used  bool
	rate  anchor.Rate
	hours int64
	lines []line

	// voucherHours is for how many hours a voucher is looked for, or 0 for none; voucher is the one that was found on the shelf.
	voucherHours int64
	shelf        *voucher.Shelf
	voucher      uuid.UUID
}

// claims has the provider, whose coverage this changes, and each pledge that gives only so many hours in a day: what others took of
// it in this group, no balance tells.
func (s *requestStep) claims() []ledger.Claim {
	claims := []ledger.Claim{providers.ClaimRedemption(s.ask.ProviderID)}
	for i := range s.candidates {
		if s.candidates[i].dailyHours > 0 {
			claims = append(claims, ledger.Claim{On: s.candidates[i].pledge})
		}
	}
	return claims
}

// Lock returns the accounts of the candidates. The available one is a pledge's mutex.
func (s *requestStep) Lock() []uuid.UUID {
	accounts := make([]uuid.UUID, 0, 1+3*len(s.candidates))
	accounts = append(accounts, s.issuance)
	for i := range s.candidates {
		c := &s.candidates[i]
		accounts = append(accounts, c.available, c.backing, c.earmarked)
	}
	return accounts
}

func (s *requestStep) Read(r *ledger.Reads) {
	s.rates, s.delivery, s.kept = anchor.ReadRates(r), readDelivery(r, s.ask.ProviderID), readReserved(r, s.candidates)
	s.queueUsed(r)
	for i := range s.candidates {
		s.candidates[i].queue(r)
	}
	s.reach(r)
}

func (s *requestStep) Decide(b *ledger.Book) (d ledger.Decision, err error) {
	amount, err := s.ask.Amount.Minor(money.Scale(money.SCH))
	if err != nil {
		return d, err
	}
	if s.delivery.Status != DeliveryActive {
		return d, ErrNoCapacity
	}
	if s.rate, s.hours, err = s.terms(amount, b.At()); err != nil {
		return d, err
	}
	if s.lines, err = allocate(b, s.candidates, s.kept, s.ask.QuoteID, s.hours); err != nil {
		return d, err
	}
	if err = s.delivery.Transport.issuer().codeOf(s); err != nil {
		return d, err
	}
	for _, l := range s.lines {
		d.Moves = append(d.Moves, l.move())
	}
	d.Epoch = s.rate.Epoch
	d.Details, err = json.Marshal(details{
		Steps: len(s.delivery.Transport.issuer().begin()), GPUClass: s.ask.GPUClass, Hours: money.Format(s.hours, money.MaxScale), K: s.rate.K.String(),
	})
	if err == nil {
		s.kept.use(s.ask.QuoteID)
	}
	return d, err
}

// terms returns what the amount is worth at a time: by its quote, or else by the epoch in force.
func (s *requestStep) terms(amount int64, at time.Time) (rate anchor.Rate, hours int64, err error) {
	if q := s.ask.quote; q != nil {
		switch {
		case s.used || s.kept.used[q.ID]:
			return rate, 0, ErrQuoteUsed
		case !at.Before(q.ExpiresAt):
			return rate, 0, ErrQuoteExpired
		}
		return anchor.Rate{Epoch: q.EpochID, K: q.K}, q.Hours, nil
	}
	if rate, err = s.rates.At(s.ask.GPUClass, at); errors.Is(err, anchor.ErrNoFactor) {
		return rate, 0, ErrNoCapacity
	}
	if err != nil {
		return rate, 0, err
	}
	hours, err = worth(amount, rate.K)
	return rate, hours, err
}

func (s *requestStep) Write(w *ledger.Writes, t *ledger.Transaction) {
	queueInsert(w, s, t)
	s.delivery.Transport.issuer().handOut(w, s)
}
