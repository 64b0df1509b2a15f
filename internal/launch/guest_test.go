package launch_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// extract unpacks a bundle and returns where.
func extract(t *testing.T, r launchtest.Release) (string, *bundle.Manifest) {
	t.Helper()
	dir := t.TempDir()
	m, err := bundle.Extract(bytes.NewReader(launchtest.Bundle(t, r)), dir, launchtest.Identity().Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func release(t *testing.T) launchtest.Release {
	return launchtest.Release{
		Kernel: []byte("kernel"), Initrd: []byte("initrd"), Cmdline: "root=/dev/mapper/cryptroot quiet",
		Variants: []measure.VCPUs{launchtest.VCPUs(t, 2, "EPYC-Milan"), launchtest.VCPUs(t, 4, "EPYC-Genoa-v2")},
	}
}

// guest returns a guest that can be launched.
func guest(t *testing.T) *launch.Guest {
	t.Helper()
	dir, m := extract(t, release(t))
	g, err := launch.Load(dir, m, "")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestUnsigned launches without an ID block, on a chip as beside a simulated one.
func TestUnsigned(t *testing.T) {
	r := release(t)
	r.Unsigned = true
	dir := t.TempDir()
	m, err := bundle.Trust{Unsigned: true}.Extract(bytes.NewReader(launchtest.Bundle(t, r)), dir)
	if err != nil {
		t.Fatal(err)
	}
	g, err := launch.Load(dir, m, "4xEPYC-Genoa-v2")
	if err != nil || g.IDBlock != nil || g.IDAuth != nil || g.AuthorKey || g.VCPUs.Count != 4 || g.Policy != idblock.DefaultPolicy {
		t.Fatalf("%+v, %v", g, err)
	}
	s := launch.SNP{Guest: g, Machine: machine(), Encryption: launch.Encryption{CBitPos: 51, ReducedPhysBits: 1}}
	if args := strings.Join(s.Args(), " "); strings.Contains(args, "id-block") || strings.Contains(args, "author-key") ||
		!strings.Contains(args, "sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1,policy=0x30000,kernel-hashes=on ") {
		t.Error(args)
	}
	s.Machine.Network.SSHPort = 0
	if xml, err := s.Domain("guest"); err != nil || bytes.Contains(xml, []byte("<id")) || !bytes.Contains(xml, []byte(`authorKey="no"`)) {
		t.Errorf("%s, %v", xml, err)
	}
	m.Variants[0].Policy = "0"
	g, err = launch.Load(dir, m, "")
	if err == nil {
		t.Errorf("a policy that there is not: %+v", g)
	}
}

func TestLoad(t *testing.T) {
	dir, m := extract(t, release(t))
	var blocks [][]byte
	for variant, want := range map[string]string{"": "2xEPYC-Milan", "2xEPYC-Milan": "2xEPYC-Milan", "4xEPYC-Genoa-v2": "4xEPYC-Genoa-v2"} {
		g, err := launch.Load(dir, m, variant)
		if err != nil {
			t.Fatal(err)
		}
		if g.VCPUs.String() != want || g.Policy != idblock.DefaultPolicy || !g.AuthorKey || !g.Simulated ||
			g.Cmdline != "root=/dev/mapper/cryptroot quiet" || g.Kernel != filepath.Join(dir, "vmlinuz") {
			t.Errorf("%q: %+v", variant, g)
		}
		block, err := idblock.Parse(g.IDBlock)
		if err != nil {
			t.Fatal(err)
		}
		if measured := m.Variants[map[string]int{"4xEPYC-Genoa-v2": 1}[want]].Measurement; measured != measure.Digest(block.LaunchDigest).String() {
			t.Errorf("%q: ID block of another variant", variant)
		}
		blocks = append(blocks, g.IDBlock)
	}
	if len(blocks) != 3 {
		t.Fatal("a variant is missing")
	}
	if _, err := launch.Load(dir, m, "8xEPYC-Milan"); !errors.Is(err, launch.ErrVariant) || !strings.Contains(err.Error(), "2xEPYC-Milan, 4xEPYC-Genoa-v2") {
		t.Errorf("got %v", err)
	}
}

// TestHostileBundles are signed, as by a service that went bad or was tricked.
func TestHostileBundles(t *testing.T) {
	for name, change := range map[string]func(*bundle.Release){
		"vCPU type with an option":        func(r *bundle.Release) { r.Variants[0].VCPUType = "EPYC-Milan,+debug" },
		"host vCPU":                       func(r *bundle.Release) { r.Variants[0].VCPUType = "host" },
		"no vCPUs":                        func(r *bundle.Release) { r.Variants[0].VCPUs = 0 },
		"too many vCPUs":                  func(r *bundle.Release) { r.Variants[0].VCPUs = 1 << 20 },
		"invalid policy":                  func(r *bundle.Release) { r.Policy = 1 << 40 },
		"policy of another ID block":      func(r *bundle.Release) { r.Policy |= uint64(idblock.PolicyDebug) },
		"digest of another ID block":      func(r *bundle.Release) { r.Variants[0].Measurement[0]++ },
		"changed ID block":                func(r *bundle.Release) { r.Variants[0].IDBlock[0x30]++ },
		"short ID block":                  func(r *bundle.Release) { r.Variants[0].IDBlock = r.Variants[0].IDBlock[:95] },
		"long ID block":                   func(r *bundle.Release) { r.Variants[0].IDBlock = make([]byte, 97) },
		"no authentication":               func(r *bundle.Release) { r.Variants[0].IDAuth = nil },
		"authentication of another":       func(r *bundle.Release) { r.Variants[0].IDAuth = make([]byte, 4096) },
		"newline in the command line":     func(r *bundle.Release) { r.Cmdline += "\n" },
		"escape code in the command line": func(r *bundle.Release) { r.Cmdline += "\x1b[2J" },
		"long command line":               func(r *bundle.Release) { r.Cmdline = strings.Repeat("x", 2048) },
	} {
		r := release(t)
		r.Variants, r.Change = r.Variants[:1], change
		dir, m := extract(t, r)
		if g, err := launch.Load(dir, m, ""); !errors.Is(err, launch.ErrGuest) {
			t.Errorf("%s: got %+v, %v", name, g, err)
		}
	}
}

func TestLoadMissingFile(t *testing.T) {
	for _, name := range []string{bundle.NameIDBlock, bundle.NameIDAuth, bundle.NameCmdline} {
		dir, m := extract(t, release(t))
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := launch.Load(dir, m, ""); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
