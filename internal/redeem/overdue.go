package redeem

// OnDelay is what a holder wants done with a redemption that its provider is late with.
type OnDelay string

// What a holder may want. Nothing is done before the provider is late, nor ever while something may have been granted.
const (
	// Wait: it stays with the provider.
	Wait OnDelay = "wait"
	// Refund: the tokens come back.
	Refund OnDelay = "refund"
	// Reroute: another provider is asked for hours of the same class, and where none has them, the tokens come back.
	Reroute OnDelay = "reroute"
)
