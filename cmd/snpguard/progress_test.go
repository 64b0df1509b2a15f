package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A bar is not drawn for what is over at once, nor for every byte, and fits into 60
// columns.
func TestProgressIsCalm(t *testing.T) {
	for _, size := range []int64{1 << 30, -1} {
		var out bytes.Buffer
		p := newBar(&out, "upload", size)
		for range 2000 {
			p.add(1000)
		}
		if strings.Contains(out.String(), "/s") {
			t.Errorf("drawn at once: %q", out.String())
		}
		p.started = p.started.Add(-time.Minute)
		out.Reset()
		for range 2000 {
			p.add(1000)
		}
		frames := strings.Split(strings.Trim(out.String(), "\r"), "\r")
		if len(frames) > 20 {
			t.Errorf("%d frames", len(frames))
		}
		for _, frame := range frames {
			if len([]rune(frame)) > 60 {
				t.Errorf("%d columns: %q", len([]rune(frame)), frame)
			}
		}
		p.done()
	}
}
