package redeem

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/voucher"
)

// A code for other hours than those that were decided, as after an epoch in between, is not taken.
func TestACodeIsForExactlyTheHours(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		step requestStep
		want error
	}{
		"none was looked for":            {requestStep{hours: 10}, errVoucherHours},
		"one for other hours was":        {requestStep{hours: 10, voucherHours: 9, shelf: &voucher.Shelf{}}, errVoucherHours},
		"one was looked for, and is not": {requestStep{hours: 10, voucherHours: 10, shelf: &voucher.Shelf{}}, errNoVoucher},
	} {
		if err := (voucherIssuer{}).codeOf(&tt.step); !errors.Is(err, tt.want) || tt.step.voucher != uuid.Nil {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Of what is dispatched, only what surely nobody has heard of may come back by itself; a code, its holder may know.
func TestWhatIsUnheard(t *testing.T) {
	t.Parallel()
	leased := uuid.New()
	for _, tt := range []struct {
		transport Transport
		state     state
		want      bool
	}{
		{TransportPush, state{status: Dispatched}, false},
		{TransportPush, state{status: Dispatched, unreached: true}, true},
		{TransportPush, state{status: Unknown, unreached: true}, false},
		{TransportPull, state{status: Dispatched}, true},
		{TransportPull, state{status: Dispatched, lease: leased}, false},
		{TransportVoucher, state{status: Dispatched, unreached: true}, false},
		{TransportVoucher, state{status: Reserved}, true},
	} {
		if got := tt.state.untouched(tt.transport); got != tt.want {
			t.Errorf("%s, %+v: %v", tt.transport, tt.state, got)
		}
	}
}
