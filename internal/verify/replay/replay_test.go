package replay_test

import (
	"bytes"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
)

func TestAWorldIsReplayed(t *testing.T) {
	t.Parallel()
	var entries [][]byte
	w := logtest.NewWorld(1, func(e []byte) { entries = append(entries, bytes.Clone(e)) })
	w.Begin(20, 3)
	w.Run(45_000)
	view, err := replay.ReadView(bytes.NewReader(w.View()))
	if err != nil {
		t.Fatal(err)
	}
	l := replay.New(uint64(len(entries)), view)
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			t.Fatalf("%v\n%s", err, e)
		}
	}
	s := l.Summary()
	if s.Minted != w.Minted || s.Burned != w.Burned || s.Supply() <= 0 {
		t.Errorf("minted %d, burned %d; want %d, %d", s.Minted, s.Burned, w.Minted, w.Burned)
	}
	if s.View == nil || s.View.Closed != 0 || s.View.Opened == 0 {
		t.Errorf("view: %+v", s.View)
	}
	if s.ShortfallCount != 0 || s.Liabilities != 2 || s.SignedPledges != 3 {
		t.Errorf("%+v", s)
	}
}
