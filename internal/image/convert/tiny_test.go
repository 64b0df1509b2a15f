package convert

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// tinyRelease is the kernel of tiny images.
const tinyRelease = "6.1.0-tiny"

// put writes a file of a tree.
func put(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tinyInitrd is an initrd with files of the given names.
func tinyInitrd(t *testing.T, names ...string) string {
	t.Helper()
	var b strings.Builder
	w := cpio.NewWriter(&b)
	for _, name := range names {
		if err := w.Add(cpio.Header{Name: name, Mode: cpio.ModeRegular | 0o755}, []byte("#!/bin/sh\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tinyTree is a root that can be converted: a kernel that is nothing but its
// header and has everything built in.
func tinyTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	kernel := make([]byte, 0x400)
	copy(kernel[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(kernel[0x20E:], 0x100)
	copy(kernel[0x300:], tinyRelease+" (builder@host) #1 SMP\x00")
	put(t, dir, "boot/vmlinuz-"+tinyRelease, string(kernel))
	put(t, dir, "boot/initrd.img-"+tinyRelease, tinyInitrd(t, "init"))
	put(t, dir, "boot/config-"+tinyRelease, "CONFIG_AMD_MEM_ENCRYPT=y\nCONFIG_RD_GZIP=y\n")
	put(t, dir, "boot/grub/grub.cfg", "menuentry 'Tiny' {\nlinux /boot/vmlinuz-"+tinyRelease+" root=/dev/vda1 ro quiet\ninitrd /boot/initrd.img-"+tinyRelease+"\n}\n")
	put(t, dir, "etc/os-release", "ID=tiny\nPRETTY_NAME=\"Tiny 1\"\n")
	put(t, dir, "etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n")
	put(t, dir, "etc/secret", "this must not be seen")
	var builtin strings.Builder
	for _, m := range append(kmod.ForAgent(), kmod.ForRoot("ext4")...) {
		builtin.WriteString("kernel/" + m.Name + ".ko\n")
	}
	put(t, dir, "lib/modules/"+tinyRelease+"/modules.builtin", builtin.String())
	put(t, dir, "lib/modules/"+tinyRelease+"/modules.dep", "")
	return dir
}

// tinyDisk puts file systems, given as image files, on partitions of a GPT, one
// behind the other.
func tinyDisk(t *testing.T, images ...string) string {
	t.Helper()
	return typedDisk(t, gpt.TypeLinux, images...)
}

// typedDisk is tinyDisk with another type for all but the first partition.
func typedDisk(t *testing.T, others string, images ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := &gpt.Table{DiskGUID: gpt.GUID{1}, SectorSize: 512, Entries: gpt.DefaultEntries}
	at := int64(mib)
	for i, image := range images {
		data, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
		end := at + int64(len(data))
		text := others
		if i == 0 {
			text = gpt.TypeLinux
		}
		kind, err := gpt.ParseGUID(text)
		if err != nil {
			t.Fatal(err)
		}
		table.Partitions = append(table.Partitions, gpt.Partition{
			Number: i + 1, Type: kind, GUID: gpt.GUID{2, byte(i)}, Name: "part", First: uint64(at / 512), Last: uint64(end/512) - 1,
		})
		at = end
	}
	size := at + mib
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(f, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// tinyImage is a disk with a tree as its root.
func tinyImage(t *testing.T, tree string) string {
	t.Helper()
	return tinyDisk(t, rootfstest.Make(t, 8, tree))
}

// tinyOptions ask for a conversion. The key opens what is sealed for the service.
func tinyOptions(t *testing.T, source string) (*Options, *seal.PrivateKey) {
	t.Helper()
	dir := t.TempDir()
	firmware := filepath.Join(dir, "firmware.fd")
	if err := os.WriteFile(firmware, vectors.MustRead(t, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	ingestion, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	o := &Options{
		Input: source, Output: filepath.Join(out, "image"), Staging: filepath.Join(out, "staging"),
		Config: Config{Firmware: firmware}, Agent: []byte("an agent"), Version: "test",
		Service: Service{
			URLs: []string{"https://snpguard.example"}, IdentityKey: public, IngestionKey: ingestion.Public(),
			CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		},
	}
	option.SetDefaults(&o.Config)
	return o, ingestion
}

// outputs lists what a conversion has left.
func outputs(t *testing.T, o *Options) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(o.Output))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
