package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The bounds of one request. What fails for a moment is asked for again, a little later each time.
const (
	requestTimeout = 60 * time.Second
	attempts       = 3
	firstPause     = 200 * time.Millisecond
)

// Site is a log on the web.
type Site struct {
	base   string
	client *http.Client
}

// OpenURL returns the log below a URL of http or https. Redirects are refused: who publishes a log says where it is.
func OpenURL(text string) (*Site, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%s is not a plain URL of http or https", text)
	}
	return &Site{base: strings.TrimSuffix(u.String(), "/") + "/", client: &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true},
	}}, nil
}

func (s *Site) String() string { return strings.TrimSuffix(s.base, "/") }

// Ahead hides the way to the server.
func (s *Site) Ahead() int { return 12 }

// Read gets a file. Answers of 404 and 410 are ErrMissing.
func (s *Site) Read(ctx context.Context, path string, limit int64) (file []byte, err error) {
	pause := firstPause
	for n := range attempts {
		if n > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(pause):
			}
			pause *= 4
		}
		var again bool
		if file, again, err = s.get(ctx, path, limit); !again {
			break
		}
	}
	return file, err
}

// get also tells whether it may be different another time.
func (s *Site) get(ctx context.Context, path string, limit int64) (file []byte, again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("User-Agent", "ballast-verify")
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, ctx.Err() == nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	switch code := answer.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, false, ErrMissing
	case code >= 300 && code < 400:
		return nil, false, fmt.Errorf("%s%s is redirected, which is refused", s.base, path)
	default:
		_, _ = io.CopyN(io.Discard, answer.Body, 1<<10)
		return nil, code >= 500 || code == http.StatusTooManyRequests, fmt.Errorf("%s%s: %s", s.base, path, answer.Status)
	}
	file, err = readAll(answer.Body, answer.ContentLength, limit)
	return file, err != nil && !errors.Is(err, ErrTooLarge) && ctx.Err() == nil, err
}
