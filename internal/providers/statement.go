package providers

import (
	"encoding/json"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
)

// statementHead is the first line of what a provider signs, so that no signature over something else can be taken for one over a pledge.
const statementHead = "ballast-pledge/v1\n"

// statementTime is how the log writes instants: RFC 3339 in UTC with six decimals.
const statementTime = "2006-01-02T15:04:05.000000Z"

// Statement returns the bytes that a provider signs for this pledge, as docs/transparency-log.md has them: two lines, the second of them
// canonical JSON (RFC 8785). It returns what CreatePledgeTx returns for a pledge that is wrong in itself.
func (n NewPledge) Statement() ([]byte, error) {
	p, err := n.plan()
	if err != nil {
		return nil, err
	}
	return p.statement()
}

// statement writes its members in the order of their names, as package json does with maps; all values are ASCII that no form of JSON escapes.
func (p *planned) statement() ([]byte, error) {
	members := map[string]string{
		"expires_at": p.ExpiresAt.Format(statementTime), "firmness": string(p.Firmness), "gpu_class": p.GPUClass,
		"hours": money.Format(p.hours, money.MaxScale), "provider": id.Format(id.Provider, p.ProviderID), "region": p.Region,
		"starts_at": p.StartsAt.Format(statementTime),
	}
	if p.DocumentSHA256 != "" {
		members["document_sha256"] = p.DocumentSHA256
	}
	text, err := json.Marshal(members)
	return append(append([]byte(statementHead), text...), '\n'), err
}
