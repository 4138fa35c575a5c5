package anchor

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

// SunsetStatus says how far a sunset has come.
type SunsetStatus string

// The statuses of a sunset. One operator proposes it, and another announces it by approving it; what is announced stays.
const (
	SunsetProposed  SunsetStatus = "proposed"
	SunsetAnnounced SunsetStatus = "announced"
	SunsetWithdrawn SunsetStatus = "withdrawn"
)

// Sunset is the end of a GPU class: no more of it is pledged once that is announced.
type Sunset struct {
	ID       uuid.UUID
	GPUClass string
	Status   SunsetStatus
	// NoMintsFrom is from when nothing is minted against it, and SunsetAt when its hours are worth nothing any more: they are
	// substituted before that.
	NoMintsFrom, SunsetAt time.Time
	Reason                string
	// The principals who did it, and when, as far as it has come. Approving it announces it.
	Proposed, Approved, Withdrawn Signature
}

// NewSunset asks for a class to come to its end.
type NewSunset struct {
	By                    uuid.UUID
	GPUClass              string
	NoMintsFrom, SunsetAt time.Time
	// Reason is up to 500 characters, for those who hold what the class backs.
	Reason string
	Policy EpochPolicy
}

const maxReasonRunes = 500

// ProposeSunsetTx proposes the sunset of a class. It returns ErrNoClass, an [*InvalidError] for a time that is too soon or
// a reason that is empty or too long, ErrSunsetStatus where one is proposed or announced, and ErrReferenceSunset.
func ProposeSunsetTx(ctx context.Context, tx pgx.Tx, n NewSunset) (Sunset, error) {
	if runes := utf8.RuneCountInString(n.Reason); runes == 0 || runes > maxReasonRunes {
		return Sunset{}, &InvalidError{"reason", "invalid", "A reason has from 1 to 500 characters."}
	}
	known, err := IsClass(ctx, tx, n.GPUClass)
	if err != nil {
		return Sunset{}, err
	}
	if !known {
		return Sunset{}, ErrNoClass
	}
	s := Sunset{ID: id.New(), GPUClass: n.GPUClass, NoMintsFrom: n.NoMintsFrom, SunsetAt: n.SunsetAt, Reason: n.Reason, Proposed: Signature{By: n.By}}
	if err := s.check(ctx, tx, n.Policy); err != nil {
		return Sunset{}, err
	}
	if err := insertSunset(ctx, tx, &s); err != nil {
		return Sunset{}, err
	}
	return selectSunset(ctx, tx, sunsetByIDSQL, s.ID)
}

// check refuses a sunset of which too little notice would be given now.
func (s *Sunset) check(ctx context.Context, tx pgx.Tx, p EpochPolicy) error {
	now, err := domainNow(ctx, tx)
	if err != nil {
		return err
	}
	switch {
	case s.NoMintsFrom.Before(now.Add(p.notice())):
		return &InvalidError{"no_mints_from", "too_soon", "The end of mints is announced " + p.notice().String() + " ahead or longer."}
	case s.SunsetAt.Before(now.Add(p.SunsetNotice)):
		return &InvalidError{"sunset_at", "too_soon", "A sunset is announced " + p.SunsetNotice.String() + " ahead or longer."}
	case s.SunsetAt.Before(s.NoMintsFrom):
		return &InvalidError{"sunset_at", "too_soon", "The sunset is not before the end of mints."}
	}
	last, err := selectEpoch(ctx, tx, ErrNoEpoch, lastSQL)
	if err == nil && last.ReferenceClass == s.GPUClass {
		err = ErrReferenceSunset
	}
	return err
}

// ApproveSunsetTx announces a sunset, as another operator than the one who proposed it. One that is announced already stays as it is.
// It returns the sunset, or ErrSunsetNotFound, ErrSamePerson, ErrSunsetStatus for one that was withdrawn, ErrReferenceSunset, or an
// [*InvalidError] if the times have come too near since it was proposed.
func ApproveSunsetTx(ctx context.Context, tx pgx.Tx, class string, sunset, by uuid.UUID, p EpochPolicy) (Sunset, error) {
	s, err := lockSunset(ctx, tx, class, sunset)
	switch {
	case err != nil:
		return Sunset{}, err
	case s.Proposed.By == by:
		return Sunset{}, ErrSamePerson
	case s.Status == SunsetAnnounced:
		return s, nil
	case s.Status != SunsetProposed:
		return Sunset{}, ErrSunsetStatus
	}
	if err := s.check(ctx, tx, p); err != nil {
		return Sunset{}, err
	}
	if err := signDraft(ctx, tx, announceSunsetSQL, sunset, by); err != nil {
		return Sunset{}, err
	}
	return selectSunset(ctx, tx, sunsetByIDSQL, sunset)
}

// WithdrawSunsetTx ends a proposal. One that is withdrawn already stays as it is. It returns the sunset, or ErrSunsetNotFound, or
// ErrSunsetStatus for one that was announced.
func WithdrawSunsetTx(ctx context.Context, tx pgx.Tx, class string, sunset, by uuid.UUID) (Sunset, error) {
	s, err := lockSunset(ctx, tx, class, sunset)
	switch {
	case err != nil:
		return Sunset{}, err
	case s.Status == SunsetWithdrawn:
		return s, nil
	case s.Status != SunsetProposed:
		return Sunset{}, ErrSunsetStatus
	}
	if err := signDraft(ctx, tx, withdrawSunsetSQL, sunset, by); err != nil {
		return Sunset{}, err
	}
	return selectSunset(ctx, tx, sunsetByIDSQL, sunset)
}

// SunsetsTx returns the sunsets that are announced, by class. The SQL function class_sunset_at says the same of one class.
func SunsetsTx(ctx context.Context, db ledger.Querier) (map[string]Sunset, error) {
	announced, err := selectSunsets(ctx, db)
	if err != nil {
		return nil, err
	}
	byClass := make(map[string]Sunset, len(announced))
	for _, s := range announced {
		byClass[s.GPUClass] = s
	}
	return byClass, nil
}

// SunsetOf returns the sunset of a class that is proposed or announced, or ErrSunsetNotFound.
func SunsetOf(ctx context.Context, db ledger.Querier, class string) (Sunset, error) {
	return selectSunset(ctx, db, openSunsetSQL, class)
}

// isSunsetTaken tells that another sunset of the class is proposed or announced.
func isSunsetTaken(err error) bool { return pg.IsUniqueViolation(err, "class_sunsets_class_key") }
