//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// conversion is a converted image.
type conversion struct {
	Image, Staging string
	Conversion     *staging.Conversion
	Recovery       *age.X25519Identity // opens the VMK
}

var conversions once[*conversion]

var firmwares once[string]

// firmware is the AmdSev build of OVMF.
func firmware(t testing.TB) string {
	t.Helper()
	return firmwares.get("amdsev", func() string {
		path := filepath.Join(scratch, "OVMF.amdsev.fd")
		if err := os.WriteFile(path, vectors.MustRead(t, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	})
}

// converted returns the converted image of a kind, with the simulated agent and
// the keys of the service.
func converted(t testing.TB, kind string) *conversion {
	t.Helper()
	return conversions.get(kind, func() *conversion { return convertImage(t, kind, filepath.Join(scratch, kind)) })
}

// convertImage converts an image into a directory of its own, with more flags.
func convertImage(t testing.TB, kind, dir string, flags ...string) *conversion {
	t.Helper()
	if kind == "ubuntu" {
		flags = append([]string{"--module-package", modulePackage(t)}, flags...)
	}
	return convertFile(t, image(t, kind), dir, flags...)
}

// convertFile converts an image file, unless flags say otherwise for the service.
func convertFile(t testing.TB, source, dir string, flags ...string) *conversion {
	t.Helper()
	w := theService(t)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	c := &conversion{Image: filepath.Join(dir, "image.qcow2"), Staging: filepath.Join(dir, "staging"), Recovery: identity}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"convert", "--in", source, "--out", c.Image, "--staging", c.Staging, "--firmware", firmware(t),
		"--simulate", "--agent-path", program("snpguard-agent-sim"),
		"--recovery-recipient", identity.Recipient().String(),
	}
	if !slices.Contains(flags, "--cmdline-append") && !slices.Contains(flags, "--no-encryption") {
		args = append(args, "--cmdline-append", patience)
	}
	if !slices.Contains(flags, "--service") {
		args = append(args, "--service", w.guestURL)
	}
	t.Log(snpguard(t, append(args, flags...)...))
	if c.Conversion, err = staging.Read(c.Staging); err != nil {
		t.Fatal(err)
	}
	return c
}

// patience has systemd wait longer than 90 s for a device, such as that of the serial
// console: under emulation on a busy machine udev starts late.
const patience = "systemd.default_device_timeout_sec=900"

// modulePackage is the package with what the Ubuntu-shaped image lacks.
func modulePackage(t testing.TB) string {
	t.Helper()
	packages, err := filepath.Glob(filepath.Join(filepath.Dir(image(t, "ubuntu")), "linux-modules-extra-*.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("module packages: %q, %v", packages, err)
	}
	return packages[0]
}

// partitionOf returns where a partition of a disk is, in bytes.
func partitionOf(t testing.TB, disk *qemu.Disk, number int) (offset, size int64) {
	t.Helper()
	sector, _, err := gpt.Detect(disk, disk.Size())
	if err != nil {
		t.Fatal(err)
	}
	table, err := gpt.Read(disk, disk.Size(), sector)
	if err != nil {
		t.Fatal(err)
	}
	for i := range table.Partitions {
		if p := &table.Partitions[i]; p.Number == number {
			return table.Offset(p), table.Size(p)
		}
	}
	t.Fatalf("no partition %d", number)
	return 0, 0
}

// hashOf returns the SHA-256 of a file's content.
func hashOf(t testing.TB, fsys fs.FS, path string) string {
	t.Helper()
	f, err := fsys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
