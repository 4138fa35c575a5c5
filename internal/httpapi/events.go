package httpapi

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
)

// latestEvents is the after of those who want only what is yet to come.
const latestEvents = "latest"

// feedTag begins every cursor of the feed. Places are the same for all who read, whatever types they want.
var feedTag = []byte("events")

func (a *API) listEvents(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	limit := q.limit()
	after, latest := q.place("after")
	types := q.eventTypes("types")
	if err := q.err(); err != nil {
		return err
	}
	if latest {
		end, err := a.Feed.Latest(r.Context())
		if err != nil {
			return err
		}
		return answer(w, http.StatusOK, wire.EventPage{Data: []wire.Event{}, NextCursor: placeCursor(end)})
	}
	found, err := a.Feed.Read(r.Context(), events.Query{Viewer: viewerOf(principalOf(r.Context())), After: after, Types: types, Limit: limit})
	if err != nil {
		return err
	}
	data := make([]wire.Event, len(found.Events))
	for i := range found.Events {
		if data[i], err = encodeEvent(&found.Events[i], found.Own); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, wire.EventPage{Data: data, NextCursor: placeCursor(found.Next), HasMore: found.More})
}

// viewerOf says whose events a caller sees.
func viewerOf(p access.Principal) events.Viewer {
	return events.Viewer{HolderID: p.HolderID, ProviderID: p.ProviderID}
}

// place reads a cursor of the feed, or that the end of it is meant.
func (q *query) place(name string) (after int64, latest bool) {
	text := q.text(name)
	if text == "" || text == latestEvents {
		return 0, text != ""
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	place, ours := bytes.CutPrefix(raw, feedTag)
	if err != nil || !ours || len(place) != numberBytes || place[0] > 0x7f {
		q.add(name, "invalid_value", "The cursor is not one of this feed.")
		return 0, false
	}
	return page{after: place}.beforeNumber(), false
}

func placeCursor(place int64) string {
	return base64.RawURLEncoding.EncodeToString(append(bytes.Clone(feedTag), numberPosition(place)...))
}

// eventTypes reads a list of types; none stand for all.
func (q *query) eventTypes(name string) []events.Type {
	text := q.text(name)
	if text == "" {
		return nil
	}
	types, known := events.Select(strings.Split(text, ","))
	if !known {
		q.add(name, "unknown_type", "A word names no type of events.")
	}
	return types
}

// EncodeEvent writes an event as the feed has it, for one whose own accounts these are; nil for one who sees all. It is what webhooks carry.
func EncodeEvent(e *events.Event, own map[uuid.UUID]struct{}) ([]byte, error) {
	encoded, err := encodeEvent(e, own)
	if err != nil {
		return nil, err
	}
	return json.Marshal(encoded, canonical)
}

func encodeEvent(e *events.Event, own map[uuid.UUID]struct{}) (wire.Event, error) {
	data, err := eventData(e, own)
	return wire.Event{
		ID: id.Format(id.Event, e.ID), Type: wire.EventType(e.Type), CreatedAt: e.At.UTC(), Data: data,
		Object: wire.EventObject{Type: wire.EventObjectType(e.Object.Type), ID: idOrNull(objectPrefix[e.Object.Type], e.Object.ID)},
	}, err
}

var objectPrefix = map[events.ObjectType]id.Prefix{
	events.ObjectTransaction: id.Txn, events.ObjectHold: id.Hold, events.ObjectPledge: id.Pledge, events.ObjectRedemption: id.Redemption,
	events.ObjectMarginCall: id.MarginCall, events.ObjectRolloverCall: id.Rollover, events.ObjectProvider: id.Provider,
	events.ObjectWebhookEndpoint: id.Webhook,
}
