package leaf

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// Key is the secret of one account by which its entries can be opened. Whoever destroys it closes them for good.
type Key [32]byte

// IsZero tells that there is no key: the account is public, or its key was destroyed.
func (k *Key) IsZero() bool { return *k == Key{} }

const (
	blindDomain   = "ballast/blind/v1\n"
	accountDomain = "ballast/account/v1\n"
)

// Blind returns what hides an account's version in its commitment: SHA-256("ballast/blind/v1\n" ‖ key ‖ version). It opens that one entry and
// tells nothing of the others.
func Blind(key *Key, version int64) Hash {
	var room [len(blindDomain) + len(key) + 8]byte
	b := append(append(room[:0], blindDomain...), key[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(version))) //nolint:gosec // a version is above zero
}

// Commit returns the commitment to an account and its version: SHA-256("ballast/account/v1\n" ‖ blind ‖ account ‖ version).
func Commit(blind *Hash, account uuid.UUID, version int64) Hash {
	var room [len(accountDomain) + len(blind) + len(account) + 8]byte
	b := append(append(append(room[:0], accountDomain...), blind[:]...), account[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(version))) //nolint:gosec // as above
}

// Account is how an account stands in entries: under its public name, or, where it has none, as a commitment by its key.
type Account struct {
	ID   uuid.UUID
	Name string
	Key  Key
}

// appendAccount writes an account as it is after the posting that made this version of it.
func appendAccount(dst []byte, h *Hasher, a *Account, version int64) []byte {
	if a.Name != "" {
		dst = append(append(dst, '"'), a.Name...)
		dst = append(dst, '@')
		return append(strconv.AppendInt(dst, version, 10), '"')
	}
	commitment := h.commit(a, version)
	dst = append(dst, `"#`...)
	return append(base64.RawURLEncoding.AppendEncode(dst, commitment[:]), '"')
}
