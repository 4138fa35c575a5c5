package redeem

import "slices"

// Status says how far a redemption has come.
type Status string

// The statuses of a redemption. It begins requested, and ends acknowledged or refunded.
const (
	// Requested: the tokens are in escrow.
	Requested Status = "requested"
	// Reserved: the hours are earmarked, and nothing has left for the provider.
	Reserved Status = "reserved"
	// Dispatched: from now on the provider may know of it, and may have granted the credits.
	Dispatched Status = "dispatched"
	// Issued: the provider has given credits, and the tokens are burned.
	Issued Status = "issued"
	// Acknowledged: the holder has the credits.
	Acknowledged Status = "acknowledged"
	// Rejected, Cancelled and Expired say why there are no credits: the provider, the holder or the time. A refund follows.
	Rejected  Status = "rejected"
	Cancelled Status = "cancelled"
	Expired   Status = "expired"
	// Refunded: the tokens are back, and the hours back tokens again.
	Refunded Status = "refunded"
	// Unknown: the provider was asked, and it is not clear what it did. Only what it says, or what two operators say, ends this.
	Unknown Status = "unknown"
)

// transitions is the one table of what a status may become. The database has it too, as redemption_transitions.
var transitions = map[Status][]Status{
	Requested:  {Reserved, Cancelled, Expired},
	Reserved:   {Dispatched, Cancelled, Expired},
	Dispatched: {Issued, Rejected, Cancelled, Expired, Unknown},
	Unknown:    {Issued, Rejected, Refunded, Dispatched},
	Issued:     {Acknowledged},
	Rejected:   {Refunded},
	Cancelled:  {Refunded},
	Expired:    {Refunded},
}

// MayBecome tells whether next may follow on s.
func (s Status) MayBecome(next Status) bool { return slices.Contains(transitions[s], next) }

// Transport is how a provider gets to know of its redemptions.
type Transport string

// The transports.
const (
	// TransportPull means that the provider polls for them.
	TransportPull Transport = "pull"
	// TransportPush means that its endpoint is called.
	TransportPush Transport = "push"
	// TransportVoucher means that it has left codes, one of which is handed out.
	TransportVoucher Transport = "voucher"
)
