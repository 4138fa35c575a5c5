package verify_test

import (
	"bytes"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// FuzzReceipt has anything for a receipt: nothing but the one that was issued may be verified.
func FuzzReceipt(f *testing.F) {
	m := logtest.Make(f.TempDir(), 15, 10, 60)
	good := receiptOf(f, m, 59)
	o := options(f, m)
	f.Add(good)
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra e30K\nindex 0\n\n"))
	f.Add([]byte(`{"state":"published","proof":"c2sp.org/tlog-proof@v1\n"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := verify.Receipt(data, "", o)
		if r.Verdict == fault.Verified && !bytes.HasPrefix(data, []byte("{")) && !bytes.HasPrefix(data, good[:bytes.Index(good, []byte("— "))]) {
			t.Errorf("verified: %q", data)
		}
		if err := r.WriteText(&bytes.Buffer{}); err != nil {
			t.Error(err)
		}
	})
}

// FuzzPromise has anything for a promise.
func FuzzPromise(f *testing.F) {
	m := logtest.Make(f.TempDir(), 16, 10, 60)
	one, batch := promiseOf(m, 5, 9)
	o := options(f, m)
	f.Add(one)
	f.Add(batch)
	f.Add("v=1; leaf=; by=; index=; size=; proof=; sig=")
	f.Fuzz(func(t *testing.T, value string) {
		if r := verify.Promise(t.Context(), value, nil, nil, o); r.Verdict == fault.Verified && value[:100] != one[:100] {
			t.Errorf("verified: %q", value)
		}
	})
}

// FuzzLiability has anything for a proof of liabilities.
func FuzzLiability(f *testing.F) {
	m := logtest.Make(f.TempDir(), 17, 10, 60)
	o := options(f, m)
	f.Add([]byte(`{"v":"1","type":"liability-proof","account":"acct_x","asset":"SCH","balance":"1","receipt":"","proof":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r := verify.Liability(data, "", verify.Expected{}, o); r.Verdict == fault.Verified {
			t.Errorf("verified: %q", data) // This log has none.
		}
	})
}

// FuzzCheckpoint has anything for a checkpoint, beside tiles that are right.
func FuzzCheckpoint(f *testing.F) {
	m := logtest.Make(f.TempDir(), 18, 10, 60)
	o := options(f, m)
	f.Add(m.Checkpoint)
	f.Add([]byte("ballast.test/log\n60\n\n\n— "))
	src := &memory{files: published(f, m.Dir)}
	signed, _, _ := bytes.Cut(m.Checkpoint, []byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		src.files["checkpoint"] = data
		if r := verify.Check(t.Context(), src, o); r.Verdict == fault.Verified && !bytes.HasPrefix(data, signed) {
			t.Errorf("verified: %q", data)
		}
	})
}
