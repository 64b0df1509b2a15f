package slots

import (
	"bytes"
	"errors"
	"testing"
)

// TestWindow: nothing beside the window is read or written.
func TestWindow(t *testing.T) {
	m := &memory{b: []byte("0123456789")}
	w := Window(m, 3, 4)
	for _, off := range []int64{-1, 3, 4, 5, 1 << 62, -1 << 63} {
		if _, err := w.WriteAt([]byte("xy"), off); !errors.Is(err, errOutside) {
			t.Errorf("write at %d: %v", off, err)
		}
		if _, err := w.ReadAt(make([]byte, 2), off); !errors.Is(err, errOutside) {
			t.Errorf("read at %d: %v", off, err)
		}
	}
	_, err := w.WriteAt([]byte("abcd"), 0)
	must(t, err)
	p := make([]byte, 4)
	_, err = w.ReadAt(p, 0)
	must(t, errors.Join(err, w.Sync()))
	if string(p) != "abcd" || !bytes.Equal(m.b, []byte("012abcd789")) {
		t.Errorf("%q, %q", p, m.b)
	}
}
