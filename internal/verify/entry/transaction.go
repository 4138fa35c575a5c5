package entry

import "bytes"

// SCH is the token's asset, and hoursPrefix begins the asset of hours of one class.
const (
	SCH         = "SCH"
	USD         = "USD"
	hoursPrefix = "GPUH:"
)

// Kind says what a transaction is.
type Kind byte

// The kinds of transactions.
const (
	Transfer Kind = iota
	Mint
	Hold
	HoldCapture
	HoldVoid
	Reversal
	PledgeActivation
	PledgeRelease
	PledgeLapse
	PledgeSubstitution
	RedemptionRequest
	RedemptionIssue
	RedemptionRefund
	RedemptionCorrection
	// Kinds is how many there are.
	Kinds
)

var kindNames = [Kinds]string{
	"transfer", "mint", "hold", "hold_capture", "hold_void", "reversal", "pledge_activation", "pledge_release", "pledge_lapse",
	"pledge_substitution", "redemption_request", "redemption_issue", "redemption_refund", "redemption_correction",
}

func (k Kind) String() string { return kindNames[k] }

// subjects has the prefix of what transactions of a kind are about; a kind without one has no subject.
var subjects = [Kinds]string{
	Mint: "pldg", PledgeActivation: "pldg", PledgeRelease: "pldg", PledgeLapse: "pldg", PledgeSubstitution: "pldg",
	Hold: "hold", HoldCapture: "hold", HoldVoid: "hold",
	RedemptionRequest: "rdmp", RedemptionIssue: "rdmp", RedemptionRefund: "rdmp", RedemptionCorrection: "rdmp",
}

// Transaction is one of the journal. Reverses is 0 unless it is a reversal.
type Transaction struct {
	ID       ID
	Seq      int64
	Kind     Kind
	Subject  ID
	HasEpoch bool
	Epoch    ID
	Reverses int64
	Postings []Posting
}

// Posting is so much of one asset, in minor units, on its way from one account to another.
type Posting struct {
	Asset Asset
	// Class is that of an asset of hours.
	Class    []byte
	Amount   int64
	From, To Account
}

// Asset is what a posting moves.
type Asset byte

// The assets.
const (
	Tokens Asset = iota
	Dollars
	Hours
)

// Place says which account of its owner an account is.
type Place byte

// The places. All but Private are public and named.
const (
	Private Place = iota
	Issuance
	Rounding
	Commitment
	Available
	Backing
	Earmarked
	Delivered
	ExpiredHours
	ReleasedHours
	// Places is how many there are.
	Places
)

var placeNames = [Places]string{"#", "issuance", "rounding", "commitment", "available", "backing", "earmarked", "delivered", "expired", "released"}

func (p Place) String() string { return placeNames[p] }

// OfPledge tells whether a place holds hours of a pledge.
func (p Place) OfPledge() bool { return p >= Commitment }

// Account is an account as it is after a posting: a private one has a Commitment, the others a provider's or pledge's ID and a Version.
type Account struct {
	Place      Place
	ID         ID
	Version    int64
	Commitment [32]byte
}

func (p *Parser) transaction(r *reader, e *Entry) {
	t := &e.Transaction
	postings := t.Postings[:0]
	*t = Transaction{ID: r.id(2, "txn"), Kind: Kind(r.oneOf(3, kindNames[:]...)), Seq: r.natural(6)} //nolint:gosec // there are fourteen
	if t.HasEpoch = r.has(1); t.HasEpoch {
		t.Epoch = r.id(1, "epoch")
	}
	if r.has(5) {
		t.Reverses = r.natural(5)
	}
	if (t.Kind == Reversal) != (t.Reverses > 0) {
		r.refuse(3, "a kind that agrees with whether it reverses another")
	}
	switch prefix := subjects[t.Kind]; {
	case prefix == "" && r.has(7):
		r.refuse(7, "a member of this kind")
	case prefix != "" && !r.has(7):
		r.refuse(3, "a kind without a subject")
	case prefix != "":
		t.Subject = r.id(7, prefix)
	}
	p.each(r, 4, postingSchema, func(in *reader) {
		postings = append(postings, in.posting())
	})
	if len(postings) == 0 {
		r.refuse(4, "at least one posting")
	}
	t.Postings = postings
}

func (r *reader) posting() (p Posting) {
	if p.Amount = r.natural(0); p.Amount == 0 {
		r.refuse(0, "above zero")
	}
	switch asset := r.text(1); {
	case view(asset) == SCH:
		p.Asset = Tokens
	case view(asset) == USD:
		p.Asset = Dollars
	case bytes.HasPrefix(asset, []byte(hoursPrefix)) && className(asset[len(hoursPrefix):]):
		p.Asset, p.Class = Hours, asset[len(hoursPrefix):]
	default:
		r.refuse(1, "an asset")
	}
	r.account(2, &p.From)
	r.account(3, &p.To)
	return p
}

// account reads '#' and a commitment, or a public account's place, owner and version.
func (r *reader) account(i int, a *Account) {
	text := r.text(i)
	if len(text) > 0 && text[0] == '#' {
		a.Place = Private
		if !strict(base64URLStrict, a.Commitment[:], text[1:]) {
			r.refuse(i, "a commitment")
		}
		return
	}
	slash, at := bytes.IndexByte(text, '/'), bytes.LastIndexByte(text, '@')
	if slash < 0 || at < slash {
		r.refuse(i, "an account")
		return
	}
	var ok bool
	if a.Version, ok = natural(text[at+1:]); !ok || a.Version == 0 || !a.public(text[:slash], text[slash+1:at]) {
		r.refuse(i, "a public account")
	}
}

// public reads the place and whose it is.
func (a *Account) public(place, owner []byte) (ok bool) {
	for p := Issuance; p < Places; p++ {
		if placeNames[p] != view(place) {
			continue
		}
		a.Place = p
		switch p {
		case Rounding:
			return view(owner) == SCH
		case Issuance:
			a.ID, ok = typeID("prov", owner)
		default:
			a.ID, ok = typeID("pldg", owner)
		}
		return ok
	}
	return false
}
