package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// tab is a tab of a browser that looks at a service.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string
	dir string // where downloads go

	mu      sync.Mutex
	faults  []string          // what the browser complained of
	loading map[string]string // names of downloads by their GUID
	whole   map[string]bool   // downloads that have ended, by name
}

// openBrowser starts Debian's Chromium.
func openBrowser(t *testing.T, url string) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(tool.Path(t, "chromium")), chromedp.WindowSize(1280, 800),
		chromedp.IgnoreCertErrors,                      // the private CA's
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // which root cannot have
	)
	allocated, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, url: url, dir: t.TempDir(), loading: map[string]string{}, whole: map[string]bool{}}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.ListenBrowser(ctx, b.listenDownloads); err != nil {
		t.Fatal(err)
	}
	send(b, log.Enable, cdp.Empty{})
	send(b, runtime.Enable, cdp.Empty{})
	send(b, page.Enable, page.EnableParams{})
	events := true
	download := browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.dir, EventsEnabled: &events}
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, download); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.checkFaults)
	return b
}

// send sends a command to the tab.
func send[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// listen notes faults.
func (b *tab) listen(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			fault += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		// That a page has another status than 200 is for the tests to judge.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			fault = string(e.Entry.Source) + ": " + e.Entry.Text
		}
	}
	if fault != "" {
		b.mu.Lock()
		b.faults = append(b.faults, fault)
		b.mu.Unlock()
	}
}

// listenDownloads notes which downloads have ended.
func (b *tab) listenDownloads(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *browser.EventDownloadWillBegin:
		b.loading[e.GUID] = e.SuggestedFilename
	case *browser.EventDownloadProgress:
		switch e.State {
		case browser.DownloadProgressStateCompleted:
			b.whole[b.loading[e.GUID]] = true
		case browser.DownloadProgressStateCanceled:
			b.faults = append(b.faults, "the download of "+b.loading[e.GUID]+" broke off")
		}
	}
}

// checkFaults fails the test when a script failed, or a page tried what its policy
// forbids.
func (b *tab) checkFaults() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		b.t.Errorf("the browser says: %s", fault)
	}
}

// run runs actions and fails the test, with what is on the page, when one does not
// come to its end.
func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%v; the page is\n%s", err, b.text())
	}
}

// eval evaluates an expression on the page, and waits for it if it is a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v; the page is\n%s", expression, err, b.text())
	}
	return value
}

// text returns all that the page says, and what is typed into its large fields.
func (b *tab) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`[location.href, document.body.innerText, ...[...document.querySelectorAll("textarea")].map(t => t.value)].join("\n")`))
	if err != nil {
		return err.Error()
	}
	return text
}

// visit opens a page of the service.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.url + path))
}

// fill types into a field in place of what it has.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.run(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// paste is fill for long texts and those that no keyboard has.
func (b *tab) paste(selector, text string) {
	b.t.Helper()
	b.run(chromedp.SetValue(chromedp.CSS(selector), text))
}

// attach chooses files.
func (b *tab) attach(selector string, files ...string) {
	b.t.Helper()
	b.run(chromedp.SetUploadFiles(chromedp.CSS(selector), files, chromedp.NodeReady))
}

// click clicks.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

// press clicks and waits for the page that comes.
func (b *tab) press(selector string) {
	b.t.Helper()
	eval[bool](b, `window.old = true`)
	b.click(selector)
	b.await(`!window.old && document.readyState === "complete"`)
}

// await waits until an expression is true. Meanwhile pages may come and go.
func (b *tab) await(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		done, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		cancel()
		if err == nil && done {
			return
		}
	}
	b.t.Fatalf("%s does not come true; the page is\n%s", expression, b.text())
}

// shows fails the test unless the page says all of this.
func (b *tab) shows(texts ...string) {
	b.t.Helper()
	page := b.text()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			b.t.Fatalf("the page does not say %q, but\n%s", text, page)
		}
	}
}

// login logs in with the master password.
func (b *tab) login(password string) {
	b.t.Helper()
	b.visit("/login")
	b.fill("#password", password)
	b.press("form button.primary")
}

// downloaded waits until the browser has all of a file and returns it. A file gets
// its name with its first bytes, so that it is there says nothing.
func (b *tab) downloaded(name string) []byte {
	b.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		b.mu.Lock()
		whole := b.whole[name]
		b.mu.Unlock()
		if !whole {
			continue
		}
		data, err := os.ReadFile(filepath.Join(b.dir, name))
		if err != nil {
			b.t.Fatal(err)
		}
		return data
	}
	b.t.Fatalf("%s was not downloaded", name)
	return nil
}

// look sets the size of the window and the colours that the user prefers.
func (b *tab) look(width, height int64, scheme string) {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(width, height))
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// patience is how long a page may take on a busy machine.
const patience = 30 * time.Second
