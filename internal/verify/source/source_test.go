package source_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

const limit = 100

// TestWhatAServerAnswers has answers that are taken, refused, and asked for again.
func TestWhatAServerAnswers(t *testing.T) {
	t.Parallel()
	fine := strings.Repeat("x", limit)
	give := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	stream := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for b := range slices.Chunk([]byte(body), 30) {
				_, _ = w.Write(b)
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "50")
		_, _ = w.Write([]byte("half"))
	}
	for name, tt := range map[string]struct {
		answers []http.HandlerFunc
		asked   int32
		want    string
		is      error
	}{
		"as much as there may be":   {[]http.HandlerFunc{give(fine)}, 1, "", nil},
		"the same without a length": {[]http.HandlerFunc{stream(fine)}, 1, "", nil},
		"nothing there":             {[]http.HandlerFunc{status(404)}, 1, "no such file", source.ErrMissing},
		"nothing there any more":    {[]http.HandlerFunc{status(410)}, 1, "no such file", source.ErrMissing},
		"more than there may be":    {[]http.HandlerFunc{give(fine + "x")}, 1, "larger", source.ErrTooLarge},
		"more, without a length":    {[]http.HandlerFunc{stream(fine + "x")}, 1, "larger", source.ErrTooLarge},
		"refused":                   {[]http.HandlerFunc{status(403)}, 1, "403", nil},
		"elsewhere":                 {[]http.HandlerFunc{http.RedirectHandler("/other", http.StatusFound).ServeHTTP}, 1, "redirected", nil},
		"too often":                 {[]http.HandlerFunc{status(429), give(fine)}, 2, "", nil},
		"broken for a moment":       {[]http.HandlerFunc{status(503), give(fine)}, 2, "", nil},
		"cut off once":              {[]http.HandlerFunc{cut, give(fine)}, 2, "", nil},
		"broken":                    {[]http.HandlerFunc{status(500)}, 3, "500", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := int(asked.Add(1))
				tt.answers[min(n, len(tt.answers))-1](w, r)
			}))
			defer server.Close()
			site, err := source.OpenURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			data, err := site.Read(t.Context(), "file", limit)
			if tt.want == "" && (err != nil || string(data) != fine) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%q, %v; want %q", data, err, tt.want)
			}
			if asked.Load() != tt.asked || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("asked %d times, want %d; %v", asked.Load(), tt.asked, err)
			}
		})
	}
}

// TestWhoGivesUp has requests that are not made, or not made again.
func TestWhoGivesUp(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	ctx, stop := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		stop()
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	site, err := source.OpenURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.Read(ctx, "file", limit); !errors.Is(err, context.Canceled) || asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	if _, err := site.Read(t.Context(), "%zz", limit); err == nil || !strings.Contains(err.Error(), "invalid URL") {
		t.Error(err)
	}
}

// TestPlaces has what no log is read from.
func TestPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", limit+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{
		filepath.Join(dir, "nowhere"): "no such file",
		file:                          "is not a directory",
		"ftp://x.test/":               "not a plain URL",
		"http://":                     "not a plain URL",
		"http:///log":                 "not a plain URL",
		"http://x.test/?q=1":          "not a plain URL",
		"http://x.test/#f":            "not a plain URL",
		"http://u@x.test/":            "not a plain URL",
		"http://[::1":                 "missing ']'",
	} {
		if _, err := source.Open(place); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", place, err, want)
		}
	}
	from, err := source.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string, limit int64) error {
		_, err := from.Read(t.Context(), path, limit)
		return err
	}
	if err := read("file", limit+1); err != nil {
		t.Error(err)
	}
	if err := read("file", limit); !errors.Is(err, source.ErrTooLarge) {
		t.Error(err)
	}
	if err := read("nothing", limit); !errors.Is(err, source.ErrMissing) {
		t.Error(err)
	}
	if err := read("file/below", limit); err == nil || errors.Is(err, source.ErrMissing) {
		t.Errorf("below a file: %v", err)
	}
	if err := read(".", 1<<20); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a directory: %v", err)
	}
}

// files is a source that has some, and counts what it is asked for.
type files struct {
	has   map[string]string
	asked atomic.Int32
}

func (f *files) Read(_ context.Context, path string, _ int64) ([]byte, error) {
	f.asked.Add(1)
	data, ok := f.has[path]
	switch {
	case !ok:
		return nil, source.ErrMissing
	case data == "":
		return nil, errors.New("broken")
	}
	return []byte(data), nil
}

func (f *files) Ahead() int { return 2 }

func (f *files) String() string { return "files" }

// TestTilesInThePlaceOfOthers has full tiles where partial ones are asked for.
func TestTilesInThePlaceOfOthers(t *testing.T) {
	t.Parallel()
	from := &files{has: map[string]string{"tile/0/001": "full", "tile/0/002.p/5": "part", "tile/0/002": "full", "tile/0/003.p/5": "", "tile/0/003": "full", "tile/0/005": ""}}
	for index, want := range map[uint64]string{1: "tile/0/001 full", 2: "tile/0/002.p/5 part", 3: "tile/0/003.p/5 broken", 4: "tile/0/004.p/5 there is no such file", 5: "tile/0/005.p/5 there is no such file"} {
		r := source.ReadTile(t.Context(), from, tree.File{Level: 0, Index: index, Width: 5})
		said := r.Path + " " + string(r.Bytes)
		if r.Err != nil {
			said += r.Err.Error()
		}
		if said != want || r.Full() != strings.HasSuffix(want, " full") {
			t.Errorf("%s, want %s", said, want)
		}
	}
	from.asked.Store(0)
	if r := source.ReadTile(t.Context(), from, tree.File{Level: 0, Index: 9, Width: tree.Width}); !errors.Is(r.Err, source.ErrMissing) || from.asked.Load() != 1 {
		t.Errorf("%v, asked %d times", r.Err, from.asked.Load())
	}
}

// TestReadingEndsAtTheFirstThatIsMissing reads nothing behind it but what was asked for ahead.
func TestReadingEndsAtTheFirstThatIsMissing(t *testing.T) {
	t.Parallel()
	from := &files{has: map[string]string{"tile/entries/000": "x", "tile/0/000": "x"}}
	var seen []string
	for r := range source.InOrder(t.Context(), from, tree.Files(256*100)) {
		seen = append(seen, r.Path)
	}
	if want := []string{"tile/entries/000", "tile/0/000", "tile/entries/001"}; !slices.Equal(seen, want) || from.asked.Load() > 10 {
		t.Errorf("%v, want %v; asked for %d", seen, want, from.asked.Load())
	}
}
