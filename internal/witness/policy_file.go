package witness

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// The bounds of a policy. C2SP asks for room for 32 logs, witnesses and groups.
const (
	// MaxPolicyBytes bounds a policy's file. A key of ML-DSA-44 has 1.8 kB.
	MaxPolicyBytes = 256 << 10
	maxPolicyLines = 4096
	maxPolicyNames = 256
)

// policyReader reads a policy line by line.
type policyReader struct {
	policy Policy
	named  map[string]quorum
	member map[string]bool // Which names are some group's member already.
	keys   map[string]bool // Which public keys there are.
	done   bool            // Whether there was a quorum line.
}

// ParsePolicy reads a policy as C2SP's tlog-policy has it:
//
//	log <verifier key> [<URL>]
//	witness <name> <verifier key> [<URL>]
//	group <name> all|any|<k> <name>...
//	quorum <name>|none
//
// Lines that begin with # are comments. A log's key is of Ed25519 (type 0x01), a witness's of cosignatures (0x04 or 0x06). It returns [ErrMalformed], wrapped with the
// line and what is wrong with it.
func ParsePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicyBytes || bytes.Count(data, []byte("\n")) > maxPolicyLines {
		return nil, malformed("a policy of more than %d bytes or %d lines", MaxPolicyBytes, maxPolicyLines)
	}
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		return nil, malformed("a policy's lines end in a newline")
	}
	r := &policyReader{named: map[string]quorum{"none": {witness: -1}}, member: map[string]bool{}, keys: map[string]bool{}}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if err := r.line(line); err != nil {
			return nil, fmt.Errorf("%w (line %d)", err, i+1)
		}
	}
	if !r.done {
		return nil, malformed("a policy without a quorum")
	}
	return &r.policy, nil
}

func (r *policyReader) line(line string) error {
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return malformed("a control character")
		}
	}
	fields := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return nil
	}
	switch keyword, rest := fields[0], fields[1:]; keyword {
	case "log":
		return r.log(rest)
	case "witness":
		return r.witness(rest)
	case "group":
		return r.group(rest)
	case "quorum":
		return r.quorum(rest)
	default:
		return malformed("a line begins with log, witness, group or quorum")
	}
}

func (r *policyReader) log(fields []string) error {
	if len(fields) < 1 || len(fields) > 2 || len(r.policy.logs) >= maxPolicyNames {
		return malformed("log <verifier key> [<URL>]")
	}
	verifier, err := note.NewVerifier(fields[0])
	if err != nil {
		return malformed("a log's key is an Ed25519 verifier key")
	}
	address, err := r.endpoint(fields[0], fields[1:])
	if err != nil {
		return err
	}
	r.policy.logs = append(r.policy.logs, KnownLog{Key: fields[0], URL: address, verifier: verifier})
	return nil
}

func (r *policyReader) witness(fields []string) error {
	if len(fields) < 2 || len(fields) > 3 || len(r.named) > maxPolicyNames {
		return malformed("witness <name> <verifier key> [<URL>]")
	}
	member, err := NewMember(fields[0], fields[1], "")
	if err != nil {
		return malformed("a witness's key is a verifier key of cosignatures")
	}
	if member.URL, err = r.endpoint(fields[1], fields[2:]); err != nil {
		return err
	}
	if err := r.name(fields[0], quorum{witness: len(r.policy.witnesses)}); err != nil {
		return err
	}
	r.policy.witnesses = append(r.policy.witnesses, member)
	return nil
}

// endpoint refuses a public key that was there before under whatever name, and returns the URL if there is one.
func (r *policyReader) endpoint(key string, rest []string) (string, error) {
	parts := strings.SplitN(key, "+", 3) // The base64 may have plus signs of its own.
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) < 2 || r.keys[string(raw[1:])] {
		return "", malformed("a key is there twice")
	}
	r.keys[string(raw[1:])] = true
	if len(rest) == 0 {
		return "", nil
	}
	address, err := url.Parse(rest[0])
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return "", malformed("a URL begins with https:// or http://")
	}
	return rest[0], nil
}

func (r *policyReader) name(name string, q quorum) error {
	if _, taken := r.named[name]; taken {
		return malformed("a name is there twice, or is none")
	}
	r.named[name] = q
	return nil
}

func (r *policyReader) group(fields []string) error {
	if len(fields) < 3 || len(r.named) > maxPolicyNames {
		return malformed("group <name> all|any|<k> <name>...")
	}
	members := fields[2:]
	group := quorum{witness: -1, of: make([]quorum, len(members))}
	for i, name := range members {
		member, known := r.named[name]
		if !known || name == "none" || r.member[name] {
			return malformed("a group's member is named above, and is of one group only")
		}
		r.member[name] = true
		group.of[i] = member
	}
	switch fields[1] {
	case "any":
		group.need = 1
	case "all":
		group.need = len(members)
	default:
		need, err := strconv.Atoi(fields[1])
		if err != nil || need < 1 || need > len(members) || strconv.Itoa(need) != fields[1] {
			return malformed("a group needs all, any, or a number from 1 to that of its members")
		}
		group.need = need
	}
	return r.name(fields[0], group)
}

func (r *policyReader) quorum(fields []string) error {
	if len(fields) != 1 || r.done {
		return malformed("there is one line quorum <name>")
	}
	q, known := r.named[fields[0]]
	if !known {
		return malformed("the quorum is named above")
	}
	r.policy.quorum, r.done = q, true
	return nil
}
