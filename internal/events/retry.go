package events

import (
	"math/rand/v2"
	"time"
)

// pauses are between the tries of a delivery, as Standard Webhooks suggests: the last is begun a little more than three days after the
// first, and then it is given up.
var pauses = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// givenUpAfter is how long an endpoint must have failed before it is disabled when a delivery is given up.
const givenUpAfter = 72 * time.Hour

// pauseAfter returns how long to wait after so many tries have failed, up to a fifth more or less, and whether to try again at all.
func pauseAfter(tries int) (time.Duration, bool) {
	if tries > len(pauses) {
		return 0, false
	}
	pause := pauses[tries-1]
	return pause - pause/5 + rand.N(2*pause/5), true //nolint:gosec // Jitter is no secret.
}
