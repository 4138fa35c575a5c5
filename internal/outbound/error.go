package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

var (
	// ErrForbiddenAddress means that the name led to an address that is not called. Nothing was sent.
	ErrForbiddenAddress = errors.New("outbound: a private, local or reserved address")
	// ErrNotSent means that no connection came about, so that the other side surely received nothing.
	ErrNotSent = errors.New("outbound: nothing was sent")
)

// Error is a call that brought no answer.
type Error struct {
	// Class is a word for logs and metrics: dns, dial, tls, forbidden_address, timeout, cancelled, reset, too_large, malformed, or the code of a URLError.
	Class string
	// NotSent says that the other side surely received nothing. Otherwise it may have received, and done, everything.
	NotSent bool

	cause error
}

// Error returns the class, and whether anything was sent. The cause stays out of it: it may repeat what the other side sent.
func (e *Error) Error() string {
	if e.NotSent {
		return "outbound: " + e.Class + ", nothing was sent"
	}
	return "outbound: " + e.Class + ", it may have been received"
}

// Is makes errors.Is know [ErrNotSent].
func (e *Error) Is(target error) bool { return target == ErrNotSent && e.NotSent }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// failure judges an error of net/http by whether there was a connection at all: once there is one, anything may have been sent.
func failure(err error, connected bool) *Error {
	return &Error{Class: classOf(err, connected), NotSent: !connected, cause: err}
}

func classOf(err error, connected bool) string {
	if errors.Is(err, ErrForbiddenAddress) {
		return "forbidden_address"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok && !connected {
		return "dns"
	}
	if isTLS(err) {
		return "tls"
	}
	if timeout, ok := errors.AsType[net.Error](err); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || ok && timeout.Timeout() {
		return "timeout"
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case !connected:
		return "dial"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	}
	return "malformed"
}

func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	return certificate || record || alert || authority || errors.Is(err, http.ErrSchemeMismatch)
}
