package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progress shows how far a transfer is, on a terminal alone.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress starts a bar for so many bytes; -1 means that nobody knows.
func newProgress(cmd *cobra.Command, what string, size int64) *progress {
	w := cmd.ErrOrStderr()
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions64(size,
		progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(false))}
}

// writer counts what goes to w.
func (p *progress) writer(w io.Writer) io.Writer {
	if p.bar == nil {
		return w
	}
	return io.MultiWriter(w, p.bar)
}

// add counts n bytes more.
func (p *progress) add(n int) {
	if p.bar != nil {
		p.bar.Add(n) //nolint:errcheck // a bar that cannot be drawn is no reason to stop
	}
}

// done takes the bar away.
func (p *progress) done() {
	if p.bar != nil {
		p.bar.Finish() //nolint:errcheck // likewise
	}
}
