package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progress shows how far a transfer is, on a terminal alone.
type progress struct {
	bar     *progressbar.ProgressBar
	started time.Time
	held    int // bytes that the bar was not told of yet
}

// How often a bar is drawn, and how long nothing is: a rate of the first moments is
// none, and what is over by then needs no bar.
const (
	redrawEvery = 100 * time.Millisecond
	drawAfter   = 500 * time.Millisecond
	barWidth    = 12 // columns, so that a line fits into 60
	whatWidth   = 24 // columns of what it is that is transferred, likewise
)

// newProgress starts a bar for so many bytes; -1 means that nobody knows.
func newProgress(cmd *cobra.Command, what string, size int64) *progress {
	w := cmd.ErrOrStderr()
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return newBar(w, what, size)
}

func newBar(w io.Writer, what string, size int64) *progress {
	return &progress{started: time.Now(), bar: progressbar.NewOptions64(size,
		progressbar.OptionSetDescription(fit(what, whatWidth)), progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(redrawEvery), progressbar.OptionSetWidth(barWidth), progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false), progressbar.OptionSpinnerCustom([]string{" "}),
		progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(false))}
}

// fit leaves out the middle of a text that has more than so many columns: paths are told
// apart by their ends.
func fit(text string, columns int) string {
	runes := []rune(text)
	if len(runes) <= columns {
		return text
	}
	head := (columns - 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(columns-1-head):])
}

// writer counts what goes to w.
func (p *progress) writer(w io.Writer) io.Writer {
	if p.bar == nil {
		return w
	}
	return io.MultiWriter(w, p)
}

// Write counts what is written.
func (p *progress) Write(b []byte) (int, error) {
	p.add(len(b))
	return len(b), nil
}

// add counts n bytes more.
func (p *progress) add(n int) {
	if p.bar == nil {
		return
	}
	if p.held += n; time.Since(p.started) >= drawAfter {
		n, p.held = p.held, 0
		p.bar.Add(n) //nolint:errcheck // a bar that cannot be drawn is no reason to stop
	}
}

// done takes the bar away.
func (p *progress) done() {
	if p.bar != nil {
		p.bar.Finish() //nolint:errcheck // likewise
	}
}
