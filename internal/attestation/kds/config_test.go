package kds_test

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

func TestConfigRefused(t *testing.T) {
	w := newWorld(t)
	for name, cfg := range map[string]kds.Config{
		"no cache":      {Roots: rootsOf(w.amd)},
		"no roots":      {Cache: w.cache},
		"bad address":   {Cache: w.cache, Roots: rootsOf(w.amd), BaseURL: "kdsintf.amd.com"},
		"no stale time": {Cache: w.cache, Roots: rootsOf(w.amd), Revocation: kds.Revocation{Mode: kds.FailCached}},
		"no such mode":  {Cache: w.cache, Roots: rootsOf(w.amd), Revocation: kds.Revocation{Mode: 3}},
	} {
		if _, err := kds.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, m := range []kds.FailMode{kds.FailStrict, kds.FailCached, kds.FailOff} {
		if got, err := kds.ParseFailMode(m.String()); got != m || err != nil {
			t.Errorf("%s: got %s, %v", m, got, err)
		}
	}
	if _, err := kds.ParseFailMode("soft"); err == nil {
		t.Error("fail mode soft")
	}
}
