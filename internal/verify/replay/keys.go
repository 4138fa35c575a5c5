package replay

import "slices"

// key takes what becomes of a key. A provider has one at a time, and one that has ended never counts again. Keys of the log are told for the record: the one that
// counts is the one by which its reader knows the log.
func (l *Ledger) key() error {
	k := &l.e.Key
	if k.OfLog {
		return nil
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
