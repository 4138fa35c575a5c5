package ledger

import (
	"testing"

	"github.com/google/uuid"
)

// What is written once for a group must be so of all that are in it.
func TestTransactionsThatAreAlike(t *testing.T) {
	t.Parallel()
	plain := func() *Transaction {
		return &Transaction{Kind: KindTransfer, ID: uuid.New(), Postings: []Posting{{From: uuid.New(), To: uuid.New(), Asset: "SCH", Amount: 1}}}
	}
	if !alike([]*Transaction{plain(), plain()}) {
		t.Error("two transfers are not alike")
	}
	for name, change := range map[string]func(*Transaction){
		"kind":      func(o *Transaction) { o.Kind = KindHold },
		"postings":  func(o *Transaction) { o.Postings = append(o.Postings, o.Postings[0]) },
		"asset":     func(o *Transaction) { o.Postings[0].Asset = "USD" },
		"subject":   func(o *Transaction) { o.Subject = uuid.New() },
		"epoch":     func(o *Transaction) { o.Epoch = uuid.New() },
		"reverses":  func(o *Transaction) { o.Reverses = 1 },
		"reference": func(o *Transaction) { o.Reference = "INV-1" },
		"metadata":  func(o *Transaction) { o.Metadata = []byte(`{"a":"b"}`) },
		"details":   func(o *Transaction) { o.Details = []byte(`{"a":"b"}`) },
	} {
		other := plain()
		change(other)
		if alike([]*Transaction{plain(), other}) {
			t.Errorf("one that differs in its %s is alike", name)
		}
		if name != "kind" && name != "asset" && alike([]*Transaction{other}) {
			t.Errorf("one with %s is alike to itself", name)
		}
	}
}
