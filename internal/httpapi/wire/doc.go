// Package wire holds the types of what crosses the wire, generated from api/openapi.yaml. Ids and amounts are strings
// here, exactly as they are sent; the handlers turn them into the types of the domain, and back. A pointer is a field that
// may be left out of a request, or be null in an answer.
package wire

//go:generate go tool oapi-codegen -config config.yaml -o wire.gen.go ../../../api/openapi.yaml
