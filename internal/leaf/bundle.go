package leaf

import "sync/atomic"

// Bundle is the row of the database that a group makes: its entries as AppendTo lays them out, under the seq of the first. Whoever has it only reads it.
type Bundle struct {
	Seq   int64
	Bytes []byte
	// Leaves are the hashes of the entries, in their order.
	Leaves []Hash

	kept      bool
	committed atomic.Bool
}

// Keep says that Bytes will be read after the group was sealed, so that their room is nobody else's from now on. It is for [ledger.Options.Seal] to call, and in
// vain later.
func (b *Bundle) Keep() { b.kept = true }

// Kept tells whether Keep was called. It is for the one who made the bundle, after the group was sealed.
func (b *Bundle) Kept() bool { return b.kept }

// Commit says that the database has confirmed the COMMIT of the group. It is for the one who made the bundle: where the answer was lost, or was an error, it is
// not called.
func (b *Bundle) Commit() { b.committed.Store(true) }

// Committed tells whether Commit was called. It may be asked from any goroutine.
func (b *Bundle) Committed() bool { return b.committed.Load() }
