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
	for what, size := range map[string]int64{
		"upload": 1 << 30, "    ": 1 << 40, "download " + strings.Repeat("/long", 100) + "/bundle.tar.gz": -1, "copy " + strings.Repeat("ü", 100): 1 << 30,
	} {
		var out bytes.Buffer
		p := newBar(&out, what, size)
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
	if got := fit("download /srv/images/debian/launch-artifacts.tar.gz", 24); got != "download /s…facts.tar.gz" {
		t.Errorf("fit: %q", got)
	}
}
