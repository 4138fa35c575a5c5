package anchor

import "github.com/ballast-compute/ballast/internal/pg"

// Committed returns what it means that the transaction of an announcement was refused at COMMIT, where the guards of the database look
// last: an [*InvalidError] where the time had come too near by then, ErrClassSunset or ErrReferenceSunset where the reference and the
// sunset of its class were announced at the same moment. Any other error, and nil, it returns as they are.
func Committed(err error) error {
	switch pg.ConstraintName(err) {
	case "epochs_are_announced_ahead":
		return &InvalidError{"effective_at", "too_soon", "The time had come too near when the epoch was to be published."}
	case "class_sunsets_are_announced_ahead":
		return &InvalidError{"no_mints_from", "too_soon", "The time had come too near when the sunset was to be announced."}
	case "epochs_have_a_reference_that_stays":
		return ErrClassSunset
	case "class_sunsets_spare_the_reference":
		return ErrReferenceSunset
	}
	return err
}
