// Package outbound is how Ballast calls others: addresses that somebody registered, and so may have chosen to do harm.
//
// It calls https only (http only on this machine, and only where that is allowed), never an address that is not public, whatever a name
// resolves to at that moment, follows no redirect, uses no proxy, and bounds time and size. Whether a call that
// failed may have reached the other side decides what may be done next, so errors say: [ErrNotSent], or else it may have.
package outbound

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// The bounds of a call, unless a Config has others.
const (
	defaultConnect  = 5 * time.Second
	defaultHeader   = 10 * time.Second
	defaultTotal    = 15 * time.Second
	defaultMaxBytes = 64 << 10
	// maxHeaderBytes bounds an answer's header.
	maxHeaderBytes = 16 << 10
	// idle connections are kept for the next call, a few for each host.
	idleFor     = 30 * time.Second
	idlePerHost = 16
)

// Config is how others are called. The zero Config is right for production.
type Config struct {
	// AllowLoopback lets this machine be called, with http as well. It is for development and tests.
	AllowLoopback bool
	// Forbidden has more networks that must not be called, such as the operator's own public ones.
	Forbidden []netip.Prefix
	// Connect bounds finding the address, connecting, and each handshake; Header the wait for an answer once the request is sent; Total
	// all of it with the answer's body. By default five, ten and fifteen seconds.
	Connect, Header, Total time.Duration
	// MaxBytes bounds an answer's body. By default 64 KiB.
	MaxBytes int64
	// Resolver finds addresses. By default the system's.
	Resolver *net.Resolver
	// RootCAs are who vouches for servers. By default those of the system.
	RootCAs *x509.CertPool
}

// Client calls others. It may be used from many goroutines.
type Client struct {
	config Config
	http   *http.Client
}

// New returns a client.
func New(config Config) *Client {
	config.Connect = cmp.Or(config.Connect, defaultConnect)
	config.Header = cmp.Or(config.Header, defaultHeader)
	config.Total = cmp.Or(config.Total, defaultTotal)
	config.MaxBytes = cmp.Or(config.MaxBytes, defaultMaxBytes)
	config.Resolver = cmp.Or(config.Resolver, net.DefaultResolver)
	c := &Client{config: config}
	dialer := &net.Dialer{
		Timeout: config.Connect, Resolver: config.Resolver,
		Control: func(_, address string, _ syscall.RawConn) error { return c.checkSocket(address) },
	}
	c.http = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: config.RootCAs}, TLSHandshakeTimeout: config.Connect,
			ResponseHeaderTimeout: config.Header, MaxResponseHeaderBytes: maxHeaderBytes,
			IdleConnTimeout: idleFor, MaxIdleConnsPerHost: idlePerHost,
		},
	}
	return c
}

// Close lets go of connections that wait for the next call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is a call to make.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
}

// Response is an answer that has arrived whole, whatever its status.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes one call. An answer of any status from 100 to 599, which are those that HTTP has, is a Response, a redirect too. An error is always an *[Error], which says whether the other
// side may have received the request; none of its texts has the URL or anything that was sent or received.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Total)
	defer cancel()
	if _, refused := c.parse(r.URL); refused != nil { // Judged again, for what was registered under other rules.
		return nil, &Error{Class: refused.Code, NotSent: true, cause: refused}
	}
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, &Error{Class: "invalid_url", NotSent: true}
	}
	maps.Copy(request.Header, r.Header)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, failure(err, connected.Load())
	}
	defer response.Body.Close()                                 //nolint:errcheck // What there was to read is read.
	if response.StatusCode < 100 || response.StatusCode > 599 { // RFC 9110, 15. net/http lets any three digits pass.
		return nil, &Error{Class: "malformed", cause: fmt.Errorf("the answer has the status %d", response.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, c.config.MaxBytes+1))
	switch {
	case err != nil:
		return nil, failure(err, true)
	case int64(len(body)) > c.config.MaxBytes:
		return nil, &Error{Class: "too_large", cause: fmt.Errorf("the answer has more than %d bytes", c.config.MaxBytes)}
	}
	return &Response{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}
