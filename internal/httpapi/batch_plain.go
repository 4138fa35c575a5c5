package httpapi

import (
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/strictjson"
)

// leastTransfer is about how many bytes the shortest transfer of a batch has.
const leastTransfer = 128

// readBatch reads a batch that is plain. One with too many transfers is none, so that what is refused makes no more room than others.
func readBatch(p *strictjson.Plain, req *wire.CreateTransferBatchRequest) bool {
	return p.Members(func(name string) bool {
		switch {
		case name == "mode" && req.Mode == "":
			return p.Text((*string)(&req.Mode)) && req.Mode != ""
		case name == "transfers" && req.Transfers == nil:
			req.Transfers = make([]wire.BatchTransfer, 0, min(maxBatch, p.Left()/leastTransfer+1))
			return p.Elements(func() bool {
				if len(req.Transfers) == maxBatch {
					return false
				}
				req.Transfers = append(req.Transfers, wire.BatchTransfer{})
				return readBatchTransfer(p, &req.Transfers[len(req.Transfers)-1])
			})
		}
		return false
	})
}

// readBatchTransfer reads a transfer of a batch. A text that is empty is not plain: it is how those that were not read yet are told.
func readBatchTransfer(p *strictjson.Plain, t *wire.BatchTransfer) bool {
	return p.Members(func(name string) bool {
		var into *string
		switch name {
		case "idempotency_key":
			into = &t.IdempotencyKey
		case "from_account":
			into = &t.FromAccount
		case "to_account":
			into = &t.ToAccount
		case "amount":
			into = &t.Amount
		case "reference":
			if t.Reference != nil {
				return false
			}
			t.Reference = new(string)
			into = t.Reference
		case "metadata":
			if t.Metadata != nil {
				return false
			}
			t.Metadata = wire.Metadata{}
			return p.Texts(t.Metadata)
		default:
			return false
		}
		return *into == "" && p.Text(into) && *into != ""
	})
}
