package main

import (
	"bytes"
	_ "embed"
	"io"
	"strconv"
	"text/template"
	"time"
)

// walkText is a shell script from its first line to its last, so that all of it can be pasted. Its comments do without
// quotes and brackets, which shells that read no comments at the prompt would stumble over.
//
//go:embed walk.sh.tmpl
var walkText string

var walkTemplate = template.Must(template.New("walk").Parse(walkText))

// walk is what dev prints: the keys, and one worked call for each step of the main job.
type walk struct {
	address string
	// operatorKey is empty when it is not known any more.
	operatorKey      string
	operatorKeyIsNew bool
	keysCommand      string
	// run tells the idempotency keys of this start from those of others.
	run string
	now time.Time
	// demo is nil where there is no demo data; the walk then begins by making what it needs.
	demo *demo
}

// newRun is a short name for a start of dev.
func newRun(now time.Time) string { return strconv.FormatInt(now.Unix(), 36) }

func (w *walk) print(out io.Writer) error {
	var text bytes.Buffer // Printed whole or not at all.
	if err := walkTemplate.Execute(&text, w); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}

// The names below are for the template.

// URL is where the API is.
func (w *walk) URL() string { return w.address }

// Run makes idempotency keys new with each start.
func (w *walk) Run() string { return w.run }

// OperatorKey is the key, or empty.
func (w *walk) OperatorKey() string { return w.operatorKey }

// OperatorKeyIsNew says that the key is shown this once.
func (w *walk) OperatorKeyIsNew() bool { return w.operatorKeyIsNew }

// KeysCommand prints an operator key.
func (w *walk) KeysCommand() string { return w.keysCommand }

// Demo is nil without demo data.
func (w *walk) Demo() *demo { return w.demo }

// Starts and Expires are the term of the pledge in the walk.
func (w *walk) Starts() string { return w.now.UTC().Format(time.DateOnly) + "T00:00:00Z" }

// Expires is a year after Starts.
func (w *walk) Expires() string {
	return w.now.UTC().AddDate(1, 0, 0).Format(time.DateOnly) + "T00:00:00Z"
}

// Provider, Alice's and Bob's account are ids with demo data, and else what earlier steps put into variables.
func (w *walk) Provider() string {
	if w.demo != nil {
		return w.demo.Provider
	}
	return `'$PROVIDER'`
}

// AliceAcct is as Provider.
func (w *walk) AliceAcct() string {
	if w.demo != nil {
		return w.demo.AliceAcct
	}
	return `'$ALICE_ACCOUNT'`
}

// BobAcct is as Provider.
func (w *walk) BobAcct() string {
	if w.demo != nil {
		return w.demo.BobAcct
	}
	return `'$BOB_ACCOUNT'`
}
