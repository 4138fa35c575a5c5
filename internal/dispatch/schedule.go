package dispatch

import (
	"math/rand/v2"
	"time"
)

// Schedule is the pauses between attempts: before the second, the third and so on. After the last one there are no more.
type Schedule []time.Duration

// The pauses that the Standard Webhooks specification suggests: about three days in all. Asking begins sooner, since while nobody knows what
// became of a redemption, nobody can do anything about it.
var (
	DefaultSends   = Schedule{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
	DefaultQueries = append(Schedule{2 * time.Second, 5 * time.Second, 30 * time.Second}, DefaultSends[1:]...)
)

// acceptedPatience is how long a provider that accepted has to call before it is asked.
const acceptedPatience = 5 * time.Minute

// gonePatience is how soon what found its endpoint gone goes on where the provider has another.
const gonePatience = 30 * time.Second

// maxRetryAfter bounds what a provider may wish for.
const maxRetryAfter = 24 * time.Hour

// after returns the pause after so many attempts, at least one, that came to nothing, and false where no attempt is left.
func (s Schedule) after(attempts int) (time.Duration, bool) {
	if attempts > len(s) {
		return 0, false
	}
	return s[max(attempts, 1)-1], true
}

// jittered spreads what failed together by a quarter to either side.
func jittered(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1) //nolint:gosec // Jitter is no secret.
}
