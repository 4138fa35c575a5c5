package witness_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/ballast-compute/ballast/internal/witness"
)

// hands makes cosigners x0, x1, and so on, and their lines of a policy.
func hands(n int) (all []hand, lines []string) {
	for i := range n {
		h := newHand(fmt.Sprintf("x%d.example/w", i))
		all = append(all, h)
		lines = append(lines, fmt.Sprintf("witness x%d %s", i, h.key()))
	}
	return all, lines
}

// TestQuorums goes through rules, and through all sets of those who have cosigned.
func TestQuorums(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 5, "a")
	all, members := hands(5)
	for name, tt := range map[string]struct {
		rules []string
		met   func(x []bool) bool
	}{
		"none":          {[]string{"quorum none"}, func([]bool) bool { return true }},
		"one of them":   {[]string{"quorum x3"}, func(x []bool) bool { return x[3] }},
		"any":           {[]string{"group g any x0 x1 x2 x3 x4", "quorum g"}, func(x []bool) bool { return slices.Contains(x, true) }},
		"all":           {[]string{"group g all x0 x1 x2 x3 x4", "quorum g"}, func(x []bool) bool { return !slices.Contains(x, false) }},
		"three of five": {[]string{"group g 3 x0 x1 x2 x3 x4", "quorum g"}, func(x []bool) bool { return count(x...) >= 3 }},
		"two groups": {
			[]string{"group a 2 x0 x1 x2", "group b any x3 x4", "group both all a b", "quorum both"},
			func(x []bool) bool { return count(x[0], x[1], x[2]) >= 2 && (x[3] || x[4]) },
		},
		"a group and a witness":  {[]string{"group a all x0 x1", "group b 1 a x2", "quorum b"}, func(x []bool) bool { return x[0] && x[1] || x[2] }},
		"a quorum before others": {append(slices.Clone(members[:0]), "quorum x0", "group a any x1"), func(x []bool) bool { return x[0] }},
	} {
		policy := parsePolicy(t, slices.Concat([]string{"log " + l.key}, members, tt.rules)...)
		for set := range 1 << len(all) {
			x, signed := make([]bool, len(all)), l.at(t, 5)
			for i, h := range all {
				if x[i] = set>>i&1 == 1; x[i] {
					signed = append(signed, h.line(textOf(signed), 1_700_000_000)...)
				}
			}
			standing, err := policy.Check(signed)
			if err != nil || standing.Satisfied != tt.met(x) || len(standing.Cosigned) != count(x...) {
				t.Errorf("%s: %v gave %+v: %v", name, x, standing, err)
			}
			if err := policy.Satisfied(signed); errors.Is(err, witness.ErrQuorum) == tt.met(x) {
				t.Errorf("%s: %v: %v", name, x, err)
			}
		}
	}
}

func count(x ...bool) (n int) {
	for _, yes := range x {
		if yes {
			n++
		}
	}
	return n
}

// TestCheckRefuses what is not signed by a log of the policy, whoever has cosigned it.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	l, other := newLog(t, origin), newLog(t, "another.example/log")
	l.grow(t, 5, "a")
	other.hashes = l.hashes
	all, members := hands(2)
	policy := parsePolicy(t, append(members, "log "+l.key, "group g all x0 x1", "quorum g")...)
	at := time.Now().Unix()
	cosigned := func(signed []byte) []byte {
		return append(signed, all[0].line(textOf(signed), at)+all[1].line(textOf(signed), at)...)
	}
	if standing, err := policy.Check(cosigned(l.at(t, 5))); err != nil || !standing.Satisfied || standing.Cosigned[1].At.Unix() != at {
		t.Fatalf("%+v: %v", standing, err)
	}
	text := textOf(l.at(t, 5))
	for name, tt := range map[string]struct {
		signed []byte
		want   error
	}{
		"nothing":                       {nil, witness.ErrMalformed},
		"no log's signature":            {[]byte(text + "\n" + all[0].line(text, at) + all[1].line(text, at)), witness.ErrUnsigned},
		"another log":                   {cosigned(other.at(t, 5)), witness.ErrUnknownLog},
		"another log's signature":       {cosigned(sign(t, text, other.signer)), witness.ErrUnsigned},
		"a wrong cosignature":           {append(l.at(t, 5), all[0].line(text+"x\n", at)...), witness.ErrUnsigned},
		"one witness twice":             {append(l.at(t, 5), all[0].line(text, at)+all[0].line(text, at+1)...), witness.ErrQuorum},
		"a cosignature without a time":  {append(l.at(t, 5), all[0].line(text, 0)+all[1].line(text, at)...), witness.ErrQuorum},
		"a cosignature of another name": {append(l.at(t, 5), all[0].line(text, at)+newHand("x2.example/w").line(text, at)...), witness.ErrQuorum},
		"no cosignature":                {l.at(t, 5), witness.ErrQuorum},
		"much":                          {append(l.at(t, 5), make([]byte, witness.MaxCheckpointBytes)...), witness.ErrMalformed},
	} {
		if err := policy.Satisfied(tt.signed); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	without := parsePolicy(t, append(members, "quorum x0")...)
	if err := without.Satisfied(cosigned(l.at(t, 5))); !errors.Is(err, witness.ErrUnknownLog) {
		t.Errorf("a policy without logs: %v", err)
	}
	if err := without.Satisfied(cosigned(l.at(t, 5)), l.verifier(t), l.verifier(t)); err != nil {
		t.Errorf("a policy without logs, and the log: %v", err)
	}
}

func TestPolicyTellsWhatItHas(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	h := newHand("x.example/w")
	policy := parsePolicy(t, "# ours", "  # theirs", "", "\t log\t"+l.key+"  https://ballast.example/log ", "witness Ö "+h.key()+" http://127.0.0.1:1/w", "quorum Ö")
	logs, witnesses := policy.Logs(), policy.Witnesses()
	if len(logs) != 1 || logs[0].Key != l.key || logs[0].URL != "https://ballast.example/log" || logs[0].Origin() != origin || logs[0].Verifier().KeyHash() != l.signer.KeyHash() {
		t.Errorf("%+v", logs)
	}
	if len(witnesses) != 1 || witnesses[0].Key != h.key() || witnesses[0].URL != "http://127.0.0.1:1/w" || witnesses[0].Name != "Ö" {
		t.Errorf("%+v", witnesses)
	}
}

func TestPoliciesThatAreNone(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	all, members := hands(3)
	good := strings.Join(append(members, "log "+l.key, "group g 2 x0 x1", "quorum g"), "\n") + "\n"
	if _, err := witness.ParsePolicy([]byte(good)); err != nil {
		t.Fatal(err)
	}
	_, plain, err := note.GenerateKey(nil, "x9.example/w")
	if err != nil {
		t.Fatal(err)
	}
	sameKey := all[0]
	sameKey.name = "y.example"
	once := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for name, text := range map[string]string{
		"nothing": "", "only comments": "# x\n", "no quorum": once("quorum g\n", ""), "two quorums": good + "quorum x2\n", "a quorum of two": once("quorum g", "quorum g x2"),
		"an unknown quorum": once("quorum g", "quorum h"), "no last newline": strings.TrimSuffix(good, "\n"), "a keyword": good + "allow x\n", "a carriage return": once("\n", "\r\n"),
		"a NUL": good + "# \x00\n", "a name twice": once("group g", "group x2"), "the name none": once("group g", "group none"), "a member twice": once("x0 x1", "x0 x0"),
		"a member of two groups": good + "group h any x0\n", "a member that is not there": once("x0 x1", "x0 x7"), "a member named later": once("x0 x1", "x0 z") + "group z any x2\n",
		"none as a member": once("x0 x1", "x0 none"), "a group of itself": once("x0 x1", "x0 g"), "a group without members": once("g 2 x0 x1", "g any"), "need of zero": once("g 2", "g 0"),
		"need of more": once("g 2", "g 3"), "negative need": once("g 2", "g -1"), "need with a zero": once("g 2", "g 02"), "need with a plus": once("g 2", "g +2"), "need of some": once("g 2", "g some"),
		"a key twice": good + "witness y " + all[0].key() + "\n", "a key under another name": good + "witness y " + sameKey.key() + "\n", "a log twice": good + "log " + l.key + "\n",
		"a witness with a log's key": good + "witness y " + plain + "\n", "a log with a witness's key": good + "log " + newHand("z").key() + "\n", "a witness without a key": good + "witness y\n",
		"a key that is none": good + "witness y x+00000000+AAAA\n", "a log without a key": good + "log\n", "a wrong id": good + "witness y " + strings.Replace(newHand("z").key(), "+", "+0", 1) + "\n",
		"another id": good + "witness y z+00000000+" + newHand("z").key()[strings.LastIndex(newHand("z").key(), "+")+1:] + "\n", "a path for a URL": good + "witness y " + newHand("z").key() + " /w\n",
		"a file for a URL": good + "witness y " + newHand("z").key() + " file:///etc/passwd\n", "a word too many": good + "witness y " + newHand("z").key() + " https://w.example x\n",
		"lines without end": good + strings.Repeat("\n", 5000), "much": good + "#" + strings.Repeat("x", witness.MaxPolicyBytes) + "\n",
		"groups without end": good + manyGroups(),
	} {
		if text == good {
			t.Fatalf("%s: nothing was spoiled", name)
		}
		if _, err := witness.ParsePolicy([]byte(text)); !errors.Is(err, witness.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// manyGroups nests a witness in more groups than a policy may have.
func manyGroups() string {
	text := "group n0 any x2\n"
	for i := range 300 {
		text += fmt.Sprintf("group n%d any n%d\n", i+1, i)
	}
	return text
}
