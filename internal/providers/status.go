package providers

import "slices"

// ProviderStatus says whether a provider may act.
type ProviderStatus string

// The statuses of a provider. A suspended provider's keys do not work.
const (
	ProviderActive    ProviderStatus = "active"
	ProviderSuspended ProviderStatus = "suspended"
)

// PledgeStatus says how far a pledge has come.
type PledgeStatus string

// The statuses of a pledge. It is pending until an operator verifies or rejects it.
const (
	PledgePending  PledgeStatus = "pending"
	PledgeActive   PledgeStatus = "active"
	PledgeRejected PledgeStatus = "rejected"
	// PledgeExhausted is a pledge of which all hours that were not released are delivered.
	PledgeExhausted PledgeStatus = "exhausted"
	// PledgeExpired is a pledge whose last hours lapsed, none of them behind tokens.
	PledgeExpired PledgeStatus = "expired"
	// PledgeDefaulted is a pledge of which hours behind tokens lapsed. Nothing is minted against it any more; what it still has
	// can be redeemed, or replaced, until that lapses too.
	PledgeDefaulted PledgeStatus = "defaulted"
	// PledgeReleased is a pledge whose last hours the provider took back.
	PledgeReleased PledgeStatus = "released"
)

// transitions has, by status, those that may follow it. The trigger pledges_change_status_by_the_rules has the same table.
var transitions = map[PledgeStatus][]PledgeStatus{
	PledgePending: {PledgeActive, PledgeRejected},
	PledgeActive:  {PledgeExhausted, PledgeExpired, PledgeDefaulted, PledgeReleased},
	// Hours come back that were said to be delivered and were not.
	PledgeExhausted: {PledgeActive},
	PledgeExpired:   {PledgeActive},
	PledgeReleased:  {PledgeActive},
}

// MayBecome tells whether a pledge of status s may pass to another.
func (s PledgeStatus) MayBecome(to PledgeStatus) bool {
	return slices.Contains(transitions[s], to)
}

// live tells whether hours of a pledge may still be behind tokens.
func (s PledgeStatus) live() bool { return s == PledgeActive || s == PledgeDefaulted }
