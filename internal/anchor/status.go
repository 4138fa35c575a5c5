package anchor

import "slices"

// EpochStatus says how far an epoch has come.
type EpochStatus string

// The statuses of an epoch. The first four are steps that somebody takes; the others follow from the time.
const (
	EpochDraft EpochStatus = "draft"
	// EpochApproved is a draft that a second operator has signed.
	EpochApproved EpochStatus = "approved"
	// EpochAnnounced is published, and not in force yet.
	EpochAnnounced EpochStatus = "announced"
	// EpochWithdrawn is a draft that will not be announced.
	EpochWithdrawn EpochStatus = "withdrawn"
	// EpochEffective is in force, and EpochSuperseded was until the next one.
	EpochEffective  EpochStatus = "effective"
	EpochSuperseded EpochStatus = "superseded"
)

// transitions has, by status, those that somebody may give it next. The trigger epoch_drafts_change_status_by_the_rules has the
// same table.
var transitions = map[EpochStatus][]EpochStatus{
	EpochDraft:    {EpochApproved, EpochWithdrawn},
	EpochApproved: {EpochAnnounced, EpochWithdrawn},
}

// MayBecome tells whether somebody may bring an epoch of status s to another.
func (s EpochStatus) MayBecome(to EpochStatus) bool { return slices.Contains(transitions[s], to) }
