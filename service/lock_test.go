package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestOneServiceEach starts a second service with the data directory of one that runs,
// which could be of another kind, and again after that has ended.
func TestOneServiceEach(t *testing.T) {
	s, data := simulate(t), filepath.Join(t.TempDir(), "data")
	first := start(t, "--data", data)
	for _, args := range [][]string{{"--data", data}, s.flags("--data", data)} {
		if out := once(t, 3, args...); !strings.Contains(out, "another service uses this data directory") {
			t.Errorf("%v: it says %s", args, out)
		}
	}
	first.stop(t)
	start(t, "--data", data).stop(t)
}

// TestKindsDoNotMix starts a service on a database with images of the other kind.
func TestKindsDoNotMix(t *testing.T) {
	s, dir := simulate(t), t.TempDir()
	genuine, simulated := filepath.Join(dir, "genuine"), filepath.Join(dir, "simulated")
	for data, flags := range map[string][]string{genuine: {"--data", genuine}, simulated: s.flags("--data", simulated)} {
		p := start(t, flags...)
		c, l := login(t, p)
		register(t, c, l.IngestionKey, nil)
		p.stop(t)
		start(t, flags...).stop(t)
		if out := once(t, 3, map[string][]string{genuine: s.flags("--data", genuine), simulated: {"--data", simulated}}[data]...); !strings.Contains(out, "the database has images that were registered under") {
			t.Errorf("%s: it says %s", data, out)
		}
	}
}
