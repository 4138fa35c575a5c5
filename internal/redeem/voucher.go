package redeem

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/voucher"
)

var (
	// errNoVoucher means that the provider has no voucher left for exactly those hours.
	errNoVoucher = errors.New("no voucher for exactly these hours")
	// errVoucherHours means that a voucher for other hours was looked for than turned out to be needed: the epoch, or how the provider is
	// reached, changed in between.
	errVoucherHours = errors.New("another voucher is needed")
)

// voucherHours returns for how many hours a voucher is to be looked for, or 0 where the provider has none to hand out.
func (n *NewRedemption) voucherHours(there supply) int64 {
	hours, err := n.hours(there.rate)
	if err != nil {
		return 0 // Decide says why.
	}
	return there.delivery.Transport.issuer().codeFor(hours)
}

// reach looks for a voucher, under the lock of the provider's issuance account.
func (s *requestStep) reach(r *ledger.Reads) {
	s.shelf, s.voucher = nil, uuid.Nil
	if s.voucherHours > 0 {
		s.shelf = voucher.Reach(r, s.ask.ProviderID, s.ask.GPUClass, s.voucherHours)
	}
}

// voucherIssuer hands out a code that the provider has loaded, with the request.
type voucherIssuer struct{}

func (voucherIssuer) check(n *NewDelivery) error { return noEndpoint(n) }

func (voucherIssuer) begin() []Event {
	return append(begun(), Event{Status: Dispatched, Detail: "A voucher is set aside for it."})
}

func (voucherIssuer) codeFor(hours int64) int64 { return hours }

// codeOf is the last of what is decided: what is taken and not used, nobody else of the group gets.
func (voucherIssuer) codeOf(s *requestStep) error {
	if s.shelf == nil || s.voucherHours != s.hours {
		return errVoucherHours
	}
	var found bool
	if s.voucher, found = s.shelf.Take(); !found {
		return errNoVoucher
	}
	return nil
}

func (voucherIssuer) handOut(w *ledger.Writes, s *requestStep) { voucher.HandOut(w, s.voucher, s.id) }

// quotable returns ErrNoCapacity where no code is for exactly these hours. It sets none aside: who comes first has it.
func (voucherIssuer) quotable(ctx context.Context, tx pgx.Tx, q *Quote) (err error) {
	var has bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM free_vouchers($1, $2, $3, $4, 1))`, q.ProviderID, q.GPUClass, q.Hours, q.CreatedAt).Scan(&has)
	if err == nil && !has {
		err = ErrNoCapacity
	}
	return err
}

// unheard is false: the holder may know the code.
func (voucherIssuer) unheard(*state) bool { return false }
func (voucherIssuer) mayReturn() error    { return ErrConflict }

// mayIssue refuses anything else than the code that is set aside, whole.
func (voucherIssuer) mayIssue(ctx context.Context, r *Redemptions, of *Redemption, i *Issuance) error {
	grant, err := voucher.GrantOf(ctx, r.pool, of.ID)
	if err != nil {
		return err
	}
	if i.GrantID != grant || i.Hours != of.Hours {
		return ErrConflict
	}
	return nil
}

// deliver issues what was just requested, or requested before. The request has taken effect: whoever asks again learns what came of it.
func (voucherIssuer) deliver(ctx context.Context, r *Redemptions, of *Redemption) (*Redemption, error) {
	issued, _, err := r.IssueVoucher(ctx, of.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ledger.ErrOutcomeUnknown, err.Error())
	}
	return issued, nil
}

// IssueVoucher issues a redemption with the voucher that is set aside for it. It may be called again, and by anybody. It returns the redemption as
// that left it, and whether it had been done before; ErrNotFound; voucher.ErrNone for one that is not by voucher; or what Issue does.
func (r *Redemptions) IssueVoucher(ctx context.Context, redemption uuid.UUID) (*Redemption, bool, error) {
	found, err := r.Get(ctx, redemption, Filter{})
	if err != nil {
		return nil, false, err
	}
	grant, err := voucher.GrantOf(ctx, r.pool, redemption)
	if err != nil {
		return nil, false, err
	}
	return r.issue(ctx, Issuance{
		Call: ledger.SystemCall("issue voucher", redemption), ProviderID: found.ProviderID, RedemptionID: redemption, GrantID: grant,
		Cause: "The voucher is the holder's.",
	}, nil)
}

const (
	// Whoever asked for it is given some time to have it issued.
	selectUnissuedSQL = `
SELECT id FROM redemptions
WHERE transport = 'voucher' AND status = 'dispatched' AND id > $1 AND created_at <= ballast_now() - interval '10 seconds' ORDER BY id LIMIT $2`

	unissuedAtOnce = 200
)

// IssueVouchers issues every redemption for which a voucher is set aside, which only a crash can have left so, and returns how many. It goes on
// past one that fails, and returns the first such error.
func (r *Redemptions) IssueVouchers(ctx context.Context) (done int, failed error) {
	for last := uuid.Nil; ; {
		rows, err := r.pool.Query(ctx, selectUnissuedSQL, last, unissuedAtOnce)
		if err != nil {
			return done, errors.Join(failed, fmt.Errorf("redeem: issue vouchers: %w", err))
		}
		due, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(due) == 0 {
			return done, errors.Join(failed, err)
		}
		for _, redemption := range due {
			switch _, before, err := r.IssueVoucher(ctx, redemption); {
			case errors.Is(err, idempotency.ErrInProgress): // Somebody else does it.
			case err != nil && failed == nil:
				failed = fmt.Errorf("redeem: issue voucher of redemption %s: %w", redemption, err)
			case err == nil && !before:
				done++
			}
		}
		last = due[len(due)-1]
	}
}
