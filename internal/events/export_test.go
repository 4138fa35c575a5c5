package events

import "time"

// SetPatience makes a courier less patient, so that a test need not wait.
func (c *Courier) SetPatience(d time.Duration) { c.patience = d }
