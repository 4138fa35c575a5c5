package strictjson

import (
	"bytes"
	"io"
)

// Plain is a body on its way to be read by hand, for the calls whose speed matters. It reads what programs usually write, and only that: text in ASCII without escapes, in
// the places where it is expected. Its methods return false for anything else, whether Decode accepts that or not.
type Plain struct {
	text string
	at   int
	// parts is how many members and elements have been read.
	parts int
}

// DecodePlain is Decode, to which it leaves whatever read returns false for. read must refuse what Decode would: names that T does not have, and those that are there twice.
func DecodePlain[T any](r io.Reader, limit int64, into *T, read func(*Plain, *T) bool) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	if err := readBody(buf, r, limit); err != nil {
		return err
	}
	p := Plain{text: buf.String()} // One copy, of which all texts that are read are parts.
	if read(&p, into) && p.ended() {
		return nil
	}
	var empty T
	*into = empty
	return decode(buf.Bytes(), into)
}

// Left is how many bytes have not been read.
func (p *Plain) Left() int { return len(p.text) - p.at }

// Members reads an object. It calls member with the name of each of its members, to read the value.
func (p *Plain) Members(member func(name string) bool) bool {
	if !p.next('{') {
		return false
	}
	if p.next('}') {
		return true
	}
	for {
		var name string
		if !p.another() || !p.Text(&name) || !p.next(':') || !member(name) {
			return false
		}
		if !p.next(',') {
			return p.next('}')
		}
	}
}

// Elements reads an array. It calls element to read each of its values.
func (p *Plain) Elements(element func() bool) bool {
	if !p.next('[') {
		return false
	}
	if p.next(']') {
		return true
	}
	for {
		if !p.another() || !element() {
			return false
		}
		if !p.next(',') {
			return p.next(']')
		}
	}
}

// another counts a member or an element, of which half as many are plain as there may be parts: with what they lie in, they are at most twice as many.
func (p *Plain) another() bool {
	p.parts++
	return p.parts <= MaxParts/2
}

// Text reads a string.
func (p *Plain) Text(into *string) bool {
	if !p.next('"') {
		return false
	}
	rest := p.text[p.at:]
	i := 0
	for i < len(rest) && plain[rest[i]] {
		i++
	}
	if i == len(rest) || rest[i] != '"' {
		return false
	}
	*into = rest[:i]
	p.at += i + 1
	return true
}

// plain are the bytes that stand for themselves within a string.
var plain = func() (is [256]bool) {
	for c := ' '; c < 0x80; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// Texts reads an object of strings, none of whose names is there twice.
func (p *Plain) Texts(into map[string]string) bool {
	return p.Members(func(name string) bool {
		_, again := into[name]
		var value string
		if again || !p.Text(&value) {
			return false
		}
		into[name] = value
		return true
	})
}

// next passes white space, and c if that follows, which it tells.
func (p *Plain) next(c byte) bool {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case c:
			p.at++
			return true
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return false
		}
	}
	return false
}

// ended tells whether nothing but white space is left.
func (p *Plain) ended() bool { return !p.next(0) && p.at == len(p.text) }
