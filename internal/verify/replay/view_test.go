package replay_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
)

// TestRulesOfPrivateAccounts has what only who can open accounts sees.
func TestRulesOfPrivateAccounts(t *testing.T) {
	t.Parallel()
	nothing := func(text string) string { return text }
	first := func(member, from, to string) func(string) string { // Of the first account of the view.
		return func(text string) string {
			head, rest, _ := strings.Cut(text, "\n")
			line, rest, _ := strings.Cut(rest, "\n")
			from, to := fmt.Sprintf(`"%s":"%s`, member, from), fmt.Sprintf(`"%s":"%s`, member, to)
			if !strings.Contains(line, from) {
				panic(from + " is not in " + line)
			}
			return head + "\n" + strings.Replace(line, from, to, 1) + "\n" + rest
		}
	}
	for name, tt := range map[string]struct {
		story  func(*logtest.World)
		change func(string) string
		want   string
	}{
		"right":           {func(w *logtest.World) { w.Transfer(w.Accounts[0], w.Accounts[1], 5) }, nothing, ""},
		"another asset":   {func(*logtest.World) {}, first("asset", "SCH", "USD"), "has another asset"},
		"another balance": {func(*logtest.World) {}, first("balance", "", "1"), "the database's balance"},
		"another version": {func(*logtest.World) {}, first("version", "", "1"), "the database's version"},
		"a seq that goes back": {func(w *logtest.World) {
			w.Seq += 10
			w.Transfer(w.Accounts[0], w.Open("holder"), 5)
			w.Seq -= 5
			w.Transfer(w.Accounts[0], w.Open("holder"), 5)
		}, nothing, "comes after"},
		"below zero": {func(w *logtest.World) { w.Transfer(w.Accounts[2], w.Accounts[1], 1) }, nothing, "goes below zero"},
		"too much": {func(w *logtest.World) {
			w.Transfer(w.Open("holder"), w.Accounts[0], math.MaxInt64)
		}, nothing, "is out of range"},
		"too much that is closed": {func(w *logtest.World) {
			w.MintFor(w.Pledge(w.NewProvider(), h100, math.MaxInt64-1e16, nil), w.Accounts[0], 8e18, 8.9e18)
			w.Transaction("transfer", "", "", "", logtest.Tokens(5e18, w.Open("holder"), w.Accounts[1]), logtest.Tokens(5e18, w.Open("holder"), w.Accounts[2]))
		}, nothing, "accounts that cannot be opened are out of range"},
		"below zero, closed": {func(w *logtest.World) { w.Transfer(w.Open("holder"), w.Accounts[1], 1) }, nothing, "does not open are below zero together"},
		"below zero, closed, for a while": {func(w *logtest.World) {
			stranger := w.Open("holder")
			w.Transfer(stranger, w.Accounts[1], 1)
			w.Transfer(w.Accounts[1], stranger, 1)
		}, nothing, "does not open are below zero together"},
		"dollars": {func(w *logtest.World) {
			w.Transaction("transfer", "", "", "", strings.Replace(logtest.Tokens(1, w.Open("holder"), w.Open("holder")), "SCH", "USD", 1))
		}, nothing, "moves USD"},
		"a transfer out of a hold": {func(w *logtest.World) {
			w.HoldAndCapture(w.Accounts[0], w.Accounts[1], 9, 4)
			fill(w, w.Held(w.Accounts[0]))
		}, nothing, "a transfer touches account"},
		"a transfer into escrow": {func(w *logtest.World) { fill(w, w.Escrow(w.Accounts[0])) }, nothing, "a transfer touches account"},
		"a mint into escrow":     {func(w *logtest.World) { w.Mint(w.Providers[0].Pledges[0], w.Escrow(w.Accounts[0]), 5) }, nothing, "a mint touches account"},
		"a redemption into a hold": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.Transaction("redemption_request", logtest.ID("rdmp", w.NewID()), epochOf(w), "", logtest.Tokens(5, w.Accounts[0], w.Held(w.Accounts[0])), p.Move(5, "backing", "earmarked"))
		}, nothing, "a redemption_request touches account"},
		"a hold, captured and void": {func(w *logtest.World) {
			w.HoldAndCapture(w.Accounts[0], w.Accounts[1], 9, 4)
			w.HoldAndCapture(w.Accounts[0], w.Accounts[1], 9, 0)
		}, nothing, ""},
		"redemptions issued and refused": {func(w *logtest.World) {
			w.Redeem(w.Accounts[0], w.Providers[0].Pledges[1], 9, true)
			w.Redeem(w.Accounts[0], w.Providers[0].Pledges[1], 9, false)
		}, nothing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := replayed(t, tt.story, tt.change)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// fill moves tokens into an account that is for something else.
func fill(w *logtest.World, a *logtest.Account) { w.Transfer(w.Accounts[0], a, 5) }

// TestAViewOfAnEarlierSize is compared when the log has come to that size, and says nothing of what is later.
func TestAViewOfAnEarlierSize(t *testing.T) {
	t.Parallel()
	for _, wrong := range []bool{false, true} {
		var view string
		s, err := replayed(t, func(w *logtest.World) {
			w.Transfer(w.Accounts[0], w.Accounts[1], 5)
			view = string(w.View())
			w.Transfer(w.Accounts[0], w.Accounts[2], 5)
			if wrong {
				w.Accounts[1].Balance++
				view = strings.Replace(string(w.View()), fmt.Sprintf(`"size":"%d"`, w.N), fmt.Sprintf(`"size":"%d"`, w.N-1), 1)
			}
		}, func(string) string { return view })
		if wrong != (err != nil) || !wrong && (s.View == nil || s.View.Later != 2 || s.View.Size != s.Entries-1) {
			t.Errorf("%t: %+v, %v", wrong, s.View, err)
		}
	}
	l := replay.New(0, nothingOf(t))
	s := l.Summary()
	if s.View == nil || s.LatestAt != 0 || s.Epoch != -1 {
		t.Errorf("of nothing: %+v", s)
	}
}

// nothingOf is a view of a log without entries.
func nothingOf(t *testing.T) *replay.View {
	t.Helper()
	v, err := replay.ReadView(strings.NewReader(`{"v":"1","type":"view","origin":"x","size":"0"}` + "\n" + `{"accounts":"0","type":"end","v":"1"}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestLinesOfAView has views with a line that is not as it should be.
func TestLinesOfAView(t *testing.T) {
	t.Parallel()
	w := begun(func([]byte) {})
	good := string(w.View())
	lines := strings.SplitAfter(good, "\n")
	if _, err := replay.ReadView(strings.NewReader(good)); err != nil || len(lines) != 5 {
		t.Fatal(err, len(lines))
	}
	change := func(line int, from, to string) string {
		changed := strings.Replace(lines[line], from, to, 1)
		if changed == lines[line] {
			t.Errorf("%q is not in line %d", from, line)
		}
		return strings.Join(lines[:line], "") + changed + strings.Join(lines[line+1:], "")
	}
	for name, tt := range map[string]struct{ text, want string }{
		"another version":           {change(0, `"v":"1"`, `"v":"2"`), "line 1 of the view: it is not the first line"},
		"another type":              {change(0, `"type":"view"`, `"type":"list"`), "it is not the first line"},
		"a size that is none":       {change(0, `"size":"`, `"size":"x`), "it is not the first line"},
		"a size beyond measure":     {change(0, `"size":"`, `"size":"99999999999999999999`), "it is not the first line"},
		"a head that is no JSON":    {change(0, `{`, `[`), "line 1 of the view"},
		"a head with more":          {change(0, `{`, `{"more":"x",`), "line 1 of the view"},
		"an account that is none":   {change(1, "acct_", "hldr_"), "line 2 of the view: it is not of an account"},
		"another asset":             {change(1, "SCH", "EUR"), "no private account has this asset"},
		"another kind":              {change(1, "holder", "rounding"), "no private account is of this kind"},
		"a balance that is none":    {change(1, `"balance":"`, `"balance":"x`), "its balance is not a whole number"},
		"a version that is none":    {change(1, `"version":"`, `"version":"x`), "its version is not a whole number"},
		"a key that is short":       {change(1, `"key":"`, `"key":"AAAA","x":"`), "line 2 of the view"},
		"a key of 31 bytes":         {withKey(lines, strings.Repeat("A", 42)+"=="), "its key is not 32 bytes"},
		"a key of 33 bytes":         {withKey(lines, strings.Repeat("A", 44)), "its key is not 32 bytes"},
		"a key that is not base64":  {withKey(lines, strings.Repeat("-", 44)), "its key is not 32 bytes"},
		"a key written differently": {withKey(lines, strings.Repeat("A", 42)+"B="), "its key is not 32 bytes"},
		"an account with more":      {change(1, `{`, `{"more":"x",`), "line 2 of the view"},
		"accounts out of order":     {lines[0] + lines[2] + lines[1] + lines[3], "accounts are not in the order of their ids"},
		"an account twice":          {lines[0] + lines[1] + lines[1] + lines[3], "accounts are not in the order of their ids"},
		"an end that is no JSON":    {change(3, `,`, `;`), "line 4 of the view"},
		"an end with more":          {change(3, `,`, `,"more":"x",`), "line 4 of the view"},
		"another end":               {change(3, `"end"`, `"stop"`), "it is not the last line"},
		"an end of version 2":       {change(3, `"v":"1"`, `"v":"2"`), "it is not the last line"},
		"another number":            {change(3, `:"2"`, `:"3"`), "it is not the last line"},
		"a long line":               {change(1, `{`, `{`+strings.Repeat(" ", 1024)), "it does not end, or is too long"},
		"an endless line":           {change(1, `{`, `{`+strings.Repeat(" ", 1<<17)), "it does not end, or is too long"},
		"a line without its end":    {good[:len(good)-1], "it does not end, or is too long"},
		"no end":                    {strings.Join(lines[:3], ""), "the view is cut off"},
		"more after the end":        {good + lines[3], "the view has ended before"},
	} {
		if _, err := replay.ReadView(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// withKey gives the first account another key.
func withKey(lines []string, key string) string {
	before, after, _ := strings.Cut(lines[1], `"key":"`)
	_, after, _ = strings.Cut(after, `"`)
	return lines[0] + before + `"key":"` + key + `"` + after + lines[2] + lines[3]
}
