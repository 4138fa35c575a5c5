package witness

import (
	"context"
	"sync"
	"time"
)

// Collector asks all witnesses of a policy at once, and remembers how far each of them has come. It may be used from many goroutines.
type Collector struct {
	policy *Policy
	client *Client
	grace  time.Duration

	mu    sync.Mutex
	known map[string]uint64 // The last size that each witness is known to have, by its key.
}

// NewCollector returns a collector. Once enough witnesses have cosigned, the others have this much grace left.
func NewCollector(policy *Policy, client *Client, grace time.Duration) *Collector {
	return &Collector{policy: policy, client: client, grace: grace, known: map[string]uint64{}}
}

// Outcome is what came of asking one witness: a cosignature, or an error of [Client.Ask].
type Outcome struct {
	// Witness is what the policy calls it.
	Witness     string
	Cosignature Cosignature
	Err         error
	// Took is how long it took.
	Took time.Duration
}

// Collected is what came of asking all witnesses.
type Collected struct {
	// Signed is the checkpoint as it was given, with the new cosignatures as further lines.
	Signed []byte
	// Outcomes has all witnesses in the policy's order.
	Outcomes []Outcome
	// Satisfied tells whether those who have cosigned now are enough for the policy.
	Satisfied bool
}

// Collect asks all witnesses of the policy to cosign a checkpoint that its log has signed. It returns when all have answered, or the grace or the context
// has ended, and never waits longer for any than the client allows. What one witness does has no effect on the others.
func (c *Collector) Collect(ctx context.Context, signed []byte, prove ProofFunc) Collected {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		index   int
		outcome Outcome
	}
	answers := make(chan answer, len(c.policy.witnesses))
	for i, member := range c.policy.witnesses {
		go func() { answers <- answer{i, c.ask(ctx, member, signed, prove)} }()
	}
	collected := Collected{Outcomes: make([]Outcome, len(c.policy.witnesses))}
	cosigned := make([]bool, len(c.policy.witnesses))
	for asked := 0; ; asked++ {
		if !collected.Satisfied && c.policy.quorum.metBy(cosigned) {
			collected.Satisfied = true
			defer time.AfterFunc(c.grace, cancel).Stop()
		}
		if asked == len(cosigned) {
			break
		}
		a := <-answers // Each goroutine ends at the latest when the client's time is over.
		collected.Outcomes[a.index] = a.outcome
		cosigned[a.index] = a.outcome.Err == nil
	}
	collected.Signed = withLines(signed, collected.Outcomes)
	return collected
}

func (c *Collector) ask(ctx context.Context, member Member, signed []byte, prove ProofFunc) Outcome {
	begun := time.Now()
	cosigned, known, err := c.client.Ask(ctx, member, signed, c.sizeOf(member.Key), prove)
	c.setSize(member.Key, known)
	return Outcome{Witness: member.Name, Cosignature: cosigned, Err: err, Took: time.Since(begun)}
}

func (c *Collector) sizeOf(key string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

func (c *Collector) setSize(key string, size uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[key] = size
}

// withLines adds the cosignatures to a signed note.
func withLines(signed []byte, outcomes []Outcome) []byte {
	signed = append([]byte(nil), signed...)
	for _, outcome := range outcomes {
		if outcome.Err == nil {
			signed = append(signed, outcome.Cosignature.Line()...)
		}
	}
	return signed
}
