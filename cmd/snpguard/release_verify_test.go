package main

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rekernel"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestServiceShowsAnotherRelease is a service that signs one bundle and shows something
// else to who approves.
func TestServiceShowsAnotherRelease(t *testing.T) {
	dir := t.TempDir()
	m, err := bundle.Extract(bytes.NewReader(launchtest.Bundle(t, launchtest.Release{Kernel: []byte("kernel"), Initrd: []byte("initrd"), Cmdline: "quiet"})),
		dir, launchtest.Identity().Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	r := &rekernel.Release{Dir: dir, Manifest: m}
	shown := wire.Release{Cmdline: "quiet"}
	for _, f := range m.Files {
		if slices.Contains([]string{bundle.NameFirmware, bundle.NameKernel, bundle.NameInitrd}, f.Name) {
			shown.Artifacts = append(shown.Artifacts, wire.Artifact{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
		}
	}
	for _, v := range m.Variants {
		shown.Variants = append(shown.Variants, wire.Variant{VCPUs: v.VCPUs, VCPUType: v.VCPUType, Measurement: v.Measurement})
	}
	if p := compareRecord(&shown, r); p.State != rekernel.Same {
		t.Errorf("the same: %+v", p)
	}
	for want, change := range map[string]func(*wire.Release){
		"the bundle has another vmlinuz":                          func(s *wire.Release) { s.Artifacts[1].SHA256 = strings.Repeat("0", 64) },
		"the bundle has another initrd.img":                       func(s *wire.Release) { s.Artifacts = s.Artifacts[:2] },
		"the bundle has other variants":                           func(s *wire.Release) { s.Variants = nil },
		"the service shows another launch digest of 2xEPYC-Milan": func(s *wire.Release) { s.Variants[0].Measurement = strings.Repeat("0", 96) },
		"the service shows another command line":                  func(s *wire.Release) { s.Cmdline = "quiet splash" },
	} {
		other := shown
		other.Artifacts, other.Variants = slices.Clone(shown.Artifacts), slices.Clone(shown.Variants)
		change(&other)
		if p := compareRecord(&other, r); p.State != rekernel.Differs || !strings.HasPrefix(p.Detail, want) {
			t.Errorf("want %q, got %+v", want, p)
		}
	}
}
