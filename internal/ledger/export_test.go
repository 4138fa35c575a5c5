package ledger

// Queued returns how many items are in the queue: who is counted as waiting may not be there yet.
func (l *Ledger) Queued() int { return len(l.writer.queue) }
