package httpapi

import (
	"context"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
)

// thresholdForm is that of a coverage, as in the contract. A share has the form of a haircut.
var thresholdForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?$`)

func (a *API) listPolicies(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.numbered(math.MaxInt32)
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Coverage.Policies(r.Context(), int(p.beforeNumber()), p.more())
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(p coverage.Policy) []byte { return numberPosition(int64(p.Version)) }, encodePolicy)
	return answer(w, http.StatusOK, wire.PolicyPage{Data: data, NextCursor: next})
}

func (a *API) createPolicy(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreatePolicyRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	note := f.text("note", req.Note, maxReason)
	// What is malformed is found before the database is asked, and so with terms that are of no use.
	f.setTerms(&coverage.Terms{}, &req)
	if err := f.err(); err != nil {
		return err
	}
	caller := principalOf(r.Context()).ID
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		last, err := coverage.LatestApproved(ctx, tx)
		if err != nil {
			return creation{}, err
		}
		f.setTerms(&last.Terms, &req)
		p, err := coverage.DraftPolicyTx(ctx, tx, coverage.Draft{Caller: caller, Terms: last.Terms, Note: note})
		answer := encodePolicy(p)
		return creation{first: answer, kept: answer}, err
	})
}

// setTerms puts what is asked for in the place of what was.
func (f *faults) setTerms(t *coverage.Terms, req *wire.CreatePolicyRequest) {
	f.setRate(&t.MintBuffer, "mint_buffer", req.MintBuffer, thresholdForm)
	setSeconds(&t.MarginCall, req.MarginCallSeconds)
	setSeconds(&t.EscalationGrace, req.EscalationGraceSeconds)
	setSeconds(&t.RolloverNotice, req.RolloverNoticeSeconds)
	if of := req.Thresholds; of != nil {
		f.setRate(&t.WatchBelow, "thresholds.watch_below", of.WatchBelow, thresholdForm)
		f.setRate(&t.CallBelow, "thresholds.call_below", of.CallBelow, thresholdForm)
		f.setRate(&t.DefaultBelow, "thresholds.default_below", of.DefaultBelow, thresholdForm)
	}
	if of := req.Epochs; of != nil {
		f.setRate(&t.Epochs.MaxDecrease, "epochs.max_decrease", of.MaxDecrease, haircutForm)
		setSeconds(&t.Epochs.Notice, of.NoticeSeconds)
		setSeconds(&t.Epochs.SunsetNotice, of.SunsetNoticeSeconds)
		setSeconds(&t.Epochs.DraftLife, of.DraftLifeSeconds)
	}
	if of := req.Index; of != nil {
		if of.MinSources != nil {
			t.Index.MinSources = *of.MinSources
		}
		setSeconds(&t.Index.MaxAge, of.MaxAgeSeconds)
		setSeconds(&t.Index.Carry, of.CarrySeconds)
		setSeconds(&t.Index.MintStop, of.MintStopSeconds)
	}
	if req.Haircuts != nil {
		f.setHaircuts(&t.Haircuts, req.Haircuts)
	}
}

func (f *faults) setHaircuts(s *coverage.Schedule, of *wire.PolicyHaircutsRequest) {
	f.setRate(&s.Prime, "haircuts.prime", of.Prime, haircutForm)
	f.setRate(&s.Standard, "haircuts.standard", of.Standard, haircutForm)
	f.setRate(&s.Basic, "haircuts.basic", of.Basic, haircutForm)
	f.setRate(&s.Interruptible, "haircuts.interruptible", of.Interruptible, haircutForm)
	if of.Concentration != nil {
		s.Concentration = make([]coverage.Share, len(of.Concentration))
		for i, step := range of.Concentration {
			field := "haircuts.concentration[" + strconv.Itoa(i) + "]."
			s.Concentration[i] = coverage.Share{
				Above: f.rate(field+"above", step.Above, haircutForm), Haircut: f.rate(field+"haircut", step.Haircut, haircutForm),
			}
		}
	}
	if of.Delivery != nil {
		s.Delivery = make([]coverage.Distance, len(of.Delivery))
		for i, step := range of.Delivery {
			field := "haircuts.delivery[" + strconv.Itoa(i) + "]."
			s.Delivery[i] = coverage.Distance{FromDays: step.FromDays, Haircut: f.rate(field+"haircut", step.Haircut, haircutForm)}
		}
	}
}

// setRate leaves what is there for a field that is not.
func (f *faults) setRate(into *decimal.Decimal, field string, text *string, form *regexp.Regexp) {
	if text != nil {
		*into = f.rate(field, *text, form)
	}
}

// maxSeconds is more than any time of a policy may be, so that none is too long to be counted.
const maxSeconds = 1 << 30

func setSeconds(into *time.Duration, seconds *int) {
	if seconds != nil {
		*into = time.Duration(max(min(*seconds, maxSeconds), -1)) * time.Second
	}
}

func (a *API) approvePolicy(w http.ResponseWriter, r *http.Request) error {
	var req wire.ApprovePolicyRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	effectiveAt := f.optionalTime("effective_at", req.EffectiveAt)
	if err := f.err(); err != nil {
		return err
	}
	policy, err := pathID(r, id.Policy, "policy_id")
	if err != nil {
		return err
	}
	p, err := a.Coverage.ApprovePolicy(r.Context(), coverage.Approval{Caller: principalOf(r.Context()).ID, PolicyID: policy, EffectiveAt: effectiveAt})
	if err != nil {
		return err
	}
	a.assess(r.Context())
	return answer(w, http.StatusOK, encodePolicy(p))
}

func encodePolicy(p coverage.Policy) wire.Policy {
	seconds := func(d time.Duration) int { return int(d / time.Second) }
	encoded := wire.Policy{
		ID: id.Format(id.Policy, p.ID), Version: p.Version,
		Thresholds: wire.PolicyThresholds{WatchBelow: p.WatchBelow.String(), CallBelow: p.CallBelow.String(), DefaultBelow: p.DefaultBelow.String()},
		MintBuffer: p.MintBuffer.String(), MarginCallSeconds: seconds(p.MarginCall), EscalationGraceSeconds: seconds(p.EscalationGrace),
		RolloverNoticeSeconds: seconds(p.RolloverNotice),
		Epochs: wire.PolicyEpochs{
			MaxDecrease: p.Epochs.MaxDecrease.String(), NoticeSeconds: seconds(p.Epochs.Notice), SunsetNoticeSeconds: seconds(p.Epochs.SunsetNotice),
			DraftLifeSeconds: seconds(p.Epochs.DraftLife),
		},
		Index: wire.PolicyIndex{
			MinSources: p.Index.MinSources, MaxAgeSeconds: seconds(p.Index.MaxAge), CarrySeconds: seconds(p.Index.Carry), MintStopSeconds: seconds(p.Index.MintStop),
		},
		Haircuts: encodeHaircuts(&p.Haircuts), Note: p.Note, DraftedBy: idOrNull(id.Principal, p.DraftedBy), DraftedAt: p.DraftedAt,
		ApprovedBy: idOrNull(id.Principal, p.ApprovedBy), ApprovedAt: timeOrNull(p.ApprovedAt), EffectiveAt: timeOrNull(p.EffectiveAt),
	}
	return encoded
}

func encodeHaircuts(s *coverage.Schedule) wire.PolicyHaircuts {
	encoded := wire.PolicyHaircuts{
		Prime: s.Prime.String(), Standard: s.Standard.String(), Basic: s.Basic.String(), Interruptible: s.Interruptible.String(),
		Concentration: make([]wire.ConcentrationStep, len(s.Concentration)), Delivery: make([]wire.DeliveryStep, len(s.Delivery)),
	}
	for i, step := range s.Concentration {
		encoded.Concentration[i] = wire.ConcentrationStep{Above: step.Above.String(), Haircut: step.Haircut.String()}
	}
	for i, step := range s.Delivery {
		encoded.Delivery[i] = wire.DeliveryStep{FromDays: step.FromDays, Haircut: step.Haircut.String()}
	}
	return encoded
}
