package httpapi

import (
	"crypto/ed25519"
	"encoding/base64"
	"regexp"
	"strconv"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// The forms of a pledge's terms, as in the contract.
var (
	regionForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	sha256Form  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	percentForm = regexp.MustCompile(`^(100(\.0{1,3})?|(0|[1-9][0-9]?)(\.[0-9]{1,3})?)$`)
	memoryForm  = regexp.MustCompile(`^(0|[1-9][0-9]{0,6})(\.[0-9]{1,3})?$`)
)

const (
	// maxPledgeBytes has room for a curve of a thousand windows.
	maxPledgeBytes = 256 << 10

	maxShortText   = 100
	maxLinkText    = 500
	maxLongText    = 2000
	maxGPUs        = 10_000_000
	maxNodeSize    = 100_000
	maxNoticeHours = 366 * 24
)

// newPledge reads what is pledged: by a provider for itself, or by an operator for the provider that it names. Another provider is
// none that a provider may see.
func newPledge(p access.Principal, req *wire.CreatePledgeRequest) (providers.NewPledge, error) {
	var f faults
	f.checkMetadata(req.Metadata)
	n := providers.NewPledge{
		Caller: p.ID, ProviderID: f.optionalID(id.Provider, "provider_id", req.ProviderID),
		GPUClass: f.matches("gpu_class", req.GPUClass, gpuClassForm), Hours: f.quantity("hours", req.Hours),
		Region: f.matches("region", req.Region, regionForm), StartsAt: f.time("starts_at", req.StartsAt),
		ExpiresAt: f.time("expires_at", req.ExpiresAt), Metadata: req.Metadata,
	}
	if p.Role != access.RoleProvider && req.ProviderID == nil {
		f.present("provider_id", "")
	}
	if req.SLAPercent != nil {
		n.SLAPercent = decimal.NewNullDecimal(f.rate("sla_percent", *req.SLAPercent, percentForm))
	}
	if req.DocumentSha256 != nil {
		n.DocumentSHA256 = f.matches("document_sha256", *req.DocumentSha256, sha256Form)
	}
	if req.Signature != nil {
		n.Signature = f.base64("signature", *req.Signature, ed25519.SignatureSize)
	}
	if req.MaxDailyHours != nil {
		n.MaxDailyHours = f.quantity("max_daily_hours", *req.MaxDailyHours)
	}
	n.Terms, n.Curve = f.terms(req), f.curve(req.DeliveryCurve)
	if err := f.err(); err != nil {
		return n, err
	}
	if p.Role == access.RoleProvider {
		if req.ProviderID != nil && n.ProviderID != p.ProviderID {
			return n, access.ErrNotFound
		}
		n.ProviderID = p.ProviderID
	}
	if req.MaxDailyHours != nil && positive(n.MaxDailyHours) != nil {
		return n, money.ErrNotPositive
	}
	return n, positive(n.Hours)
}

func (f *faults) terms(req *wire.CreatePledgeRequest) providers.Terms {
	t := providers.Terms{
		Datacenter: f.optionalText("datacenter", req.Datacenter, maxShortText), Remedy: f.optionalText("remedy", req.Remedy, maxLongText),
		Encumbrance:    f.optionalText("encumbrance", req.Encumbrance, maxLongText),
		MaxConcurrency: f.optionalNumber("max_concurrency", req.MaxConcurrency, 1, maxGPUs),
		NoticeHours:    f.optionalNumber("notice_hours", req.NoticeHours, 0, maxNoticeHours),
	}
	if req.Firmness != nil {
		if t.Firmness = providers.Firmness(*req.Firmness); !req.Firmness.Valid() {
			f.invalidValue("firmness")
		}
	}
	if h := req.Hardware; h != nil {
		t.Hardware = providers.Hardware{
			FormFactor:   f.optionalText("hardware.form_factor", h.FormFactor, maxShortText),
			Interconnect: f.optionalText("hardware.interconnect", h.Interconnect, maxLinkText),
			NodeSize:     f.optionalNumber("hardware.node_size", h.NodeSize, 1, maxNodeSize),
		}
		if h.MemoryGb != nil {
			t.Hardware.MemoryGB = decimal.NewNullDecimal(f.rate("hardware.memory_gb", *h.MemoryGb, memoryForm))
		}
	}
	return t
}

// optionalNumber returns 0 for a field that is not there.
func (f *faults) optionalNumber(field string, n *int, least, most int) int {
	if n == nil {
		return 0
	}
	if *n < least || *n > most {
		f.add(field, "out_of_range", "The number must be from "+strconv.Itoa(least)+" to "+strconv.Itoa(most)+".")
	}
	return *n
}

func (f *faults) curve(windows []wire.DeliveryWindow) []providers.Window {
	if windows == nil {
		return nil
	}
	if len(windows) == 0 || len(windows) > providers.MaxWindows {
		f.add("delivery_curve", "out_of_range", "A delivery curve has from 1 to 1,000 windows.")
		return nil
	}
	curve := make([]providers.Window, len(windows))
	for i, w := range windows {
		field := "delivery_curve[" + strconv.Itoa(i) + "]."
		curve[i] = providers.Window{
			StartsAt: f.time(field+"start", w.Start), EndsAt: f.time(field+"end", w.End), GPUs: f.optionalNumber(field+"gpus", &w.Gpus, 1, maxGPUs),
		}
	}
	return curve
}

func encodePledge(p providers.Pledge) wire.Pledge {
	return wire.Pledge{
		ID: id.Format(id.Pledge, p.ID), ProviderID: id.Format(id.Provider, p.ProviderID), Status: wire.PledgeStatus(p.Status),
		GPUClass: p.GPUClass, Hours: hoursText(p.Hours), Region: p.Region, StartsAt: p.StartsAt.UTC(), ExpiresAt: p.ExpiresAt.UTC(),
		Datacenter: textOrNull(p.Datacenter), Hardware: encodeHardware(p.Hardware), Firmness: wire.Firmness(p.Firmness),
		DeliveryCurve: encodeWindows(p.Windows), MaxConcurrency: countOrNull(p.MaxConcurrency), MaxDailyHours: hoursOrNull(p.MaxDailyHours),
		NoticeHours: p.NoticeHours, SLAPercent: asWritten(p.SLAPercent), Remedy: textOrNull(p.Remedy),
		DocumentSha256: textOrNull(p.DocumentSHA256), Encumbrance: textOrNull(p.Encumbrance), Signature: base64OrNull(p.Signature), SignedWith: base64OrNull(p.SignedWith), Haircut: asWritten(p.Haircut),
		AvailableHours: hoursText(p.Balances.Available), BackingHours: hoursText(p.Balances.Backing),
		EarmarkedHours: hoursText(p.Balances.Earmarked), DeliveredHours: hoursText(p.Balances.Delivered),
		ExpiredHours: hoursText(p.Balances.Expired), ReleasedHours: hoursText(p.Balances.Released), Shortfall: encodeShortfall(p.Shortfall),
		Metadata: p.Metadata, RejectReason: textOrNull(p.RejectReason), CreatedBy: actorOf(&p, p.CreatedBy), VerifiedBy: verifierOf(&p),
		VerifiedAt: timeOrNull(p.VerifiedAt), CreatedAt: p.CreatedAt.UTC(),
	}
}

// actorOf names who did something with a pledge: its provider, or an operator.
func actorOf(p *providers.Pledge, principal uuid.UUID) string {
	if principal == p.ProviderID {
		return id.Format(id.Provider, principal)
	}
	return id.Format(id.Principal, principal)
}

// verifierOf is null until a pledge is verified.
func verifierOf(p *providers.Pledge) *string {
	return idOrNull(id.Principal, p.VerifiedBy)
}

// base64OrNull is null for no bytes.
func base64OrNull(b []byte) *string {
	if b == nil {
		return nil
	}
	text := base64.StdEncoding.EncodeToString(b)
	return &text
}

func encodeHardware(h providers.Hardware) wire.Hardware {
	return wire.Hardware{
		FormFactor: textOrNull(h.FormFactor), MemoryGb: asWritten(h.MemoryGB), Interconnect: textOrNull(h.Interconnect),
		NodeSize: countOrNull(h.NodeSize),
	}
}

// encodeWindows leaves the curve out where it was not read.
func encodeWindows(windows []providers.Window) []wire.PledgeWindow {
	curve := make([]wire.PledgeWindow, len(windows))
	for i, w := range windows {
		curve[i] = wire.PledgeWindow{Start: w.StartsAt.UTC(), End: w.EndsAt.UTC(), Gpus: countOrNull(w.GPUs), Hours: hoursText(w.Hours)}
	}
	return curve
}

func encodeShortfall(s providers.Shortfall) *wire.Shortfall {
	if s.Hours == 0 {
		return nil
	}
	return &wire.Shortfall{Hours: hoursText(s.Hours), Sch: s.SCH.Shift(-money.MaxScale).StringFixed(money.MaxScale)}
}

func hoursText(minor int64) string { return money.Format(minor, money.MaxScale) }

// hoursOrNull is null for no hours.
func hoursOrNull(minor int64) *string {
	if minor == 0 {
		return nil
	}
	text := hoursText(minor)
	return &text
}

// countOrNull is null for 0.
func countOrNull(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}
