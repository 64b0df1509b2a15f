package store

import (
	"errors"
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
