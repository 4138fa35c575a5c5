package pg

import (
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// maxRoom keeps one large batch from pinning its memory for as long as its connection.
	maxRoom = 8 << 20
	// besides is more than what a batch has besides its largest parameters: the other messages, and the lengths.
	besides = 4 << 10
)

// room is where a connection encodes parameters behind a Bytes, and the message that has them, from one batch to the next. pgx makes both anew for each batch and grows them
// by a quarter at a time, each time copied: in large groups most of the program's garbage was that.
type room struct {
	// frontend sends the connection's messages; nil for none.
	frontend *pgproto3.Frontend
	// parameters are pgx's until it builds the next statement, and message until it has been sent.
	parameters, message []byte
	// wanted is how long a message may get.
	wanted int
}

// forParameters returns what was encoded so far with room for size more bytes.
func (r *room) forParameters(encoded []byte, size int) []byte {
	encoded, r.parameters = move(encoded, r.parameters, len(encoded)+size)
	if r.frontend != nil {
		r.wanted = size + besides
		r.frontend.Send(r)
	}
	return encoded
}

// Encode implements pgproto3.FrontendMessage. It is no message: it only gives those that come next their room.
func (r *room) Encode(messages []byte) ([]byte, error) {
	messages, r.message = move(messages, r.message, len(messages)+r.wanted)
	return messages, nil
}

// Decode implements pgproto3.FrontendMessage.
func (*room) Decode([]byte) error { return nil }

// Frontend implements pgproto3.FrontendMessage.
func (*room) Frontend() {}

// move copies b to kept, or to new memory where that is less than size, and returns it with what is to be kept for the next time. b may be in kept already.
func move(b, kept []byte, size int) (moved, keep []byte) {
	if cap(b) >= size {
		return b, kept
	}
	if cap(kept) < size {
		made := slices.Grow([]byte(nil), size)
		if cap(made) > maxRoom {
			return append(made, b...), kept
		}
		kept = made
	}
	return append(kept[:0], b...), kept
}
