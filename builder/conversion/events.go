package conversion

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
)

// events shows a conversion as Packer shows its own work: a line a step, notes
// below it, and a bar where bytes are counted.
type events struct {
	ui   packer.Ui
	mu   sync.Mutex
	what string
	bar  *Bar
	done int64
}

// Step implements convert.Events.
func (e *events) Step(what string) {
	e.finish()
	e.mu.Lock()
	e.what = what
	e.mu.Unlock()
	e.ui.Say(what + "...")
}

// Note implements convert.Events.
func (e *events) Note(what string) { e.ui.Say("    " + printable(what)) }

// Progress implements convert.Events.
func (e *events) Progress(done, total int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.bar == nil {
		e.bar, e.done = NewBar(e.ui, e.what, total), 0
	}
	if done > e.done {
		e.bar.Add(int(done - e.done))
		e.done = done
	}
}

// finish takes the bar away.
func (e *events) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.bar != nil {
		e.bar.Done()
		e.bar = nil
	}
}

// printable takes out what would do things to a terminal: it comes from the image.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			return '?'
		}
		return r
	}, s)
}

// Bar is one of Packer's progress bars. Packer counts what is read from a
// stream, so that a stream of nothing in particular is read.
type Bar struct {
	stream io.ReadCloser
	buffer []byte
}

// NewBar starts a bar for so many bytes.
func NewBar(ui packer.Ui, what string, total int64) *Bar {
	return &Bar{stream: ui.TrackProgress(what, 0, total, nothing{}), buffer: make([]byte, 4<<20)}
}

// Add counts n bytes more.
func (b *Bar) Add(n int) {
	for n > 0 {
		read, err := b.stream.Read(b.buffer[:min(n, len(b.buffer))])
		if err != nil || read == 0 {
			return // a bar that cannot be drawn is no reason to stop
		}
		n -= read
	}
}

// Done takes the bar away.
func (b *Bar) Done() { b.stream.Close() }

// nothing is a stream that gives as much as is wanted.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }
func (nothing) Close() error               { return nil }

// chooser asks which boot entry to take.
func chooser(ui packer.Ui) func([]convert.Choice) (int, error) {
	return func(entries []convert.Choice) (int, error) {
		for i, e := range entries {
			line := fmt.Sprintf("%3d  %s  [%s]", i+1, e.Title, e.Kernel)
			if e.Default {
				line += " (default)"
			}
			if e.Reason != "" {
				line += " - cannot be taken: " + e.Reason
			}
			ui.Say(printable(line))
		}
		answer, err := ui.Ask("Which one?")
		if err != nil {
			return 0, fmt.Errorf("read the number of a boot entry: %w", err)
		}
		var n int
		if _, err := fmt.Sscan(answer, &n); err != nil || n < 1 || n > len(entries) {
			return 0, fmt.Errorf("%.20q is not the number of a boot entry", answer)
		}
		return n - 1, nil
	}
}
