// Package api holds the contract: the OpenAPI document, written by hand, that the server's types are generated from and
// its answers are tested against.
package api

import _ "embed"

// Spec is openapi.yaml as it was when this program was built, in UTF-8. Nobody may change it.
//
//go:embed openapi.yaml
var Spec []byte
