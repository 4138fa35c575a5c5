package access

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
)

const (
	maxNameRunes        = 200
	maxExternalRefRunes = 255
	maxMetadataEntries  = 50
	maxMetadataBytes    = 4 << 10
)

// HolderStatus says whether a holder may act.
type HolderStatus string

// The statuses. The keys of a holder who is suspended do not work; one who was erased has none any more, and no name.
const (
	HolderActive    HolderStatus = "active"
	HolderSuspended HolderStatus = "suspended"
	HolderErased    HolderStatus = "erased"
)

// Holder is somebody who can own accounts.
type Holder struct {
	ID   uuid.UUID
	Name string
	// ExternalRef is the operator's own name for the holder, unique if not empty.
	ExternalRef string
	Metadata    map[string]string
	Status      HolderStatus
	CreatedAt   time.Time
	// ErasedAt is nil unless they were erased.
	ErasedAt *time.Time
}

// NewHolder says which holder to make.
type NewHolder struct {
	// Name is 1 to 200 characters.
	Name string
	// ExternalRef is empty, or up to 255 characters that no other holder has.
	ExternalRef string
	// Metadata is up to 50 entries and 4 KiB in all.
	Metadata map[string]string
}

// CreateHolder makes a holder in a transaction of its own; see CreateHolderTx.
func (s *Store) CreateHolder(ctx context.Context, h NewHolder) (holder Holder, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		holder, err = s.CreateHolderTx(ctx, tx, h)
		return err
	})
	return holder, err
}

// CreateHolderTx makes a holder. It returns an [*InvalidError] for one that may not be, and ErrConflict when another
// has the same external reference; the transaction is then aborted.
func (s *Store) CreateHolderTx(ctx context.Context, tx pgx.Tx, h NewHolder) (Holder, error) {
	if err := h.check(); err != nil {
		return Holder{}, err
	}
	return insertHolder(ctx, tx, id.New(), h)
}

// GetHolder returns a holder, or ErrNotFound.
func (s *Store) GetHolder(ctx context.Context, holderID uuid.UUID) (Holder, error) {
	return getHolder(ctx, s.db, holderID)
}

// ListHolders returns up to limit holders, newest first, that are older than the one named by before; uuid.Nil starts at
// the newest.
func (s *Store) ListHolders(ctx context.Context, before uuid.UUID, limit int) ([]Holder, error) {
	return listHolders(ctx, s.db, before, limit)
}

func (h NewHolder) check() error {
	if err := checkText("name", h.Name, maxNameRunes); err != nil {
		return err
	}
	if h.ExternalRef != "" {
		if err := checkText("external_ref", h.ExternalRef, maxExternalRefRunes); err != nil {
			return err
		}
	}
	return checkMetadata(h.Metadata)
}

func checkMetadata(metadata map[string]string) error {
	if len(metadata) > maxMetadataEntries {
		return &InvalidError{"metadata", "too_many_entries", "Metadata has at most 50 entries."}
	}
	size := 0
	for k, v := range metadata {
		size += len(k) + len(v)
	}
	if size > maxMetadataBytes {
		return &InvalidError{"metadata", "too_large", "Metadata is at most 4 KiB in all."}
	}
	return nil
}

// checkText refuses what nobody could read back: nothing, too much, or control characters.
func checkText(field, text string, maxRunes int) error {
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return &InvalidError{field, "required", "The text is empty."}
	case n > maxRunes:
		return &InvalidError{field, "too_long", "The text is too long."}
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return &InvalidError{field, "control_character", "The text holds a control character."}
		}
	}
	return nil
}
