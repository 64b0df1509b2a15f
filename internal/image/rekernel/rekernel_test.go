package rekernel_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rekernel"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

const (
	first   = "6.12.117+deb13-cloud-amd64"
	second  = "6.12.121+deb13-cloud-amd64"
	cmdline = "console=ttyS0 rdinit=/snpguard/agent root=/dev/mapper/cryptroot"
)

func config(tb testing.TB, change func(*bootconf.Config)) []byte {
	tb.Helper()
	c := &bootconf.Config{
		Format: bootconf.Format, ImageID: wire.UUID{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47, 0x88, 0x89}, Services: []string{"https://attest.example.org"},
		CA:            string(simtest.AMD(tb).Line(snp.Milan).ARK.PEM()),
		IdentityKey:   launchtest.Identity().Public().(ed25519.PublicKey),
		VMKCommitment: strings.Repeat("0", 64), Initrd: bootconf.InitrdMinimal, Modules: bootconf.ModulesRequired, Deadline: 60,
		Root: bootconf.Root{
			PartitionGUID: "0fc63daf-8483-4772-8e79-3d69d8477de4", FilesystemUUID: "11111111-2222-3333-4444-555555555555", SealedVMKOffset: 12 << 20,
			PayloadOffset: 16 << 20, Cipher: bootconf.Cipher, SectorSize: 4096, Filesystem: "ext4", Mount: bootconf.Mount{Options: []string{}},
		},
		Network: bootconf.Network{Mode: bootconf.ModeDHCP}, UnsealingKey: make([]byte, wire.PublicKeySize),
	}
	change(c)
	encoded, err := c.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return encoded
}

func unchanged(*bootconf.Config) {}

func segment(tb testing.TB) initrd.Segment {
	tb.Helper()
	return initrd.Segment{Agent: []byte("the agent"), Config: config(tb, unchanged), Modules: []kmod.Module{{Name: "dm_mod", Data: []byte("old")}}}
}

func packed(tb testing.TB, s initrd.Segment) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := initrd.Write(&b, s, decompress.Zstd); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// extract opens a release with two variants.
func extract(tb testing.TB, r launchtest.Release) (*rekernel.Release, error) {
	tb.Helper()
	dir := tb.TempDir()
	if r.Cmdline == "" {
		r.Cmdline = cmdline
	}
	r.Variants = []measure.VCPUs{launchtest.VCPUs(tb, 2, "EPYC-Milan"), launchtest.VCPUs(tb, 4, "EPYC-Genoa")}
	m, err := bundle.Extract(bytes.NewReader(launchtest.Bundle(tb, r)), dir, launchtest.Identity().Public().(ed25519.PublicKey))
	if err != nil {
		tb.Fatal(err)
	}
	return rekernel.Open(dir, m)
}

func registered(tb testing.TB) *rekernel.Release {
	tb.Helper()
	r, err := extract(tb, launchtest.Release{Kernel: []byte("old kernel"), Initrd: packed(tb, segment(tb))})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func openSet(tb testing.TB, files ...pkgtest.File) *linuxpkg.Set {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "kernel.deb")
	if err := os.WriteFile(file, pkgtest.Deb(tb, "linux-image", "1", ".gz", files...), 0o600); err != nil {
		tb.Fatal(err)
	}
	set, err := linuxpkg.Open(tb.TempDir(), linuxpkg.Source{Path: file})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { set.Close() }) //nolint:errcheck // the directory goes with the test
	return set
}

func kernel(tb testing.TB, r *rekernel.Release, release string) *rekernel.Kernel {
	tb.Helper()
	k, err := rekernel.OfPackages(openSet(tb, pkgtest.Kernel(release, "./")...), r.Config)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func written(tb testing.TB, r *rekernel.Release, k *rekernel.Kernel, agent []byte) (kernel, ramdisk []byte) {
	tb.Helper()
	files, err := r.Write(tb.TempDir(), k, agent)
	if err != nil {
		tb.Fatal(err)
	}
	var content [2][]byte
	for i, path := range []string{files.Kernel, files.Initrd} {
		if content[i], err = os.ReadFile(path); err != nil {
			tb.Fatal(err)
		}
	}
	return content[0], content[1]
}

// The same release and packages give the same bytes, and those are recomputed.
func TestSameInputsSameBytes(t *testing.T) {
	base := registered(t)
	vmlinuz, ramdisk := written(t, base, kernel(t, base, second), nil)
	again, ramdiskAgain := written(t, registered(t), kernel(t, base, second), nil)
	if !bytes.Equal(vmlinuz, again) || !bytes.Equal(ramdisk, ramdiskAgain) || string(vmlinuz) != pkgtest.Image(second) {
		t.Error("the same inputs gave other bytes")
	}
	s, format, err := initrd.Read(bytes.NewReader(ramdisk))
	if err != nil || format != decompress.Zstd || string(s.Agent) != "the agent" || !bytes.Equal(s.Config, base.Segment.Config) || len(s.Modules) != 8 {
		t.Errorf("initrd %+v, %s, %v", s, format, err)
	}
	if _, other := written(t, base, kernel(t, base, second), []byte("a newer agent")); bytes.Equal(other, ramdisk) {
		t.Error("another agent changed nothing")
	}
}

func compare(t *testing.T, r *rekernel.Release, with *rekernel.Comparison) map[string]rekernel.State {
	t.Helper()
	parts, err := r.Compare(with)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]rekernel.State{}
	for _, p := range parts {
		if p.Detail == "" {
			t.Errorf("%s says nothing", p.Name)
		}
		states[p.Name] = p.State
	}
	return states
}

func differing(states map[string]rekernel.State) (names []string) {
	for name, state := range states {
		if state == rekernel.Differs {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestCompare(t *testing.T) {
	base := registered(t)
	vmlinuz, ramdisk := written(t, base, kernel(t, base, second), nil)
	good := launchtest.Release{Kernel: vmlinuz, Initrd: ramdisk}
	s, _, err := initrd.Read(bytes.NewReader(ramdisk))
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*initrd.Segment)) launchtest.Release {
		other := *s
		other.Modules = slices.Clone(s.Modules)
		change(&other)
		return launchtest.Release{Kernel: vmlinuz, Initrd: packed(t, other)}
	}
	for name, tc := range map[string]struct {
		release launchtest.Release
		want    string // that differs
	}{
		"the same":         {good, ""},
		"another kernel":   {launchtest.Release{Kernel: append(slices.Clone(vmlinuz), 0), Initrd: ramdisk}, "kernel"},
		"an older kernel":  {launchtest.Release{Kernel: []byte(pkgtest.Image(first)), Initrd: ramdisk}, "kernel"},
		"a patched module": {with(func(s *initrd.Segment) { s.Modules[0].Data = append(slices.Clone(s.Modules[0].Data), "evil"...) }), "modules"},
		"one module less":  {with(func(s *initrd.Segment) { s.Modules = s.Modules[:3] }), "modules"},
		"one module more":  {with(func(s *initrd.Segment) { s.Modules = append(s.Modules, kmod.Module{Name: "evil", Data: []byte("x")}) }), "modules"},
		"another order":    {with(func(s *initrd.Segment) { slices.Reverse(s.Modules) }), "modules"},
		"another service": {with(func(s *initrd.Segment) {
			s.Config = config(t, func(c *bootconf.Config) { c.Services = []string{"https://evil.example.org"} })
		}), "configuration"},
		"another command line":                 {launchtest.Release{Kernel: vmlinuz, Initrd: ramdisk, Cmdline: cmdline + " systemd.debug_shell"}, "command line"},
		"another digest":                       {launchtest.Release{Kernel: vmlinuz, Initrd: ramdisk, Change: func(r *bundle.Release) { r.Variants[1].Measurement[0] ^= 1 }}, "launch digest 4xEPYC-Genoa"},
		"a command line that was not measured": {launchtest.Release{Kernel: vmlinuz, Initrd: ramdisk, Change: func(r *bundle.Release) { r.Cmdline += " " }}, "command line launch digest 2xEPYC-Milan launch digest 4xEPYC-Genoa"},
	} {
		r, err := extract(t, tc.release)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		states := compare(t, r, &rekernel.Comparison{Kernel: kernel(t, base, second), From: base, Agent: []byte("the agent"), Published: true})
		if got := strings.Join(differing(states), " "); got != tc.want || states["agent"] != rekernel.Same || states["firmware"] != rekernel.Same {
			t.Errorf("%s: %q differs, want %q; %v", name, got, tc.want, states)
		}
	}
}

// What was compared with nothing is not called the same.
func TestUnchecked(t *testing.T) {
	base := registered(t)
	vmlinuz, ramdisk := written(t, base, kernel(t, base, second), []byte("an agent of nobody"))
	r, err := extract(t, launchtest.Release{Kernel: vmlinuz, Initrd: ramdisk})
	if err != nil {
		t.Fatal(err)
	}
	alone := compare(t, r, &rekernel.Comparison{Kernel: kernel(t, base, second)})
	for _, name := range []string{"agent", "firmware", "command line", "configuration"} {
		if alone[name] != rekernel.Unchecked {
			t.Errorf("%s is %s", name, alone[name])
		}
	}
	if got := compare(t, r, &rekernel.Comparison{Kernel: kernel(t, base, second), From: base, Agent: []byte("the agent"), Published: true}); got["agent"] != rekernel.Unchecked || got["configuration"] != rekernel.Same {
		t.Errorf("got %v", got)
	}
	// The agent of a build that was not published vouches for nothing.
	if got := compare(t, r, &rekernel.Comparison{Kernel: kernel(t, base, second), From: base, Agent: []byte("an agent of nobody")}); got["agent"] != rekernel.Unchecked {
		t.Errorf("got %v", got)
	}
}

// No release is made of, and none verified, whose initrd holds more than is ours.
func TestOtherReleasesAreRefused(t *testing.T) {
	ours := segment(t)
	for name, ramdisk := range map[string][]byte{
		"a second archive":     slices.Concat(packed(t, ours), packed(t, ours)),
		"a distribution's":     slices.Concat([]byte("0707010"), packed(t, ours)),
		"no configuration":     packed(t, initrd.Segment{Agent: ours.Agent, Config: []byte("{}\n")}),
		"of another image":     packed(t, initrd.Segment{Agent: ours.Agent, Config: config(t, func(c *bootconf.Config) { c.ImageID = wire.UUID{1} })}),
		"distribution's words": packed(t, initrd.Segment{Agent: ours.Agent, Config: config(t, func(c *bootconf.Config) { c.Initrd = bootconf.InitrdDistribution })}),
	} {
		if r, err := extract(t, launchtest.Release{Kernel: []byte("kernel"), Initrd: ramdisk}); !errors.Is(err, rekernel.ErrRelease) {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}

func TestUnfitKernelsAreRefused(t *testing.T) {
	base := registered(t)
	files := pkgtest.Kernel(first, "./")
	replaced := func(name, content string) []pkgtest.File {
		changed := slices.Clone(files)
		for i, f := range changed {
			if strings.Contains(f.Name, name) {
				changed[i].Content = content
			}
		}
		return changed
	}
	for want, changed := range map[string][]pkgtest.File{
		"CONFIG_AMD_MEM_ENCRYPT is not set":          replaced("config-", "CONFIG_RD_ZSTD=y\n"),
		"sev_guest is neither built in nor a module": slices.DeleteFunc(slices.Clone(files), func(f pkgtest.File) bool { return strings.Contains(f.Name, "sev-guest") }),
		"neither built in nor as a module: ext4":     replaced("modules.builtin", "kernel/crypto/aes_generic.ko\n"),
		`calls itself "6.12.121+deb13-cloud-amd64"`:  replaced("vmlinuz-", pkgtest.Image(second)),
		"no bzImage for x86":                         replaced("vmlinuz-", "a kernel of another kind"),
		"was built for Linux \"6.12.121":             replaced("dm-mod.ko", pkgtest.Module(second, "dm_mod", "")),
	} {
		if _, err := rekernel.OfPackages(openSet(t, changed...), base.Config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestOtherArchitecturesAreRefused(t *testing.T) {
	control := bytes.ReplaceAll(pkgtest.Control(t, "linux-image", "1"), []byte("amd64"), []byte("arm64"))
	file := filepath.Join(t.TempDir(), "kernel.deb")
	content := pkgtest.Ar(pkgtest.File{Name: "debian-binary", Content: "2.0\n"}, pkgtest.File{Name: "control.tar", Content: string(control)},
		pkgtest.File{Name: "data.tar", Content: string(pkgtest.Tar(t, pkgtest.Kernel(second, "./")...))})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := linuxpkg.Open(t.TempDir(), linuxpkg.Source{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close() //nolint:errcheck // the directory goes with the test
	if _, err := rekernel.OfPackages(set, registered(t).Config); !errors.Is(err, rekernel.ErrKernel) || !strings.Contains(err.Error(), "linux-image is for arm64") {
		t.Errorf("got %v", err)
	}
}

// A kernel and an initrd that are given as they are need an agent, or no root opens.
func TestWithFiles(t *testing.T) {
	base, dir := registered(t), t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	if err := os.WriteFile(good, packed(t, segment(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := rekernel.WithFiles(base.Dir, "vmlinuz", good)
	if err != nil || files.Kernel != "vmlinuz" || files.Initrd != good || files.Firmware != filepath.Join(base.Dir, bundle.NameFirmware) || files.Cmdline != filepath.Join(base.Dir, bundle.NameCmdline) {
		t.Errorf("got %+v, %v", files, err)
	}
	var empty bytes.Buffer
	w := cpio.NewWriter(&empty)
	if err := errors.Join(w.Add(cpio.Header{Name: "init", Mode: cpio.ModeRegular | 0o755}, []byte("init")), w.Close(), os.WriteFile(bad, empty.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := rekernel.WithFiles(base.Dir, "vmlinuz", bad); !errors.Is(err, rekernel.ErrRelease) {
		t.Errorf("no agent: %v", err)
	}
	if err := os.WriteFile(bad, []byte("initrd"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rekernel.WithFiles(base.Dir, "vmlinuz", bad); !errors.Is(err, initrd.ErrMalformed) {
		t.Errorf("not an initrd: %v", err)
	}
	if _, err := rekernel.WithFiles(base.Dir, "vmlinuz", filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no initrd: %v", err)
	}
}

// A distribution's initrd gets the agent and configuration of the release before, and
// the modules of the packages.
func TestDistribution(t *testing.T) {
	var original bytes.Buffer
	w := cpio.NewWriter(&original)
	if err := errors.Join(w.Add(cpio.Header{Name: "init", Mode: cpio.ModeRegular | 0o755}, []byte("init")), w.Close()); err != nil {
		t.Fatal(err)
	}
	appended := func(c []byte) []byte {
		var b bytes.Buffer
		s := segment(t)
		s.Config = c
		if _, err := initrd.Append(&b, bytes.NewReader(original.Bytes()), s, decompress.Zstd); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := config(t, func(c *bootconf.Config) { c.Initrd = bootconf.InitrdDistribution })
	open := func(ramdisk []byte) (*rekernel.Release, error) {
		dir := t.TempDir()
		b := launchtest.Bundle(t, launchtest.Release{Kernel: []byte("old"), Initrd: ramdisk, Cmdline: cmdline})
		m, err := bundle.Extract(bytes.NewReader(b), dir, launchtest.Identity().Public().(ed25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		return rekernel.OpenDistribution(dir, m)
	}
	base, err := open(appended(good))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(file, original.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := base.WriteAppended(t.TempDir(), kernel(t, base, second), nil, file)
	if err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(files.Initrd)
	if err != nil {
		t.Fatal(err)
	}
	s, err := initrd.ReadAppended(bytes.NewReader(made))
	if err != nil || !bytes.HasPrefix(made, original.Bytes()) || string(s.Agent) != "the agent" || !bytes.Equal(s.Config, good) {
		t.Errorf("made %+v, %v", s, err)
	}
	if _, err := base.WriteAppended(t.TempDir(), kernel(t, base, second), nil, files.Initrd); !errors.Is(err, rekernel.ErrRelease) {
		t.Errorf("an initrd with an agent: %v", err)
	}
	for name, ramdisk := range map[string][]byte{
		"no agent":           original.Bytes(),
		"of a minimal image": appended(config(t, unchanged)),
		"not an initrd":      []byte("initrd"),
	} {
		if r, err := open(ramdisk); !errors.Is(err, rekernel.ErrRelease) {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}
