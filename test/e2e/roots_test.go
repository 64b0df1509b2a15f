//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestOtherRoots has the agent bring an xfs, on sectors of 512 bytes, and a btrfs under the
// key of an instance, all of them, and mount them, each with a second disk of the host's
// that holds the same file system by its UUID. The conversion of such roots needs
// libguestfs; here a converted ext4 makes place for them.
func TestOtherRoots(t *testing.T) {
	t.Parallel()
	for kind, fill := range map[string]func(t *testing.T, path, release string){"xfs": fillXFS, "btrfs": fillBtrfs} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := convertSmall(t, "debian", "root-"+kind, "--size", "512M", "--artifacts-size", "16M")
			root := filepath.Join(t.TempDir(), "root")
			writeFile(t, root, "")
			truncate(t, root, 384<<20)
			fill(t, root, c.Conversion.Kernel)
			uuid := strings.TrimSpace(output(t, "blkid", "-p", "-o", "value", "-s", "UUID", root))
			replaceRoot(t, c, kind, uuid, root)
			i := newInstance(t, c, registered(t, "root-"+kind, c, "--instances", "named"), "root-"+kind)
			v := boot(t, &i.conversion, i.bundle, "--instance", i.name, "--",
				"-drive", "if=none,format=raw,id=same,file="+root, "-device", "virtio-blk-pci,drive=same")
			readied(t, v)
			if found := told(t, v); !strings.Contains(found["options"], "- "+kind+" /dev/mapper/cryptroot ro") {
				t.Errorf("options %q", found["options"])
			}
			ended(t, v)
			i.in(t, wire.StateReady)
		})
	}
}

// replaceRoot puts another file system in the place of a converted image's, and its
// kind, UUID and modules into the initrd.
func replaceRoot(t *testing.T, c *conversion, kind, uuid, root string) {
	t.Helper()
	content, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	sector := map[string]int{"xfs": xts.SmallSector, "btrfs": xts.LargeSector}[kind]
	cipher, err := xts.New(recovered(t, c), sector)
	if err != nil {
		t.Fatal(err)
	}
	cipher.Encrypt(content, content, 0)
	at := c.Conversion.Disk.PayloadOffset
	for _, p := range c.Conversion.Disk.Partitions {
		if p.Number == c.Conversion.Disk.RootPartition {
			at += p.Offset
		}
	}
	overwrite(t, c.Image, at, content)

	path := filepath.Join(c.Staging, staging.NameInitrd)
	s := readInitrd(t, path)
	config, err := bootconf.Parse(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	config.Root.Filesystem, config.Root.FilesystemUUID, config.Root.SectorSize = kind, uuid, sector
	if s.Config, err = config.Encode(); err != nil {
		t.Fatal(err)
	}
	tree, err := kmod.Open(openRoot(t, image(t, "debian"), 1), c.Conversion.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	closure, err := tree.Closure(append(kmod.ForAgent(), kmod.ForRoot(kind)...))
	if err != nil {
		t.Fatal(err)
	}
	s.Modules = closure.Modules
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := initrd.Write(out, s, decompress.Zstd); err != nil {
		t.Fatal(err)
	}
	remove(t, filepath.Join(c.Staging, staging.NameConversion))
	if err := c.Conversion.Write(c.Staging); err != nil {
		t.Fatal(err)
	}
}

// readInitrd returns agent and configuration of an initrd.
func readInitrd(t *testing.T, path string) (s initrd.Segment) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = initrd.Walk(f, func(h *cpio.Header, r io.Reader) (err error) {
		switch "/" + h.Name {
		case bootconf.PathAgent:
			s.Agent, err = io.ReadAll(r)
		case bootconf.PathConfig:
			s.Config, err = io.ReadAll(r)
		}
		return err
	}, func(initrd.SegmentInfo) {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fillBtrfs makes a root whose init is the probe.
func fillBtrfs(t *testing.T, path, release string) {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "tree")
	for _, dir := range []string{"dev", "proc", "sys", "run", "sbin", "etc", "lib/modules/" + release} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	output(t, "cp", program("probe"), filepath.Join(tree, "sbin/init"))
	writeFile(t, filepath.Join(tree, "etc/machine-id"), "")
	output(t, "mkfs.btrfs", "-q", "-r", tree, path)
}

// fillXFS makes one by a prototype, as mkfs.xfs(8) has it.
func fillXFS(t *testing.T, path, release string) {
	t.Helper()
	dir := t.TempDir()
	proto, empty := filepath.Join(dir, "proto"), filepath.Join(dir, "empty")
	writeFile(t, empty, "")
	writeFile(t, proto, fmt.Sprintf(`/
0 0
d--755 0 0
dev d--755 0 0
$
proc d--755 0 0
$
sys d--755 0 0
$
run d--755 0 0
$
sbin d--755 0 0
init ---755 0 0 %s
$
etc d--755 0 0
machine-id ---644 0 0 %s
$
lib d--755 0 0
modules d--755 0 0
%s d--755 0 0
$
$
$
$
`, program("probe"), empty, release))
	output(t, "mkfs.xfs", "-q", "-f", "-s", "size=512", "-p", proto, path)
}
