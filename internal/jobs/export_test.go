package jobs

import "time"

// Quick returns options for tests: what is enqueued is begun at once, and what failed or was killed is tried again at once.
func Quick(o Options) Options {
	o.tempo = tempo{
		poll: 100 * time.Millisecond, timeout: 2 * time.Second, rescueAfter: 2 * time.Second,
		backoff: func(time.Duration, int) time.Duration { return 50 * time.Millisecond }, prompt: true,
	}
	return o
}

// Patient is Quick for runs that take their time.
func Patient(o Options) Options {
	o = Quick(o)
	o.tempo.timeout, o.tempo.rescueAfter = sweepTimeout, rescueAfter
	return o
}

// Backoff is how long to wait after so many failures of a job of a period.
func Backoff(every time.Duration, failed int) time.Duration { return backoff(every, failed) }

// NextPeriod is when the first period begins after a time, seen from now.
func NextPeriod(every time.Duration, after, now time.Time) time.Time {
	return schedule{every, func() time.Time { return now }}.Next(after)
}
