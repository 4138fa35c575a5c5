// Package transparency is the page by which anybody looks at the log, and checks it in a browser. Its figures are written by the server and need no
// script; its checks are done by a script, in the browser, and need nobody's word but a key. Everything that it needs is in the binary, and the browser is
// told to refuse whatever would come from elsewhere.
package transparency

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

// Path is where the page is; its files are below.
const Path = "/transparency"

// Assets are the files of the page, by their names below Path.
var Assets = []string{"page.css", "page.js", "log.js"}

//go:embed page.css page.js log.js
var files embed.FS

var contentTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// policy allows this host, and neither scripts nor styles within the page.
var policy = strings.Join([]string{
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self'",
	"img-src 'self' data:",
	"connect-src 'self'",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
}, "; ")

func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// ServeAsset answers with the file that the path names, to GET and HEAD, or with 304 where the browser has it. The scripts import one another by name,
// so a browser asks each time whether they are still the same.
func ServeAsset(w http.ResponseWriter, r *http.Request) error {
	name := path.Base(r.URL.Path)
	content, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	h := w.Header()
	protect(h)
	h.Set("Content-Type", contentTypes[path.Ext(name)])
	serve(w, r, content, "no-cache")
	return nil
}

func serve(w http.ResponseWriter, r *http.Request, content []byte, caching string) {
	sum := sha256.Sum256(content)
	h := w.Header()
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Cache-Control", caching)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
