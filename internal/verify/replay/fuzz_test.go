package replay_test

import (
	"bytes"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
)

// FuzzView has anything for an auditor's view.
func FuzzView(f *testing.F) {
	w := logtest.NewWorld(2, func([]byte) {})
	w.Begin(3, 1)
	w.Run(30)
	f.Add(w.View())
	f.Add([]byte(`{"v":"1","type":"view","origin":"x","size":"0"}` + "\n" + `{"accounts":"0","type":"end","v":"1"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := replay.ReadView(bytes.NewReader(data)); err == nil && v.Size() > 1<<63 {
			t.Errorf("a view of %d entries", v.Size())
		}
	})
}
