//go:build e2e

package e2e

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// ownImage copies a converted image, since embedding changes it in place.
func ownImage(t *testing.T, c *conversion) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	copyImage(t, c.Image, path)
	return path
}

func copyImage(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// soundDisk asks qemu-img and sgdisk about a disk and returns it as a raw file.
func soundDisk(t *testing.T, image string) string {
	t.Helper()
	output(t, "qemu-img", "check", image)
	raw := filepath.Join(t.TempDir(), "disk.raw")
	output(t, "qemu-img", "convert", "-O", "raw", image, raw)
	if out := output(t, "sgdisk", "-v", raw); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	return raw
}

// soundRoot asks e2fsck about the root of a disk that nobody has cut off.
func soundRoot(t *testing.T, raw string, c *conversion) {
	t.Helper()
	part := rootPartition(t, raw, c.Conversion)
	plain := decrypted(t, part, recovered(t, c), c.Conversion)
	output(t, "e2fsck", "-f", "-n", plain)
	remove(t, part)
	remove(t, plain)
}

// soundArtifacts asks e2fsck about what the host reads before it launches.
func soundArtifacts(t *testing.T, raw string) {
	t.Helper()
	for line := range strings.Lines(output(t, "sgdisk", "-p", raw)) {
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[len(fields)-1] != "LAUNCH_ARTIFACTS" {
			continue
		}
		part := filepath.Join(t.TempDir(), "part")
		output(t, "dd", "if="+raw, "of="+part, "bs=512", "conv=sparse", "skip="+fields[1])
		output(t, "e2fsck", "-f", "-n", part)
		remove(t, part)
		return
	}
	t.Error("no partition LAUNCH_ARTIFACTS")
}

// TestBootFromTheDiskAlone embeds, boots what is on the disk up to the login prompt,
// and embeds what it exports. Other programs look at the disk after each step.
// TestNextKernel boots another image alone.
func TestBootFromTheDiskAlone(t *testing.T) {
	t.Parallel()
	c := converted(t, "dracut")
	bundle, image := registered(t, "dracut", c), ownImage(t, c)
	raw := soundDisk(t, image)
	soundRoot(t, raw, c)
	remove(t, raw)
	snpguard(t, "embed", "--image", image, "--bundle", bundle)
	raw = soundDisk(t, image)
	soundRoot(t, raw, c)
	soundArtifacts(t, raw)
	remove(t, raw)
	v := bootAlone(t, image, "--sim-state", theService(t).simState)
	expect(t, v, `snpguard: \[[0-9.]+s\] .*unlock: key released`, untilAgent)
	login(t, v)
	v.Stop()
	again := filepath.Join(t.TempDir(), "again.tar.gz")
	snpguard(t, "artifacts", "export", "--image", image, "--bundle", again)
	snpguard(t, "embed", "--image", image, "--bundle", again, "--update")
	if shown := snpguard(t, "artifacts", "show", "--image", image); !strings.Contains(shown, "A (active)") {
		t.Errorf("the same bundle went into another slot:\n%s", shown)
	}
	soundArtifacts(t, soundDisk(t, image))
}

// bootAlone launches a disk without a bundle beside it, simulated.
func bootAlone(t *testing.T, image string, flags ...string) *vm.VM {
	t.Helper()
	return start(t, append([]string{program("snpguard"), "launch", "--image", image, "--memory", "1G", "--simulate"}, flags...))
}

// TestBootWithoutEncryption embeds what no service has signed, and boots it until
// the system runs from its plain root.
func TestBootWithoutEncryption(t *testing.T) {
	t.Parallel()
	c := convertFile(t, image(t, "debian"), t.TempDir(), "--no-encryption")
	snpguard(t, "launch-config", "--staging", c.Staging, "--vcpus", "2", "--vcpu-type", variantType)
	snpguard(t, "embed", "--image", c.Image, "--staging", c.Staging)
	soundArtifacts(t, soundDisk(t, c.Image))
	v := bootAlone(t, c.Image, "--sim-state", theService(t).simState, "--unsigned")
	expect(t, v, `EXT4-fs \(vda1\): mounted filesystem`, untilAgent)
	expect(t, v, `systemd\[1\]: Detected architecture`, untilLogin)
}
