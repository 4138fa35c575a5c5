package access

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

// MaxOverlap is the longest time for which a rotated key may go on working beside its successor.
const MaxOverlap = 30 * 24 * time.Hour

// Key is an API key without its secret.
type Key struct {
	ID          uuid.UUID
	PrincipalID uuid.UUID
	Role        Role
	// HolderID and ProviderID are zero unless the role is theirs.
	HolderID, ProviderID uuid.UUID
	Name                 string
	// Prefix is the key's first 16 characters.
	Prefix    string
	CreatedAt time.Time
	// ExpiresAt, RevokedAt and LastUsedAt are nil until they are known. LastUsedAt lags by some seconds.
	ExpiresAt, RevokedAt, LastUsedAt *time.Time
	// ReplacedBy is the key that RotateKey made in place of this one, or zero.
	ReplacedBy uuid.UUID
	// CreatedBy is the principal who asked for it over the API, or zero for one that was made on the machine that runs the database.
	CreatedBy uuid.UUID
}

// NewKey says which key to make.
type NewKey struct {
	Role Role
	// HolderID must be set for RoleHolder, ProviderID for RoleProvider, and neither for the others.
	HolderID, ProviderID uuid.UUID
	// Name is for people, 1 to 200 characters.
	Name string
	// ExpiresAt is nil for a key that lives until it is revoked.
	ExpiresAt *time.Time
	// MadeBy is the operator who asks for it, or zero on the machine that runs the database. An operator's key is of the principal of
	// the operator who asks: nobody makes another operator of themselves.
	MadeBy uuid.UUID
}

// Rotation says how to replace a key.
type Rotation struct {
	KeyID uuid.UUID
	// Overlap is how long the old key goes on working, zero to MaxOverlap.
	Overlap time.Duration
	// ExpiresAt is the end of the new key, or nil for none.
	ExpiresAt *time.Time
	// MadeBy is as in NewKey. An operator obtains no successor of another operator's key.
	MadeBy uuid.UUID
}

// Store keeps holders and keys in Postgres. It is safe for concurrent use.
type Store struct {
	db     *pgxpool.Pool
	random io.Reader
	now    func() time.Time
}

// NewStore returns a store on db, which stays the caller's to close.
func NewStore(db *pgxpool.Pool) *Store {
	return &Store{db: db, random: systemRandom, now: time.Now}
}

// CreateKey makes a key in a transaction of its own; see CreateKeyTx.
func (s *Store) CreateKey(ctx context.Context, k NewKey) (key Key, secret string, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		key, secret, err = s.CreateKeyTx(ctx, tx, k)
		return err
	})
	return key, secret, err
}

// CreateKeyTx makes a key and returns it with its secret, which nobody can read again. It returns an [*InvalidError]
// for a key that may not be, and ErrNotFound when there is no such holder or provider.
func (s *Store) CreateKeyTx(ctx context.Context, tx pgx.Tx, k NewKey) (Key, string, error) {
	if err := k.check(s.now()); err != nil {
		return Key{}, "", err
	}
	return s.insertSecret(ctx, tx, Key{
		ID: id.New(), PrincipalID: k.principal(), Role: k.Role, HolderID: k.HolderID, ProviderID: k.ProviderID,
		Name: k.Name, ExpiresAt: k.ExpiresAt, CreatedBy: k.MadeBy,
	})
}

// principal returns the owner's id, that of the operator who makes themselves another key, or a new one.
func (k NewKey) principal() uuid.UUID {
	switch {
	case k.Role == RoleHolder:
		return k.HolderID
	case k.Role == RoleProvider:
		return k.ProviderID
	case k.Role == RoleOperator && k.MadeBy != uuid.Nil:
		return k.MadeBy
	default:
		return id.New()
	}
}

func (k NewKey) check(now time.Time) error {
	switch {
	case !k.Role.Valid():
		return &InvalidError{"role", "unknown_role", "The role is not one of operator, provider, holder, finance, auditor."}
	case (k.Role == RoleHolder) != (k.HolderID != uuid.Nil):
		return &InvalidError{"holder_id", "role_mismatch", "A holder is named for the role holder, and for no other."}
	case (k.Role == RoleProvider) != (k.ProviderID != uuid.Nil):
		return &InvalidError{"provider_id", "role_mismatch", "A provider is named for the role provider, and for no other."}
	}
	if err := checkText("name", k.Name, maxNameRunes); err != nil {
		return err
	}
	return checkEnd(k.ExpiresAt, now)
}

func checkEnd(expiresAt *time.Time, now time.Time) error {
	if expiresAt != nil && !expiresAt.After(now) {
		return &InvalidError{"expires_at", "in_the_past", "The key would already have expired."}
	}
	return nil
}

func (s *Store) insertSecret(ctx context.Context, tx pgx.Tx, k Key) (Key, string, error) {
	secret, err := newSecret(s.random)
	if err != nil {
		return Key{}, "", fmt.Errorf("access: draw a key: %w", err)
	}
	hash := hashOf(secret)
	k.Prefix = secret[:PrefixLen]
	k, err = insertKey(ctx, tx, k, hash[:])
	return k, secret, err
}

// RotateKey replaces a key in a transaction of its own; see RotateKeyTx.
func (s *Store) RotateKey(ctx context.Context, r Rotation) (key Key, secret string, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		key, secret, err = s.RotateKeyTx(ctx, tx, r)
		return err
	})
	return key, secret, err
}

// RotateKeyTx makes a new key for the same principal, with the same role and name, and ends the old one after the
// overlap, or earlier if it expires earlier. It returns ErrNotFound, ErrOthersKey for the key of another operator, ErrConflict for a key that is dead or
// has been replaced, and an [*InvalidError] for a bad overlap or end.
func (s *Store) RotateKeyTx(ctx context.Context, tx pgx.Tx, r Rotation) (Key, string, error) {
	now := s.now()
	if r.Overlap < 0 || r.Overlap > MaxOverlap {
		return Key{}, "", &InvalidError{"overlap_seconds", "out_of_range", "The overlap is zero to thirty days."}
	}
	if err := checkEnd(r.ExpiresAt, now); err != nil {
		return Key{}, "", err
	}
	old, err := lockKey(ctx, tx, r.KeyID)
	if err != nil {
		return Key{}, "", err
	}
	if old.Role == RoleOperator && r.MadeBy != uuid.Nil && r.MadeBy != old.PrincipalID {
		return Key{}, "", ErrOthersKey
	}
	if old.Status(now) != KeyActive || old.ReplacedBy != uuid.Nil {
		return Key{}, "", ErrConflict
	}
	next, secret, err := s.insertSecret(ctx, tx, old.successor(r))
	if err != nil {
		return Key{}, "", err
	}
	return next, secret, replaceKey(ctx, tx, old.ID, next.ID, earliest(old.ExpiresAt, now.Add(r.Overlap)))
}

// KeyStatus says whether a key works.
type KeyStatus string

// The statuses of keys. Nothing leads back to KeyActive.
const (
	KeyActive  KeyStatus = "active"
	KeyExpired KeyStatus = "expired"
	KeyRevoked KeyStatus = "revoked"
)

// Status returns whether the key works at the time now.
func (k Key) Status(now time.Time) KeyStatus {
	switch {
	case k.RevokedAt != nil:
		return KeyRevoked
	case k.ExpiresAt != nil && !k.ExpiresAt.After(now):
		return KeyExpired
	default:
		return KeyActive
	}
}

func (k Key) successor(r Rotation) Key {
	return Key{
		ID: id.New(), PrincipalID: k.PrincipalID, Role: k.Role, HolderID: k.HolderID, ProviderID: k.ProviderID,
		Name: k.Name, ExpiresAt: r.ExpiresAt, CreatedBy: r.MadeBy,
	}
}

func earliest(a *time.Time, b time.Time) time.Time {
	if a != nil && a.Before(b) {
		return *a
	}
	return b
}

// RevokeKey ends a key in a transaction of its own; see RevokeKeyTx.
func (s *Store) RevokeKey(ctx context.Context, keyID uuid.UUID) (key Key, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		key, err = s.RevokeKeyTx(ctx, tx, keyID)
		return err
	})
	return key, err
}

// RevokeKeyTx ends a key for good: within a second of the commit, no process accepts it. Revoking a revoked key changes
// nothing and succeeds. It returns ErrNotFound when there is no such key.
func (s *Store) RevokeKeyTx(ctx context.Context, tx pgx.Tx, keyID uuid.UUID) (Key, error) {
	return revokeKey(ctx, tx, keyID)
}

// GetKey returns a key, or ErrNotFound.
func (s *Store) GetKey(ctx context.Context, keyID uuid.UUID) (Key, error) {
	return getKey(ctx, s.db, keyID)
}

// ListKeys returns up to limit keys, newest first, that are older than the key named by before; uuid.Nil starts at the newest.
func (s *Store) ListKeys(ctx context.Context, before uuid.UUID, limit int) ([]Key, error) {
	return listKeys(ctx, s.db, before, limit)
}

func (s *Store) inTx(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pg.InTx(ctx, s.db, pgx.TxOptions{}, fn)
}
