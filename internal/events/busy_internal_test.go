package events

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// However many goroutines send, all of a process's together keep to the rate while it is busy, and wait for nothing while it is not.
func TestCouriersKeepToTheRateTogether(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := &Courier{Busy: func() bool { return busy }}
			began := time.Now()
			var couriers sync.WaitGroup
			for range 4 {
				couriers.Go(func() {
					for range 5 {
						c.giveWay(t.Context(), busyBatch)
					}
				})
			}
			couriers.Wait()
			want := time.Duration(0)
			if busy {
				want = 4 * 5 * busyBatch * time.Second / BusyRate
			}
			if took := time.Since(began); took != want {
				t.Errorf("busy %v: 20 batches took %s, want %s", busy, took, want)
			}
		})
	}
}
