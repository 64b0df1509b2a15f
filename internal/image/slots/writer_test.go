package slots

import (
	"bytes"
	"errors"
	"testing"
)

// TestFileStaysInItsPlace: whatever a bundle says, nothing is written behind a file.
func TestFileStaysInItsPlace(t *testing.T) {
	m := &memory{b: make([]byte, 8)}
	out := newWriter(t.Context(), m)
	f := &file{out: out, at: 2, left: 3}
	if _, err := f.Write([]byte("1234")); !errors.Is(err, ErrChanged) {
		t.Errorf("longer: %v", err)
	}
	if _, err := f.Write([]byte("12")); err != nil {
		t.Error(err)
	}
	if err := f.Close(); !errors.Is(err, ErrChanged) {
		t.Errorf("shorter: %v", err)
	}
	if err := out.wait(nil); err != nil || !bytes.Equal(m.b, []byte("\x00\x0012\x00\x00\x00\x00")) {
		t.Errorf("%q, %v", m.b, err)
	}
}
