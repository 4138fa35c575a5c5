package entry

// Opening is what an owner needs to see that a side of a posting is their account.
type Opening struct {
	Account ID
	Blind   [32]byte
	Posting int64
	To      bool
	Version int64
}

var openingSchema = newSchema(field{name: "account"}, field{name: "blind"}, field{name: "posting"}, field{name: "side"}, field{name: "version"})

// ParseOpening reads a line of a receipt. It returns an [*Error] for everything that is not exactly in the format.
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
