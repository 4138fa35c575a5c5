package verify

import (
	"fmt"

	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// viewed judges what came of an auditor's view: whether it spoke of the log at all, and how much it left closed. Nobody but the operator knows which accounts
// are of holders who were erased, so that what is closed is told and counted, and whoever knows that nobody was erased can refuse it.
func (r *Report) viewed(h heads, o Options) {
	if o.View == nil {
		return
	}
	came, compared := o.View.Outcome()
	switch {
	case !compared:
		r.fail(fault.New(fault.Incomplete, "view", "the view is of %d entries, and the log has %d", o.View.Size(), h.latest.Size))
	case o.View.Size() == 0 && h.latest.Size > 0:
		r.fail(fault.New(fault.Incomplete, "view", "the view speaks of no entry, and the log has %d", h.latest.Size))
	case came.Closed > 0 && o.RequireOpen:
		r.fail(fault.New(fault.Incomplete, "view", "%s, and that all are opened was required", closed(came.Opened, came.Closed, came.ClosedSCH)))
	case came.Closed > 0:
		r.passed("every private balance and version of the view follows from the entries; but "+closed(came.Opened, came.Closed, came.ClosedSCH), "what is closed is not below zero together, at any entry")
	default:
		r.passed("every private balance and version of the view follows from the entries, and nothing stays closed")
	}
}

func closed(opened, closed uint64, balance int64) string {
	return fmt.Sprintf("the view does not open %d of %d sides of private postings, whose accounts have %s SCH", closed, opened+closed, sch(balance))
}
