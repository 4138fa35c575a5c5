package entry

// ViewHead is the first line of an auditor's view.
type ViewHead struct {
	Origin []byte
	Size   int64
}

// ViewAccount is what the operator's database says of one private account. Kind is 0 for a holder's, 1 for holds, 2 for escrow.
type ViewAccount struct {
	Account ID
	Asset   []byte
	Balance int64
	Key     [32]byte
	Kind    byte
	Version int64
}

var (
	viewHeadSchema    = newSchema(field{name: "origin"}, field{name: "size"}, field{name: "type"}, field{name: "v"})
	viewAccountSchema = newSchema(field{name: "account"}, field{name: "asset"}, field{name: "balance"}, field{name: "key"}, field{name: "kind"},
		field{name: "version"})
)

// ParseViewHead reads the first line of a view. It returns an [*Error] for everything that is not exactly in the format.
func ParseViewHead(line []byte) (ViewHead, error) {
	var p Parser
	r, err := p.object(line, viewHeadSchema)
	if err != nil {
		return ViewHead{}, err
	}
	r.oneOf(2, "view")
	r.oneOf(3, "1")
	head := ViewHead{Origin: r.text(0), Size: r.natural(1)}
	return head, r.err
}

// ParseViewAccount reads a line of a view but the first. Its errors are those of ParseViewHead.
func ParseViewAccount(line []byte) (ViewAccount, error) {
	var p Parser
	r, err := p.object(line, viewAccountSchema)
	if err != nil {
		return ViewAccount{}, err
	}
	a := ViewAccount{
		Account: r.id(0, "acct"), Asset: r.text(1), Balance: r.natural(2), Kind: byte(r.oneOf(4, "holder", "hold", "escrow")), Version: r.natural(5), //nolint:gosec // there are three kinds
	}
	r.base64(3, a.Key[:])
	return a, r.err
}

// Opening is what an owner needs to see that a side of a posting is their account.
type Opening struct {
	Account ID
	Blind   [32]byte
	Posting int64
	To      bool
	Version int64
}

var openingSchema = newSchema(field{name: "account"}, field{name: "blind"}, field{name: "posting"}, field{name: "side"}, field{name: "version"})

// ParseOpening reads a line of a receipt. Its errors are those of ParseViewHead.
func ParseOpening(line []byte) (Opening, error) {
	var p Parser
	r, err := p.object(line, openingSchema)
	if err != nil {
		return Opening{}, err
	}
	o := Opening{Account: r.id(0, "acct"), Posting: r.natural(2), To: r.oneOf(3, "from", "to") == 1, Version: r.natural(4)}
	r.base64(1, o.Blind[:])
	if o.Version == 0 {
		r.refuse(4, "above zero")
	}
	return o, r.err
}

// object scans one line by a schema.
func (p *Parser) object(line []byte, s *schema) (*reader, error) {
	if err := p.scanner.scan(line); err != nil {
		return nil, err
	}
	if err := match(line, p.scanner.members[:p.scanner.n], s, &p.values); err != nil {
		return nil, err
	}
	return &reader{b: line, values: &p.values}, nil
}
