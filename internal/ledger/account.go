package ledger

import (
	"time"

	"github.com/google/uuid"
)

// AccountKind says what an account is for.
type AccountKind string

// The kinds of account.
const (
	// AccountHolder is a holder's own.
	AccountHolder AccountKind = "holder"
	// AccountHold and AccountEscrow belong to a holder's account: what is on hold, and what is being redeemed.
	AccountHold   AccountKind = "hold"
	AccountEscrow AccountKind = "escrow"
	// AccountIssuance is a provider's contra account: what it issued, less what it burned, is below zero there.
	AccountIssuance AccountKind = "issuance"
	// AccountRounding keeps what rounding leaves, one per asset.
	AccountRounding AccountKind = "rounding"
	// The accounts of a pledge. Commitment is a contra account: what the provider owes under the pledge.
	AccountCommitment AccountKind = "pledge_commitment"
	AccountAvailable  AccountKind = "pledge_available"
	AccountBacking    AccountKind = "pledge_backing"
	AccountEarmarked  AccountKind = "pledge_earmarked"
	AccountDelivered  AccountKind = "pledge_delivered"
	AccountExpired    AccountKind = "pledge_expired"
	AccountReleased   AccountKind = "pledge_released"
)

// AccountStatus says what may be done with an account.
type AccountStatus string

// The statuses of an account. A closed account is empty and stays closed.
const (
	AccountOpen   AccountStatus = "open"
	AccountFrozen AccountStatus = "frozen"
	AccountClosed AccountStatus = "closed"
)

// Account is an account as it is now, or, from a question about the past, as it was.
type Account struct {
	ID         uuid.UUID
	Asset      string
	Kind       AccountKind
	HolderID   uuid.UUID
	ProviderID uuid.UUID
	PledgeID   uuid.UUID
	ParentID   uuid.UUID
	Name       string
	// Metadata is a JSON object, or nil.
	Metadata []byte
	Status   AccountStatus
	// Balance is in minor units of the asset, and Held what of it lies in the account's hold account.
	Balance, Held int64
	// Version counts the postings that touched the account.
	Version   int64
	CreatedAt time.Time
}
