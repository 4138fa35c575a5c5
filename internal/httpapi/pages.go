package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// query is the parameters of a request, and what is wrong with them.
type query struct {
	faults
	path   string
	values url.Values
	// known has the parameters that were asked for.
	known map[string]bool
}

func queryOf(r *http.Request) *query {
	q := &query{path: r.URL.Path, known: map[string]bool{}}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.add("query", "invalid_value", "The query is not properly encoded.")
	}
	return q
}

// text returns a parameter, or "" if it is not there. Given twice it could mean either, so it is refused.
func (q *query) text(name string) string {
	q.known[name] = true
	values, given := q.values[name]
	if !given {
		return ""
	}
	if len(values) != 1 || values[0] == "" || !utf8.ValidString(values[0]) {
		q.invalidValue(name)
		return ""
	}
	return values[0]
}

// err returns everything that is wrong with the parameters, once all of them were asked for. One that nobody asked for is wrong
// too: what it was meant to do, it does not.
func (q *query) err() error {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if !q.known[name] {
			q.add("query", "unknown_parameter", "A parameter is not one of this call.")
			break
		}
	}
	return q.faults.err()
}

// word returns a parameter that is one of the contract's words.
func word[T interface {
	~string
	Valid() bool
}](q *query, name string,
) T {
	w := T(q.text(name))
	if w != "" && !w.Valid() {
		q.invalidValue(name)
	}
	return w
}

func (q *query) form(name string, form interface{ MatchString(string) bool }) string {
	text := q.text(name)
	if text != "" && !form.MatchString(text) {
		q.invalidValue(name)
	}
	return text
}

func (q *query) id(prefix id.Prefix, name string) uuid.UUID {
	text := q.text(name)
	if text == "" {
		return uuid.Nil
	}
	return q.faults.id(prefix, name, text)
}

// moment returns a time that has passed, or nil if the parameter is not there.
func (q *query) moment(name string) *time.Time {
	t := q.instant(name)
	if t != nil && t.After(time.Now()) {
		q.add(name, "in_the_future", "The moment is yet to come.")
	}
	return t
}

// instant returns a time, passed or to come, or nil if the parameter is not there.
func (q *query) instant(name string) *time.Time {
	text := q.text(name)
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		q.invalidValue(name)
		return nil
	}
	t = q.time(name, t)
	return &t
}

// bound returns a time by which a list is bounded, whenever that is, or nil if the parameter is not there.
func (q *query) bound(name string) *time.Time {
	text := q.text(name)
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		q.invalidValue(name)
		return nil
	}
	t = q.time(name, t)
	return &t
}

// seq returns a place in the journal, or nil if the parameter is not there.
func (q *query) seq(name string) *int64 {
	text := q.text(name)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n == 1<<63-1 || strconv.FormatInt(n, 10) != text {
		q.invalidValue(name)
	}
	return &n
}

// page is which part of a list is asked for.
type page struct {
	// limit is how many items it has at most.
	limit int
	// after is the position of the last item of the page before; empty for the first page.
	after []byte
	list  listTag
}

// listTag stands for a list and its filters. A cursor holds it, so that it cannot be used with another list, where its
// position would mean something else.
type listTag [8]byte

// page reads limit and cursor. positionBytes is how long a position of the list is.
func (q *query) page(positionBytes int) page {
	p := page{limit: q.limit(), list: q.tag()}
	if text := q.text("cursor"); text != "" {
		p.after = q.position(p.list, text, positionBytes)
	}
	return p
}

// numbered is page for a list whose positions are numbers, the greatest of which is most.
func (q *query) numbered(most int64) page {
	p := q.page(numberBytes)
	if p.beforeNumber() < 0 || p.beforeNumber() > most {
		q.foreignCursor()
	}
	return p
}

// limit is how many items are asked for.
func (q *query) limit() int {
	text := q.text("limit")
	if text == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != text {
		q.add("limit", "invalid_value", "The limit must be from 1 to 200.")
	}
	return n
}

func (q *query) position(list listTag, cursor string, positionBytes int) []byte {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) != len(list)+positionBytes || !bytes.Equal(raw[:len(list)], list[:]) {
		q.foreignCursor()
		return nil
	}
	return raw[len(list):]
}

// foreignCursor is said of a cursor that no page of the list has given: of another list, or written by whoever sends it.
func (q *query) foreignCursor() {
	q.add("cursor", "invalid_value", "The cursor is not one of this list with these filters.")
}

func (q *query) tag() listTag {
	h := sha256.New()
	h.Write([]byte(q.path))
	names := make([]string, 0, len(q.values))
	for name := range q.values {
		if name != "limit" && name != "cursor" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		h.Write([]byte("\x00" + name + "\x00" + q.values.Get(name)))
	}
	return listTag(h.Sum(nil)[:8])
}

// before returns the id after which the page begins, in a list from the newest id on.
func (p page) before() (u uuid.UUID) {
	copy(u[:], p.after)
	return u
}

// beforeNumber is before for a list whose positions are numbers.
func (p page) beforeNumber() int64 {
	if len(p.after) != numberBytes {
		return 0
	}
	return int64(binary.BigEndian.Uint64(p.after)) //nolint:gosec // One that numberPosition did not write is refused.
}

const (
	idBytes     = len(uuid.UUID{})
	numberBytes = 8
)

func idPosition(u uuid.UUID) []byte { return u[:] }

func numberPosition(n int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n)) //nolint:gosec // Positions are not negative.
}

// more is how many items to ask for: one more than the page has, which tells whether another page follows.
func (p page) more() int { return p.limit + 1 }

// cut returns the items of the page as they are sent, and the cursor of the next page, or nil if this is the last.
func cut[T, W any](p page, items []T, position func(T) []byte, encode func(T) W) (data []W, next *string) {
	if len(items) > p.limit {
		items = items[:p.limit]
		cursor := base64.RawURLEncoding.EncodeToString(append(slices.Clone(p.list[:]), position(items[p.limit-1])...))
		next = &cursor
	}
	data = make([]W, len(items))
	for i := range items {
		data[i] = encode(items[i])
	}
	return data, next
}
