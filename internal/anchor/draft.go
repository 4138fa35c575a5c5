package anchor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
)

// NewDraft asks for an epoch to be drafted from the index of now.
type NewDraft struct {
	// By is the principal who drafts it.
	By uuid.UUID
	// ReferenceClass is the class by which the others are to be measured; empty for that of the last epoch.
	ReferenceClass string
	// EffectiveAt is when it is to be in force; zero leaves that to the announcement.
	EffectiveAt time.Time
	Policy      EpochPolicy
}

// DraftTx computes the epoch that would succeed the last one that was published, and keeps it with everything that it was
// computed from. It changes nothing that is in force. It returns ErrNoEpoch in a database without the first, an [*InvalidError] for
// a class that does not exist or a time that is too soon, ErrClassSunset for a reference on its way out, and
// ErrReferenceUnpriced.
func DraftTx(ctx context.Context, tx pgx.Tx, n NewDraft) (Epoch, error) {
	index, err := CurrentIndex(ctx, tx)
	if err != nil {
		return Epoch{}, err
	}
	return draftTx(ctx, tx, n, index.inputs())
}

// draftTx is DraftTx from prices that are read already.
func draftTx(ctx context.Context, tx pgx.Tx, n NewDraft, index IndexInputs) (Epoch, error) {
	last, err := withFactors(ctx, tx)(selectEpoch(ctx, tx, ErrNoEpoch, lastSQL))
	if err != nil {
		return Epoch{}, err
	}
	if n.ReferenceClass == "" {
		n.ReferenceClass = last.ReferenceClass
	}
	if err := n.check(ctx, tx, &last); err != nil {
		return Epoch{}, err
	}
	classes, err := Classes(ctx, tx)
	if err != nil {
		return Epoch{}, err
	}
	d, err := n.compute(&last, classes, index)
	if err != nil {
		return Epoch{}, err
	}
	if err := insertDraft(ctx, tx, &d); err != nil {
		return Epoch{}, err
	}
	return EpochByID(ctx, tx, d.ID)
}

func (n *NewDraft) check(ctx context.Context, tx pgx.Tx, last *Epoch) error {
	known, err := IsClass(ctx, tx, n.ReferenceClass)
	if err != nil {
		return err
	}
	if !known {
		return &InvalidError{"reference_class", "unknown", "There is no such GPU class."}
	}
	if err := checkStays(ctx, tx, n.ReferenceClass); err != nil {
		return err
	}
	if n.EffectiveAt.IsZero() {
		return nil
	}
	now, err := domainNow(ctx, tx)
	if err != nil {
		return err
	}
	return checkEffective(n.EffectiveAt, now, last, n.Policy)
}

// checkStays returns ErrClassSunset for a class whose end is announced.
func checkStays(ctx context.Context, tx pgx.Tx, class string) error {
	sunsets, err := SunsetsTx(ctx, tx)
	if _, ends := sunsets[class]; ends {
		err = ErrClassSunset
	}
	return err
}

// maxYearsAhead keeps a slip of the pen from being the last epoch for ever, since none can be announced for an earlier time.
const maxYearsAhead = 10

// checkEffective refuses a time that leaves too little notice or is absurdly far away, or lies before the epoch that is to be succeeded is in force.
func checkEffective(at, now time.Time, last *Epoch, p EpochPolicy) error {
	if at.Before(now.Add(p.notice())) {
		return &InvalidError{"effective_at", "too_soon", "An epoch is announced " + p.notice().String() + " ahead or longer."}
	}
	if at.After(now.AddDate(maxYearsAhead, 0, 0)) {
		return &InvalidError{"effective_at", "too_late", "An epoch is announced at most ten years ahead."}
	}
	if !at.After(last.EffectiveAt) {
		return &InvalidError{"effective_at", "too_soon", "An epoch that was announced before would be in force only after that."}
	}
	return nil
}

// compute returns the draft as it is to be stored.
func (n *NewDraft) compute(last *Epoch, classes []Class, index IndexInputs) (Epoch, error) {
	in := n.inputs(last, classes, index)
	d := Epoch{
		ID: id.New(), EffectiveAt: n.EffectiveAt, ReferenceClass: n.ReferenceClass, Method: LinkedMethod, Follows: last.ID,
		Drafted: Signature{By: n.By},
	}
	var err error
	if d.Factors, d.Link, err = ComputeLinked(in); err != nil {
		return d, err
	}
	if d.Inputs, err = in.Canonical(); err != nil {
		return d, err
	}
	d.InputsSHA256 = sha256.Sum256(d.Inputs)
	return d, nil
}

func (n *NewDraft) inputs(last *Epoch, classes []Class, index IndexInputs) LinkedInputs {
	in := LinkedInputs{
		ReferenceClass: n.ReferenceClass, Exponents: firstExponents, Index: index,
		Gates: GateInputs{MaxDecrease: n.Policy.MaxDecrease.String()},
		Previous: PreviousInputs{
			Number: strconv.Itoa(last.Number), InputsSHA256: hex.EncodeToString(last.InputsSHA256[:]),
			ReferenceClass: last.ReferenceClass, Link: last.Link.String(),
		},
	}
	for _, c := range classes {
		in.Classes = append(in.Classes, ClassInput{
			GPUClass: c.Name, MemoryGB: c.MemoryGB.String(), BandwidthTBs: c.BandwidthTBs.String(), BF16TFLOPS: c.BF16TFLOPS.String(),
		})
	}
	for _, f := range last.Factors {
		in.Previous.Factors = append(in.Previous.Factors, PreviousInput{GPUClass: f.GPUClass, K: f.K.String()})
	}
	return in
}

// inputs returns what an epoch takes of the index: the averages over seven days, so that no single day moves the anchor.
func (i *Index) inputs() IndexInputs {
	in := IndexInputs{
		Fixing: strconv.Itoa(i.Number), At: i.At.UTC().Format(time.RFC3339Nano), InputsSHA256: hex.EncodeToString(i.InputsSHA256[:]),
		Values: []IndexInput{},
	}
	for _, v := range i.Values {
		if v.TWAP7.Valid {
			in.Values = append(in.Values, IndexInput{GPUClass: v.GPUClass, PriceUSD: v.TWAP7.Decimal.String(), Status: string(v.Status)})
		}
	}
	return in
}
