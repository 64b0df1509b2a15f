package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func identityKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// TestForgedBundle gives a bundle that nobody has the key of, for an operator whose
// identity key is a point of small order: one manifest in eight has a signature of
// zeros that holds.
func TestForgedBundle(t *testing.T) {
	zeros := make(ed25519.PublicKey, ed25519.PublicKeySize)
	signature := make([]byte, ed25519.SignatureSize)
	manifest := unpack(t)[0].data
	for range 64 {
		signed := append([]byte("snpguard/v1/manifest\x00"), manifest...)
		if ed25519.Verify(zeros, signed, signature) {
			if m, err := bundle.ParseManifest(manifest, signature, zeros); !errors.Is(err, bundle.ErrSignature) {
				t.Errorf("a forged manifest was taken: %+v, %v", m, err)
			}
			return
		}
		manifest = append(manifest, ' ')
	}
	t.Error("nothing was forged, so this test shows nothing")
}

func blob(data string) bundle.Blob {
	return bundle.Blob{
		Size: int64(len(data)), SHA256: sha256.Sum256([]byte(data)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(data)), nil },
	}
}

func release() bundle.Release {
	variant := func(vcpus int, vcpuType string) bundle.ReleaseVariant {
		return bundle.ReleaseVariant{VCPUs: vcpus, VCPUType: vcpuType, Measurement: [48]byte{byte(vcpus)}, IDBlock: make([]byte, 96), IDAuth: make([]byte, 4096)}
	}
	return bundle.Release{
		Image: wire.UUID{1}, Release: wire.UUID{2}, ImageName: "debian", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Policy: 0x30000, Cmdline: "root=/dev/mapper/cryptroot",
		Firmware: blob("firmware"), Kernel: blob("kernel"), Initrd: blob(strings.Repeat("initrd", 100_000)),
		Variants: []bundle.ReleaseVariant{variant(2, "EPYC-Milan"), variant(4, "EPYC-Genoa")},
	}
}

func written(tb testing.TB, format bundle.Format) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := bundle.Write(&b, release(), identityKey(), format); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestExtractedLayout pins the names that launchers look for.
func TestExtractedLayout(t *testing.T) {
	for _, format := range []bundle.Format{bundle.Tar, bundle.TarGz} {
		dir := t.TempDir()
		m, err := bundle.Extract(bytes.NewReader(written(t, format)), dir, public(identityKey()))
		if err != nil {
			t.Fatal(err)
		}
		if m.Variants[1].Name() != "4xEPYC-Genoa" || m.ImageName != "debian" || m.Image != (wire.UUID{1}) {
			t.Errorf("manifest %+v", m)
		}
		checkLayout(t, dir)
	}
}

func checkLayout(t *testing.T, dir string) {
	t.Helper()
	want := map[string]int{
		"manifest.json": -1, "manifest.json.sig": 64, "firmware-code.fd": 8, "vmlinuz": 6, "initrd.img": 600_000, "kernel-params.txt": 26,
		"launch-config.json": -1, "id-block.bin": 96, "id-auth.bin": 4096, "variants/4xEPYC-Genoa.launch-config.json": -1,
		"variants/4xEPYC-Genoa.id-block.bin": 96, "variants/4xEPYC-Genoa.id-auth.bin": 4096,
	}
	for name, size := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || size >= 0 && info.Size() != int64(size) {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	found := 0
	if err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if !d.IsDir() {
			found++
		}
		return err
	}); err != nil || found != len(want) {
		t.Errorf("%d files, want %d, %v", found, len(want), err)
	}
	var config map[string]any
	data, err := os.ReadFile(filepath.Join(dir, "launch-config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &config); err != nil || config["vcpu-model"] != "EPYC-Milan" || config["vcpu-count"] != 2.0 || config["guest-policy"] != "0x30000" {
		t.Errorf("launch-config.json %v, %v", config, err)
	}
}

func TestTarIsReproducible(t *testing.T) {
	if !bytes.Equal(written(t, bundle.TarGz), written(t, bundle.TarGz)) {
		t.Error("the same release gave different bytes")
	}
}

// TestSquashFSIsRead unpacks with Debian's squashfs-tools.
func TestSquashFSIsRead(t *testing.T) {
	dir := t.TempDir()
	image, out := filepath.Join(dir, "image"), filepath.Join(dir, "out")
	if err := os.WriteFile(image, written(t, bundle.SquashFS), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("unsquashfs", "-no-progress", "-d", out, image).CombinedOutput(); err != nil {
		t.Fatalf("unsquashfs (Debian package squashfs-tools): %v\n%s", err, text)
	}
	checkLayout(t, out)
	manifest, err := os.ReadFile(filepath.Join(out, bundle.NameManifest))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := os.ReadFile(filepath.Join(out, bundle.NameSignature))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ParseManifest(manifest, signature, public(identityKey())); err != nil {
		t.Error(err)
	}
}

// entry is a file of a hostile archive.
type entry struct {
	tar.Header
	data []byte
}

func unpack(t *testing.T) []entry {
	t.Helper()
	var entries []entry
	tr := tar.NewReader(bytes.NewReader(written(t, bundle.Tar)))
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{*header, data})
	}
}

func pack(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, e := range entries {
		if e.Typeflag == tar.TypeReg {
			e.Size = int64(len(e.data))
		}
		e.Format = tar.FormatUnknown
		if err := tw.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// resign replaces the manifest and signs it with the right key: what a hostile
// or broken service could send.
func resign(t *testing.T, entries []entry, change func(*bundle.Manifest)) {
	t.Helper()
	var m bundle.Manifest
	if err := json.Unmarshal(entries[0].data, &m); err != nil {
		t.Fatal(err)
	}
	change(&m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sign(entries, data)
}

// sign replaces the manifest by any bytes and signs them with the right key.
func sign(entries []entry, manifest []byte) []entry {
	entries[0].data, entries[1].data = manifest, bundle.Sign(identityKey(), manifest)
	return entries
}

func TestHostileBundlesAreRefused(t *testing.T) {
	regular := func(name string) entry {
		return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, data: []byte("x")}
	}
	for _, tc := range []struct {
		name   string
		change func([]entry) []entry
		want   error
	}{
		{"another identity key", func(e []entry) []entry {
			e[1].data = bundle.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), e[0].data)
			return e
		}, bundle.ErrSignature},
		{"plain Ed25519 signature", func(e []entry) []entry { e[1].data = ed25519.Sign(identityKey(), e[0].data); return e }, bundle.ErrSignature},
		{"changed manifest", func(e []entry) []entry {
			e[0].data = bytes.Replace(e[0].data, []byte("EPYC-Milan"), []byte("EPYC-Genoa"), 1)
			return e
		}, bundle.ErrSignature},
		{"no signature", func(e []entry) []entry { return append(e[:1], e[2:]...) }, bundle.ErrBundle},
		{"changed kernel", func(e []entry) []entry { e[3].data = []byte("Kernel"); return e }, bundle.ErrBundle},
		{"longer kernel", func(e []entry) []entry { e[3].data = []byte("kernel!"); return e }, bundle.ErrBundle},
		{"swapped files", func(e []entry) []entry { e[2], e[3] = e[3], e[2]; return e }, bundle.ErrBundle},
		{"missing file", func(e []entry) []entry { return e[:len(e)-1] }, bundle.ErrBundle},
		{"one more file", func(e []entry) []entry { return append(e, regular("extra")) }, bundle.ErrBundle},
		{"symlink", func(e []entry) []entry {
			e[3].Header = tar.Header{Typeflag: tar.TypeSymlink, Name: "vmlinuz", Linkname: "/etc/shadow"}
			e[3].data = nil
			return e
		}, bundle.ErrBundle},
		{"device", func(e []entry) []entry {
			e[3].Header, e[3].data = tar.Header{Typeflag: tar.TypeBlock, Name: "vmlinuz"}, nil
			return e
		}, bundle.ErrBundle},
		{"signed path outside", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Files[1].Name = "../vmlinuz" })
			e[3].Name = "../vmlinuz"
			return e
		}, bundle.ErrBundle},
		{"signed absolute path", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Files[1].Name = "/vmlinuz" })
			return e
		}, bundle.ErrBundle},
		{"signed duplicate", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Files[1].Name = m.Files[0].Name })
			return e
		}, bundle.ErrBundle},
		{"signed field twice", func(e []entry) []entry {
			return sign(e, bytes.Replace(e[0].data, []byte(`"simulated"`), []byte(`"simulated":true,"simulated"`), 1))
		}, bundle.ErrBundle},
		{"signed field in another case", func(e []entry) []entry {
			return sign(e, bytes.Replace(e[0].data, []byte(`"simulated"`), []byte(`"Simulated"`), 1))
		}, bundle.ErrBundle},
		{"signed unknown field", func(e []entry) []entry {
			return sign(e, bytes.Replace(e[0].data, []byte(`"simulated"`), []byte(`"colour":1,"simulated"`), 1))
		}, bundle.ErrBundle},
		{"signed manifest over the manifest", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Files[1].Name = bundle.NameManifest })
			return e
		}, bundle.ErrBundle},
		{"signed huge size", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Files[1].Size = 1 << 40 })
			return e
		}, bundle.ErrBundle},
		{"signed bad hash", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Files[1].SHA256 = "zz" })
			return e
		}, bundle.ErrBundle},
		{"signed without firmware", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Files = m.Files[1:] })
			return append(e[:2], e[3:]...)
		}, bundle.ErrBundle},
		{"signed without ID block", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) {
				m.Files = slices.DeleteFunc(m.Files, func(f bundle.ManifestEntry) bool { return f.Name == bundle.NameIDBlock })
			})
			return e
		}, bundle.ErrBundle},
		{"signed other format", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Format = 2 })
			return e
		}, bundle.ErrBundle},
		{"signed without variants", func(e []entry) []entry {
			resign(t, e, func(m *bundle.Manifest) { m.Variants = nil })
			return e
		}, bundle.ErrBundle},
		{"huge manifest", func(e []entry) []entry { e[0].data = make([]byte, 2<<20); return e }, bundle.ErrBundle},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "out")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			data := pack(t, tc.change(unpack(t)))
			if _, err := bundle.Extract(bytes.NewReader(data), dir, public(identityKey())); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
				t.Errorf("wrote outside of its directory: %v, %v", entries, err)
			}
		})
	}
}

func TestVerifyRefusesDamage(t *testing.T) {
	whole := written(t, bundle.TarGz)
	if _, err := bundle.Verify(bytes.NewReader(whole), public(identityKey())); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, 20, len(whole) / 2, len(whole) - 600} {
		if _, err := bundle.Verify(bytes.NewReader(whole[:n]), public(identityKey())); !errors.Is(err, bundle.ErrBundle) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(whole), err)
		} else if n > 2 && !strings.Contains(err.Error(), "it is cut short") {
			t.Errorf("cut to %d of %d bytes: not said plainly: %v", n, len(whole), err)
		}
	}
	plain := written(t, bundle.Tar)
	for at := 512; at < len(plain)-1024; at += 100_001 {
		if _, err := bundle.Verify(bytes.NewReader(plain[:at]), public(identityKey())); !errors.Is(err, bundle.ErrBundle) {
			t.Errorf("tar cut to %d bytes: %v", at, err)
		}
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0xff
	if _, err := bundle.Verify(bytes.NewReader(flipped), public(identityKey())); !errors.Is(err, bundle.ErrBundle) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := bundle.Verify(bytes.NewReader(whole), nil); !errors.Is(err, bundle.ErrSignature) {
		t.Errorf("without a key: got %v", err)
	}
}
