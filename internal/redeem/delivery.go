package redeem

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// DeliveryStatus says whether redemptions are brought to a provider.
type DeliveryStatus string

// The statuses of a delivery. A disabled one takes no new redemptions, and those under way wait.
const (
	DeliveryActive   DeliveryStatus = "active"
	DeliveryDisabled DeliveryStatus = "disabled"
)

// DefaultSLA is how long a provider's redemptions may take unless it says otherwise.
const DefaultSLA = 24 * time.Hour

// Delivery is how a provider gets to know of its redemptions.
type Delivery struct {
	ProviderID uuid.UUID
	Transport  Transport
	// Endpoint is the URL that is called; empty unless it is pushed.
	Endpoint string
	Status   DeliveryStatus
	// DisabledReason is why it is disabled, or empty.
	DisabledReason string
	// SLA is how long a redemption may take, in whole seconds.
	SLA time.Duration
	// UpdatedAt is zero for a provider that never said anything.
	UpdatedAt time.Time
	UpdatedBy uuid.UUID
}

// NewDelivery asks for redemptions to be brought to a provider in a certain way from now on.
type NewDelivery struct {
	// Caller is the principal who asks.
	Caller     uuid.UUID
	ProviderID uuid.UUID
	Transport  Transport
	// Endpoint is an absolute URL of up to 2000 characters without user or fragment, for push, and empty for the others. Whether its
	// address may be called is for who calls it to check.
	Endpoint string
	// SLA is from a minute to 30 days, in whole seconds, or zero for DefaultSLA.
	SLA time.Duration
}

// Delivery returns how a provider's redemptions are brought to it: by a queue that it polls, unless it said otherwise.
func (r *Redemptions) Delivery(ctx context.Context, provider uuid.UUID) (*Delivery, error) {
	return selectDelivery(ctx, r.pool, provider)
}

// SetDelivery changes how a provider's redemptions are brought to it, and enables them again where they were disabled. What is under way goes
// on as it began. Its errors are *[InvalidError], ErrNotFound for a provider that there is not, or the database's.
func (r *Redemptions) SetDelivery(ctx context.Context, n NewDelivery) (*Delivery, error) {
	if n.SLA == 0 {
		n.SLA = DefaultSLA
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	return upsertDelivery(ctx, r.pool, n)
}

// DisableDelivery stops redemptions at a provider whose endpoint is gone until it sets its delivery again, for a reason of up to 500 characters. A
// delivery that has another endpoint by now, or is no push any more, stays as it is. It tells whether the delivery has this endpoint and is disabled.
func (r *Redemptions) DisableDelivery(ctx context.Context, provider uuid.UUID, endpoint, reason string) (disabled bool, err error) {
	if err := checkText("reason", reason, maxReason); err != nil {
		return false, err
	}
	return disableDelivery(ctx, r.pool, provider, endpoint, reason)
}

func (n *NewDelivery) check() error {
	issuer, known := issuers[n.Transport]
	if !known {
		return &InvalidError{Field: "transport", Code: "unknown_value", Detail: "There is no such transport."}
	}
	if err := issuer.check(n); err != nil {
		return err
	}
	if n.SLA < time.Minute || n.SLA > 30*24*time.Hour || n.SLA%time.Second != 0 {
		return &InvalidError{Field: "sla_seconds", Code: "out_of_range", Detail: "It is from 60 seconds to 30 days."}
	}
	return nil
}

// maxEndpoint leaves room, within the 2,000 bytes of a URL that is called (internal/outbound), for the redemption's id by which it is asked.
const maxEndpoint = 1900

// checkEndpoint refuses what cannot be called, or says more than where to call.
func checkEndpoint(endpoint string) error {
	if err := checkText("endpoint", endpoint, maxEndpoint); err != nil {
		return err
	}
	if len(endpoint) > maxEndpoint {
		return &InvalidError{Field: "endpoint", Code: "too_long", Detail: "It is longer than 1,900 bytes."}
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return &InvalidError{Field: "endpoint", Code: "malformed", Detail: "It is no absolute https URL without user and fragment."}
	}
	return nil
}
