package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// FuzzCursor reads cursors. What is taken is the one way to write it.
func FuzzCursor(f *testing.F) {
	for _, p := range []position{{time.UnixMicro(0), wire.UUID{}}, {time.UnixMicro(-1), wire.UUID{1}}, {time.UnixMicro(1<<62 + 1), wire.UUID{15: 255}}} {
		f.Add(p.cursor())
	}
	f.Add(position{}.cursor() + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseCursor(text)
		if err == nil && p.cursor() != text || err != nil && !errors.Is(err, ErrCursor) {
			t.Errorf("%q: got %v, %v", text, p, err)
		}
	})
}

// FuzzHead reads heads. What is taken is the one way to write it, but for the case
// of letters.
func FuzzHead(f *testing.F) {
	f.Add("1:" + strings.Repeat("aF", 32))
	f.Add("-9223372036854775808:" + strings.Repeat("00", 32))
	f.Add("01:" + strings.Repeat("00", 32))
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHead(text)
		if err == nil && (h.String() != strings.ToLower(text) || h.Seq < 0) || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %s, %v", text, h, err)
		}
	})
}
