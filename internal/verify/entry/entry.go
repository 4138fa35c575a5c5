// Package entry reads entries of the transparency log: one JSON object each, in the canonical form of RFC 8785, of a known type, with
// exactly its members and values of their kinds. Everything else is refused. docs/transparency-log.md has the formats.
//
// It shares nothing with the code that writes entries. What it returns are parts of the bytes it was given, so that a million entries
// are read without a million pieces of memory.
package entry

// MaxSize is the longest that an entry may be: what the length in a bundle can say.
const MaxSize = 1<<16 - 1

// Type says what an entry tells of.
type Type byte

// The types of entries.
const (
	TypeTransaction Type = iota
	TypePledge
	TypeEpoch
	TypePolicy
	TypeSunset
	TypeCoverage
	TypeMarginCall
	TypeKey
	TypeLiabilities
	// Types is how many there are.
	Types
)

// typeNames are the types as entries have them.
var typeNames = [Types]string{"transaction", "pledge", "epoch", "policy", "sunset", "coverage", "margin_call", "key", "liabilities"}

func (t Type) String() string { return typeNames[t] }

// Entry is one of the log. The part that its Type names is filled, the others are left from earlier entries and mean nothing. Slices of
// bytes are parts of the entry that was parsed.
type Entry struct {
	Type Type
	// At is when it happened, in microseconds since 1970, by the database's clock.
	At          int64
	Transaction Transaction
	Pledge      Pledge
	Epoch       Epoch
	Policy      Policy
	Sunset      Sunset
	Coverage    Coverage
	MarginCall  MarginCall
	Key         Key
	Liabilities Liabilities
}

// Pledge is a step of a pledge. Hours and Haircut are in millionths; Haircut is −1 where there is none.
type Pledge struct {
	ID, Provider ID
	Event        PledgeEvent
	GPUClass     []byte
	Hours        int64
	Region       []byte
	// StartsAt and ExpiresAt are as they are written, and Expires is the latter in microseconds since 1970.
	StartsAt, ExpiresAt []byte
	Expires             int64
	Firmness            []byte
	Haircut             int64
	// DocumentSHA256 is nil where there is none.
	DocumentSHA256 []byte
	Signed         bool
	Signature      [64]byte
	PublicKey      [32]byte
}

// PledgeEvent is what became of a pledge.
type PledgeEvent byte

// The events of pledges.
const (
	Pending PledgeEvent = iota
	Active
	Rejected
	Exhausted
	Expired
	Defaulted
	Released
)

var pledgeEvents = [...]string{"pending", "active", "rejected", "exhausted", "expired", "defaulted", "released"}

func (e PledgeEvent) String() string { return pledgeEvents[e] }

// Epoch is a table of k, in millionths of SCH per hour, by classes in ascending order.
type Epoch struct {
	ID             ID
	Number         int64
	EffectiveAt    int64
	ReferenceClass []byte
	K              []ClassK
}

// ClassK is the k of one class.
type ClassK struct {
	GPUClass []byte
	K        int64
}

// Policy is a policy that was approved. What its terms are, the log keeps and the verifier does not judge.
type Policy struct {
	ID          ID
	Version     int64
	EffectiveAt int64
}

// Sunset is the end of a class: from when nothing is minted against it, and when its hours end.
type Sunset struct {
	GPUClass              []byte
	NoMintsFrom, SunsetAt int64
}

// Coverage is a change of the state of a provider's coverage, or of all (HasProvider false).
type Coverage struct {
	HasProvider bool
	Provider    ID
	From, To    []byte
	Epoch       ID
	// Backing is in whole SCH. Outstanding is in millionths, and so is Ratio, unless it is one of those below.
	Backing, Outstanding, Ratio int64
}

const (
	// NoRatio stands for none, since nothing is outstanding.
	NoRatio = -1
	// HugeRatio stands for one that is too large for millionths.
	HugeRatio = 1<<63 - 1
	// hugeDigits is how many digits before its point any decimal has that fits them.
	hugeDigits = 12
)

// MarginCall is a step of a margin call.
type MarginCall struct {
	Call, Provider ID
	Status         []byte
}

// Key is a key that begins or ends to count.
type Key struct {
	// OfLog is true for a key of the log, and false for one that signs the pledges of Provider.
	OfLog     bool
	Provider  ID
	Revoked   bool
	PublicKey [32]byte
}

// Liabilities is a proof of liabilities: what there was in the log's first Size entries. Total, Minted and Burned are in minor units.
type Liabilities struct {
	Size                  int64
	Asset                 []byte
	Root                  [32]byte
	Total, Minted, Burned int64
	Collateral            []ClassCollateral
}

// ClassCollateral is what hours of one class are worth: hours, k and tokens in millionths.
type ClassCollateral struct {
	GPUClass      []byte
	Hours, K, SCH int64
}

// Parser has the room that parsing needs. It is for one goroutine.
type Parser struct {
	scanner scanner
	values  [maxMembers]member
	// inner scans the objects within an entry.
	inner scanner
	slots [maxMembers]member
}

// Parse reads b, which must be one entry and nothing else, into e. It returns an [*Error] for everything that is not exactly in the format.
func (p *Parser) Parse(b []byte, e *Entry) error {
	if len(b) > MaxSize {
		return faultAt(0, "%d bytes are more than an entry may have", len(b))
	}
	if err := p.scanner.scan(b); err != nil {
		return err
	}
	t, err := p.typeOf(b)
	if err != nil {
		return err
	}
	if err := match(b, p.scanner.members[:p.scanner.n], schemas[t], &p.values); err != nil {
		return err
	}
	e.Type = t
	r := reader{b: b, values: &p.values}
	if v := r.text(schemas[t].version); string(v) != "1" {
		return faultAt(0, "version %q is not known", clip(v))
	}
	e.At = r.instant(schemas[t].at)
	readers[t](p, &r, e)
	return r.err
}

// typeOf finds the member that says what all others mean.
func (p *Parser) typeOf(b []byte) (Type, error) {
	for i := p.scanner.n - 1; i >= 0; i-- {
		if m := &p.scanner.members[i]; m.name == "type" && m.shape == shapeString {
			for t, name := range typeNames {
				if name == view(b[m.from:m.until]) {
					return Type(t), nil
				}
			}
			return 0, faultAt(m.from, "type %q is not known", clip(b[m.from:m.until]))
		}
	}
	return 0, faultAt(0, "there is no type")
}
