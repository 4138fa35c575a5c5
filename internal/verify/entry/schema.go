package entry

import (
	"bytes"
	"slices"
)

// field is a member that an object may have.
type field struct {
	name     string
	optional bool
	shape    shape
}

// schema has the members of one type of object in ascending order, so that both lists are walked side by side.
type schema struct {
	fields []field
	// at and version are the places of the members of these names.
	at, version int
}

func newSchema(fields ...field) *schema {
	s := &schema{fields: fields}
	if !slices.IsSortedFunc(fields, func(a, b field) int {
		if a.name < b.name {
			return -1
		}
		return 1
	}) {
		panic("entry: the members of a schema are out of order")
	}
	s.at = slices.IndexFunc(fields, func(f field) bool { return f.name == "at" })
	s.version = slices.IndexFunc(fields, func(f field) bool { return f.name == "v" })
	return s
}

// The places of members, by which readers ask for values, are those in these lists.
var schemas = [Types]*schema{
	TypeTransaction: newSchema(field{name: "at"}, field{name: "epoch", optional: true}, field{name: "id"}, field{name: "kind"},
		field{name: "postings", shape: shapeArray}, field{name: "reverses", optional: true}, field{name: "seq"},
		field{name: "subject", optional: true}, field{name: "type"}, field{name: "v"}),
	TypePledge: newSchema(field{name: "at"}, field{name: "document_sha256", optional: true}, field{name: "event"}, field{name: "expires_at"},
		field{name: "firmness"}, field{name: "gpu_class"}, field{name: "haircut", optional: true}, field{name: "hours"}, field{name: "pledge"},
		field{name: "provider"}, field{name: "public_key", optional: true}, field{name: "region"}, field{name: "signature", optional: true},
		field{name: "starts_at"}, field{name: "type"}, field{name: "v"}),
	TypeEpoch: newSchema(field{name: "at"}, field{name: "effective_at"}, field{name: "id"}, field{name: "inputs_sha256"},
		field{name: "k", shape: shapeObject}, field{name: "number"}, field{name: "reference_class"}, field{name: "type"}, field{name: "v"}),
	TypePolicy: newSchema(field{name: "at"}, field{name: "effective_at"}, field{name: "id"}, field{name: "terms", shape: shapeObject},
		field{name: "type"}, field{name: "v"}, field{name: "version"}),
	TypeSunset: newSchema(field{name: "at"}, field{name: "gpu_class"}, field{name: "no_mints_from"}, field{name: "sunset_at"}, field{name: "type"},
		field{name: "v"}),
	TypeCoverage: newSchema(field{name: "at"}, field{name: "backing_sch"}, field{name: "cause"}, field{name: "coverage", optional: true},
		field{name: "epoch"}, field{name: "from"}, field{name: "outstanding"}, field{name: "provider", optional: true}, field{name: "to"},
		field{name: "type"}, field{name: "v"}),
	TypeMarginCall: newSchema(field{name: "at"}, field{name: "call"}, field{name: "provider"}, field{name: "status"}, field{name: "type"},
		field{name: "v"}),
	TypeKey: newSchema(field{name: "at"}, field{name: "event"}, field{name: "provider", optional: true}, field{name: "public_key"},
		field{name: "type"}, field{name: "use"}, field{name: "v"}),
	TypeLiabilities: newSchema(field{name: "asset"}, field{name: "at"}, field{name: "burned"}, field{name: "collateral", shape: shapeArray},
		field{name: "minted"}, field{name: "root"}, field{name: "size"}, field{name: "total"}, field{name: "type"}, field{name: "v"}),
}

// The objects within entries.
var (
	postingSchema    = newSchema(field{name: "amount"}, field{name: "asset"}, field{name: "from"}, field{name: "to"})
	collateralSchema = newSchema(field{name: "gpu_class"}, field{name: "hours"}, field{name: "k"}, field{name: "sch"})
)

// match puts each member at its place in values; the place of one that is absent is zero. It refuses members that the schema does not
// have, a required one that is missing, and a value of another shape.
func match(b []byte, members []member, s *schema, values *[maxMembers]member) error {
	next := 0
	for i, f := range s.fields {
		values[i] = member{}
		if next == len(members) || members[next].name != f.name {
			if f.optional {
				continue
			}
			if next < len(members) && members[next].name < f.name {
				return faultAt(members[next].from, "member %q does not belong here", clip([]byte(members[next].name)))
			}
			return faultAt(len(b), "member %q is missing", f.name)
		}
		if members[next].shape != f.shape {
			return faultAt(members[next].from, "member %q is not %s", f.name, f.shape)
		}
		values[i] = members[next]
		next++
	}
	if next < len(members) {
		return faultAt(members[next].from, "member %q does not belong here", clip([]byte(members[next].name)))
	}
	return nil
}

// reader reads values by their places in the schema. The first error stays, and what is read after it means nothing.
type reader struct {
	b      []byte
	values *[maxMembers]member
	err    error
}

// has tells whether an optional member is there: its value never begins at byte 0.
func (r *reader) has(i int) bool { return r.values[i].from > 0 }

func (r *reader) text(i int) []byte { return r.b[r.values[i].from:r.values[i].until] }

// refuse keeps the first error.
func (r *reader) refuse(i int, what string) {
	if r.err == nil {
		r.err = faultAt(r.values[i].from, "%s: %q is not %s", r.values[i].name, clip(r.text(i)), what)
	}
}

func (r *reader) natural(i int) int64 {
	n, ok := natural(r.text(i))
	if !ok {
		r.refuse(i, "a whole number from 0 to 2^63-1")
	}
	return n
}

func (r *reader) millionths(i int) int64 {
	n, ok := millionths(r.text(i))
	if !ok {
		r.refuse(i, "a decimal with up to six places")
	}
	return n
}

// signedMillionths is millionths that may be below zero.
func (r *reader) signedMillionths(i int) int64 {
	text, sign := r.text(i), int64(1)
	if len(text) > 0 && text[0] == '-' {
		text, sign = text[1:], -1
	}
	n, ok := millionths(text)
	if !ok || n == 0 && sign < 0 {
		r.refuse(i, "a decimal, or one below zero")
	}
	return sign * n
}

// ratio is millionths, or HugeRatio for more than fits them.
func (r *reader) ratio(i int) int64 {
	text := r.text(i)
	if n, ok := millionths(text); ok {
		return n
	}
	if whole, _, _ := bytes.Cut(text, []byte(".")); len(whole) <= hugeDigits || !decimal(text) {
		r.refuse(i, "a ratio")
	}
	return HugeRatio
}

func (r *reader) instant(i int) int64 {
	at, ok := instant(r.text(i))
	if !ok {
		r.refuse(i, "an instant in UTC with six decimals")
	}
	return at
}

func (r *reader) id(i int, prefix string) ID {
	id, ok := typeID(prefix, r.text(i))
	if !ok {
		r.refuse(i, "an id "+prefix+"_…")
	}
	return id
}

// checked returns text that a rule accepts.
func (r *reader) checked(i int, rule func([]byte) bool, what string) []byte {
	text := r.text(i)
	if !rule(text) {
		r.refuse(i, what)
	}
	return text
}

// oneOf returns the place of a text among the words.
func (r *reader) oneOf(i int, words ...string) int {
	n := slices.Index(words, view(r.text(i)))
	if n < 0 {
		r.refuse(i, "one of the words that may be here")
		return 0
	}
	return n
}

func (r *reader) base64(i int, dst []byte) {
	if !strict(base64Strict, dst, r.text(i)) {
		r.refuse(i, "base64 of the right length")
	}
}
