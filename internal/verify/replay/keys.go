package replay

import (
	"slices"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// key takes what becomes of a key. A provider has one at a time, and one that has ended never counts again.
func (l *Ledger) key() error {
	k := &l.e.Key
	if k.OfLog {
		return l.logKey(k)
	}
	p := l.provider(k.Provider)
	switch {
	case k.Revoked && (!p.signs || p.key != k.PublicKey):
		return l.broken("key", "a key ends that was not registered")
	case k.Revoked:
		p.signs, p.ended = false, append(p.ended, k.PublicKey)
		return nil
	case p.signs:
		return l.broken("key", "a key begins while one of its provider is registered already")
	case slices.Contains(p.ended, k.PublicKey):
		return l.broken("key", "a key begins again that has ended")
	}
	p.signs, p.key = true, k.PublicKey
	return nil
}

// logKey keeps which keys the log says to sign with. Which one counts, its reader knows from elsewhere; but none signs that was revoked.
func (l *Ledger) logKey(k *entry.Key) error {
	ended, was := l.logKeys[k.PublicKey]
	switch {
	case k.Revoked && (!was || ended != none):
		return l.broken("key", "a key of the log ends that it does not have")
	case !k.Revoked && was:
		return l.broken("key", "a key of the log begins twice")
	}
	if l.logKeys[k.PublicKey] = none; k.Revoked {
		l.logKeys[k.PublicKey] = int64(l.index) //nolint:gosec // no log has 2^63 entries
	}
	return nil
}

// LogKeyRevoked returns the entry by which the log revoked a key of its own, if there is one.
func (l *Ledger) LogKeyRevoked(key [32]byte) (index uint64, revoked bool) {
	ended, was := l.logKeys[key]
	return uint64(max(ended, 0)), was && ended != none
}
