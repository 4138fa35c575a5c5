package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// chromium is a headless browser of the test's own, spoken to by the DevTools protocol over a pipe: JSON documents with a zero byte after each.
type chromium struct {
	t    testing.TB
	to   *os.File
	mu   sync.Mutex
	last int
	// wait has who waits for an answer, by the call's id, and tabs those whose events are heard, by their session.
	wait map[int]chan devtools
	tabs map[string]*tab
}

// devtools is a message of the protocol, either way.
type devtools struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// browserPatience is for a machine that is busy; nothing waits so long otherwise.
const browserPatience = time.Minute

// newChromium starts a browser, or skips the test where there is none.
func newChromium(t testing.TB) *chromium {
	t.Helper()
	program := ""
	for _, name := range []string{os.Getenv("BALLAST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && program == "" {
			program = found
		}
	}
	if program == "" {
		t.Skip("there is no chromium here (Debian: apt-get install chromium), nor one named by BALLAST_CHROMIUM")
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	//nolint:gosec // the browser is named by whoever runs the tests
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-breakpad", "--mute-audio", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, answers}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirs.Close(), answers.Close() // The browser has its own.
	b := &chromium{t: t, to: ours, wait: map[int]chan devtools{}, tabs: map[string]*tab{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(from)
	}()
	t.Cleanup(func() {
		_ = b.send(devtools{ID: -1, Method: "Browser.close"}) // If it is gone already, so much the better.
		gone := make(chan struct{})
		go func() { defer close(gone); _ = cmd.Wait() }() // How it ended does not matter.
		select {
		case <-gone:
		case <-time.After(browserPatience / 6):
		}
		stop()
		<-gone
		_, _ = ours.Close(), from.Close()
		<-read
	})
	return b
}

func (b *chromium) read(from *os.File) {
	messages := bufio.NewReader(from)
	for {
		text, err := messages.ReadBytes(0)
		if err != nil {
			return
		}
		var m devtools
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		if waiting := b.wait[m.ID]; m.ID != 0 && waiting != nil {
			delete(b.wait, m.ID)
			waiting <- m
		} else if tab := b.tabs[m.SessionID]; m.ID == 0 && tab != nil {
			tab.told(m)
		}
		b.mu.Unlock()
	}
}

func (b *chromium) send(m devtools) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = b.to.Write(append(text, 0))
	return err
}

// call makes a call and fills result with its answer.
func (b *chromium) call(session, method string, params, result any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answered := make(chan devtools, 1)
	b.mu.Lock()
	b.last++
	m := devtools{ID: b.last, SessionID: session, Method: method, Params: raw}
	b.wait[m.ID] = answered
	b.mu.Unlock()
	if err := b.send(m); err != nil {
		return err
	}
	select {
	case got := <-answered:
		if got.Error != nil {
			return errors.New(method + ": " + got.Error.Message)
		}
		return json.Unmarshal(got.Result, result)
	case <-time.After(browserPatience):
		return errors.New(method + ": the browser does not answer")
	}
}

// tab is a page of its own, which shares neither storage nor cache with any other.
type tab struct {
	b       *chromium
	session string
	loaded  chan struct{}

	mu sync.Mutex
	// asked are the addresses that it asked for; complaints are errors of scripts, and what a policy has refused.
	asked, complaints []string
}

func (b *chromium) newTab() *tab {
	b.t.Helper()
	var made struct{ BrowserContextID, TargetID, SessionID string }
	tab := &tab{b: b, loaded: make(chan struct{}, 8)}
	b.must("", "Target.createBrowserContext", object{}, &made)
	b.must("", "Target.createTarget", object{"url": "about:blank", "browserContextId": made.BrowserContextID}, &made)
	b.must("", "Target.attachToTarget", object{"targetId": made.TargetID, "flatten": true}, &made)
	tab.session = made.SessionID
	b.mu.Lock()
	b.tabs[tab.session] = tab
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Network", "Runtime", "Log"} {
		b.must(tab.session, domain+".enable", object{}, &made)
	}
	return tab
}

func (b *chromium) must(session, method string, params, result any) {
	b.t.Helper()
	if err := b.call(session, method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

func (p *tab) told(m devtools) {
	var params struct {
		Request          struct{ URL string }
		Entry            struct{ Level, Text, URL string }
		ExceptionDetails struct{ Text string }
	}
	if json.Unmarshal(m.Params, &params) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Method {
	case "Page.loadEventFired":
		p.loaded <- struct{}{}
	case "Network.requestWillBeSent":
		p.asked = append(p.asked, params.Request.URL)
	case "Log.entryAdded":
		if params.Entry.Level == "error" && !strings.Contains(params.Entry.Text, "404") {
			p.complaints = append(p.complaints, params.Entry.Text)
		}
	case "Runtime.exceptionThrown":
		p.complaints = append(p.complaints, params.ExceptionDetails.Text)
	}
}

// open loads an address, and returns once it and what it names has arrived.
func (p *tab) open(address string) {
	p.b.t.Helper()
	p.b.must(p.session, "Page.navigate", object{"url": address}, &struct{}{})
	select {
	case <-p.loaded:
	case <-time.After(browserPatience):
		p.b.t.Fatal("the page does not load")
	}
}

// run evaluates an expression, waits for it if it is a promise, and returns it as a string.
func (p *tab) run(expression string) string {
	p.b.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	p.b.must(p.session, "Runtime.evaluate", object{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		p.b.t.Fatalf("%s: %s", expression, got.ExceptionDetails.Exception.Description)
	}
	text, _ := got.Result.Value.(string)
	return text
}

// picture keeps a screenshot of the whole page, where the environment says where.
func (p *tab) picture(name string, width int, dark bool) {
	p.b.t.Helper()
	dir := os.Getenv("BALLAST_SCREENSHOTS")
	if dir == "" {
		return
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	var none struct{}
	p.b.must(p.session, "Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}}, &none)
	p.b.must(p.session, "Emulation.setDeviceMetricsOverride", object{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}, &none)
	var shot struct{ Data string }
	p.b.must(p.session, "Page.captureScreenshot", object{"format": "png", "captureBeyondViewport": true}, &shot)
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(dir+"/"+name+".png", picture, 0o600)
	}
	if err != nil {
		p.b.t.Error(err)
	}
}
