package vm

import (
	"bytes"
	"strings"
	"sync"
)

// tailSize is how much of a console a failure shows, in bytes.
const tailSize = 4 << 10

// maxConsole bounds what is kept of a console, in bytes: a guest that prints without
// end must not take the memory of the tests.
const maxConsole = 16 << 20

// console keeps what a guest prints, without escape sequences, carriage returns
// and other control characters.
type console struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	escape escapeState
	more   chan struct{} // closed at the next change
	closed bool
}

func newConsole() *console { return &console{more: make(chan struct{})} }

// Write implements io.Writer.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range p {
		if c.escape.plain(b) && c.buf.Len() < maxConsole {
			c.buf.WriteByte(b)
		}
	}
	c.wake()
	return len(p), nil
}

// wake tells those who wait that something has changed. The caller holds mu.
func (c *console) wake() {
	close(c.more)
	c.more = make(chan struct{})
}

func (c *console) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.wake()
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// since returns the text from an offset on, and a channel that is closed when there
// is more, or nil when there will be no more.
func (c *console) since(offset int) (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.buf.String()[offset:]
	if c.closed {
		return text, nil
	}
	return text, c.more
}

// tail returns the last lines.
func (c *console) tail() string {
	text := c.text()
	if len(text) <= tailSize {
		return text
	}
	text = text[len(text)-tailSize:]
	if _, rest, found := strings.Cut(text, "\n"); found {
		text = rest
	}
	return "[...]\n" + text
}

// escapeState follows escape sequences (ECMA-48).
type escapeState uint8

const (
	outside   escapeState = iota
	afterESC              // behind ESC
	inControl             // behind ESC [
	inString              // behind ESC ] and the like, up to BEL or ESC \
	inStringESC
)

// plain takes one byte and reports whether it is text.
func (s *escapeState) plain(b byte) bool {
	const esc, bel = 0x1B, 0x07
	switch *s {
	case afterESC:
		switch {
		case b == '[':
			*s = inControl
		case strings.IndexByte("]P_^X", b) >= 0:
			*s = inString
		case b >= 0x20 && b <= 0x2F: // an intermediate byte: more follows
		default:
			*s = outside
		}
	case inControl:
		if b >= 0x40 && b <= 0x7E {
			*s = outside
		}
	case inString:
		switch b {
		case bel:
			*s = outside
		case esc:
			*s = inStringESC
		}
	case inStringESC:
		*s = outside
	default:
		if b == esc {
			*s = afterESC
			return false
		}
		return b == '\n' || b == '\t' || b >= 0x20 && b != 0x7F
	}
	return false
}
