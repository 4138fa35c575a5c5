package witness

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// ErrQuorum is returned for a checkpoint that too few witnesses have cosigned.
var ErrQuorum = errors.New("witness: not enough witnesses have cosigned")

// Member is a witness of a policy.
type Member struct {
	// Name is what the policy calls it; Key is its verifier key; URL is the prefix under which it takes checkpoints, or "" if the policy is for
	// verifying only.
	Name, Key, URL string
	verifier       note.Verifier
}

// NewMember returns a witness, or [ErrKey].
func NewMember(name, key, url string) (Member, error) {
	verifier, err := CosignatureVerifier(key)
	if err != nil {
		return Member{}, err
	}
	return Member{Name: name, Key: key, URL: url, verifier: verifier}, nil
}

// KnownLog is a log of a policy.
type KnownLog struct {
	// Key is its verifier key, whose name is the log's origin; URL is where it is, or "".
	Key, URL string
	verifier note.Verifier
}

// Origin returns the log's origin.
func (l KnownLog) Origin() string { return l.verifier.Name() }

// Verifier returns what verifies the log's signatures.
func (l KnownLog) Verifier() note.Verifier { return l.verifier }

// quorum is a rule by its name: a witness has none of, and a group at least need of its members.
type quorum struct {
	witness int // The index of a witness, or -1.
	need    int
	of      []quorum
}

func (q quorum) metBy(cosigned []bool) bool {
	if q.witness >= 0 {
		return cosigned[q.witness]
	}
	met := 0
	for _, member := range q.of {
		if member.metBy(cosigned) {
			met++
		}
	}
	return met >= q.need
}

// Policy says which logs are known, which witnesses, and which of these must have cosigned a checkpoint. It is never changed after [ParsePolicy].
type Policy struct {
	logs      []KnownLog
	witnesses []Member
	quorum    quorum
}

// Logs returns the logs that the policy names.
func (p *Policy) Logs() []KnownLog { return slices.Clone(p.logs) }

// Witnesses returns the witnesses that the policy names, in its order.
func (p *Policy) Witnesses() []Member { return slices.Clone(p.witnesses) }

// Witnessed is a witness of the policy that has cosigned a checkpoint.
type Witnessed struct {
	// Name is what the policy calls it.
	Name string
	// At is when the witness says that it signed.
	At time.Time
}

// Standing is what a signed checkpoint is worth under a policy.
type Standing struct {
	Checkpoint Checkpoint
	// Cosigned has the witnesses whose cosignatures are on it, in the policy's order.
	Cosigned []Witnessed
	// Satisfied tells whether they are enough.
	Satisfied bool
}

// Check verifies a signed checkpoint: one of the policy's logs, or of those that are given with it, must have signed it, and its standing says who has cosigned it. Signatures
// of others are ignored; one by a known key that is wrong spoils the whole note, as signed-note has it. It returns [ErrMalformed], [ErrUnknownLog] or
// [ErrUnsigned]. Too few witnesses are no error.
func (p *Policy) Check(signed []byte, logs ...note.Verifier) (Standing, error) {
	for _, log := range p.logs {
		logs = append(slices.Clip(logs), log.verifier)
	}
	text, err := textOf(signed)
	if err != nil {
		return Standing{}, err
	}
	claimed, err := ParseCheckpoint(text)
	if err != nil {
		return Standing{}, err
	}
	checkpoint, _, err := openSigned(signed, claimed.Origin, logs)
	if err != nil {
		return Standing{}, err
	}
	standing := Standing{Checkpoint: checkpoint}
	cosigned, err := p.cosigned(signed, &standing)
	if err != nil {
		return Standing{}, err
	}
	standing.Satisfied = p.quorum.metBy(cosigned)
	return standing, nil
}

// cosigned tells of each witness whether it has cosigned, and adds those who have to the standing.
func (p *Policy) cosigned(signed []byte, standing *Standing) ([]bool, error) {
	cosigned := make([]bool, len(p.witnesses))
	keys := make([]note.Verifier, len(p.witnesses))
	for i, member := range p.witnesses {
		keys[i] = member.verifier
	}
	n, err := note.Open(signed, note.VerifierList(keys...))
	if unverified := (*note.UnverifiedNoteError)(nil); errors.As(err, &unverified) {
		return cosigned, nil // Signatures there are, but none of a witness.
	} else if err != nil {
		return nil, refusalOf(err)
	}
	for i, member := range p.witnesses {
		for _, sig := range n.Sigs {
			if sig.Name != member.verifier.Name() || sig.Hash != member.verifier.KeyHash() {
				continue
			}
			if at, err := timeOf(sig); err == nil {
				cosigned[i] = true
				standing.Cosigned = append(standing.Cosigned, Witnessed{Name: member.Name, At: at})
			}
		}
	}
	return cosigned, nil
}

// Satisfied is [Policy.Check] for those who need to know only whether a checkpoint is good: it returns [ErrQuorum] if too few witnesses have cosigned.
func (p *Policy) Satisfied(signed []byte, logs ...note.Verifier) error {
	standing, err := p.Check(signed, logs...)
	if err == nil && !standing.Satisfied {
		return ErrQuorum
	}
	return err
}
