// Package docs shows the API's contract in a browser. Everything that the page needs is in the binary, and the browser is
// told to refuse whatever would come from elsewhere: the page works without a network, and nobody learns who reads it.
//
// rapidoc-min.js is RapiDoc 9.3.8 exactly as published, under the licences in the two files beside it.
package docs

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// version is part of the script's address, so that a browser may keep it for good.
const version = "9.3.8"

//go:embed index.html
var page []byte

//go:embed rapidoc-min.js
var script []byte

// Handler serves the page at /docs and its script at /docs/rapidoc-min.js, both to GET and HEAD. It needs no key, and
// reads the document that it shows from /openapi.yaml.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /docs", asset{page, "index.html", "text/html; charset=utf-8", etag(page)})
	mux.Handle("GET /docs/rapidoc-min.js", asset{script, "rapidoc-min.js", "text/javascript; charset=utf-8", etag(script)})
	policy := contentSecurityPolicy()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
}

// contentSecurityPolicy allows this host and nothing else. Styles may be inline, because RapiDoc's markup has style
// attributes; scripts may not, but for the one of the page, which is known by its digest.
func contentSecurityPolicy() string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self' '" + inlineScriptDigest() + "'",
		"style-src 'self' 'unsafe-inline'",
		"img-src 'self' data:",
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

// inlineScriptDigest returns the digest of the page's inline script in the form of Content Security Policy Level 3.
func inlineScriptDigest() string {
	_, rest, _ := bytes.Cut(page, []byte("<script>"))
	inline, _, _ := bytes.Cut(rest, []byte("</script>"))
	sum := sha256.Sum256(inline)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// asset is one embedded file.
type asset struct {
	content     []byte
	name        string
	contentType string
	etag        string
}

// ServeHTTP answers with the file, or with 304 where the browser has it. What is asked for by its version never changes.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("ETag", a.etag)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.content))
}
