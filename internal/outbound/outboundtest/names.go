// Package outboundtest is the world outside, for tests of what calls it: a name server in memory.
package outboundtest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Names is a name server in memory. It knows only what it is told.
type Names struct {
	t     testing.TB
	mu    sync.Mutex
	addrs map[string]netip.Addr
}

// NewNames returns a name server that knows these names and their addresses.
func NewNames(t testing.TB, addrs map[string]string) *Names {
	t.Helper()
	n := &Names{t: t, addrs: map[string]netip.Addr{}}
	for name, addr := range addrs {
		n.Bind(name, addr)
	}
	return n
}

// Bind gives a name an address, in place of the one that it has.
func (n *Names) Bind(name, addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs[name+"."] = netip.MustParseAddr(addr)
}

// Resolver returns a resolver that asks nobody else.
func (n *Names) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

// serve answers queries as they are framed on TCP.
func (n *Names) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer, err := n.answer(query)
		if err != nil {
			n.t.Error(err)
			return
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(answer))) //nolint:gosec // It is short.
		if _, err := conn.Write(append(framed, answer...)); err != nil {
			return
		}
	}
}

func (n *Names) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	question := m.Questions[0]
	n.mu.Lock()
	addr, known := n.addrs[question.Name.String()]
	n.mu.Unlock()
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class}
	switch {
	case addr.Is4() && question.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}}}
	case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
	}
	return m.Pack()
}
