package redeem

import (
	"errors"
	"testing"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// inOneGroup submits requests so that one group decides them all, each as it was planned before any took effect.
func (s *scene) inOneGroup(t *testing.T, asks ...NewRedemption) []ledger.Verdict {
	t.Helper()
	commands := make([]*ledger.Command, len(asks))
	for i := range asks {
		if err := s.takeQuote(t.Context(), &asks[i]); err != nil {
			t.Fatal(err)
		}
		there, err := s.capacity(t.Context(), &asks[i])
		if err != nil {
			t.Fatal(err)
		}
		commands[i] = asks[i].command(s.escrow(t), there)
	}
	return s.books.SubmitAtomic(t.Context(), commands...)
}

// Hours that a quote kept are taken once it is used: whoever is decided after it in the same group has all that is left.
func TestAUsedQuoteKeepsNothingFromTheRestOfItsGroup(t *testing.T) {
	t.Parallel()
	s := newScene(t, 21*hour)
	s.request(t, hour) // So that there is an escrow account.
	for i, v := range s.inOneGroup(t, s.byQuote(s.quote(t, 10*hour)), s.ask(10*hour)) {
		if v.Err != nil {
			t.Errorf("request %d of the group: %v", i, v.Err)
		}
	}
	s.expect(t, 0, 21, 21, 0, 21, 0)
	s.proveBooks(t)
}

// And nobody after it uses the same quote again, though the table does not tell yet that it was used.
func TestAQuoteIsUsedOnceInAGroup(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	s.request(t, hour)
	q := s.quote(t, 10*hour)
	verdicts := s.inOneGroup(t, s.byQuote(q), s.byQuote(q))
	if !errors.Is(verdicts[0].Err, ledger.ErrBatchAborted) || !errors.Is(verdicts[1].Err, ErrQuoteUsed) {
		t.Errorf("the two have %v and %v", verdicts[0].Err, verdicts[1].Err)
	}
	s.expect(t, 99, 1, 100, 99, 1, 0)
	s.proveBooks(t)
}
