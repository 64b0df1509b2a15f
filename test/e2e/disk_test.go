//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// stolen is the root partition of an image in the hands of an attacker.
type stolen struct {
	file *os.File
	at   int64 // of the partition
	c    *staging.Conversion
}

// steal copies a raw image.
func steal(t testing.TB, c *conversion) (*stolen, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	output(t, "cp", "--sparse=always", c.Image, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for _, p := range c.Conversion.Disk.Partitions {
		if p.Number == c.Conversion.Disk.RootPartition {
			return &stolen{f, p.Offset, c.Conversion}, path
		}
	}
	t.Fatal("no root partition")
	return nil, ""
}

// write writes at an offset of the partition.
func (s *stolen) write(t testing.TB, data []byte, offset int64) {
	t.Helper()
	if _, err := s.file.WriteAt(data, s.at+offset); err != nil {
		t.Fatal(err)
	}
}

// damage changes a byte of ciphertext, at an offset of the file system.
func (s *stolen) damage(t testing.TB, offset int64) {
	t.Helper()
	flip(t, s.file.Name(), s.at+s.c.Disk.PayloadOffset+offset)
}

// attackersRoot makes a file system of the attacker's with the UUID of the image's,
// which is no secret.
func (s *stolen) attackersRoot(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root")
	output(t, "mke2fs", "-q", "-t", "ext4", "-U", s.c.Disk.FilesystemUUID, path, "8M")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// header makes a LUKS2 header by cryptsetup.
func header(t testing.TB, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	path, pass := filepath.Join(dir, "luks"), filepath.Join(dir, "pass")
	output(t, "truncate", "-s", "64M", path)
	writeFile(t, pass, "attacker")
	output(t, "cryptsetup", append([]string{"luksFormat", "-q", "--type", "luks2", "--luks2-keyslots-size", "4096k", "--offset", "32768",
		"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", pass}, append(args, path)...)...)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, luks2.KeyslotsEnd)
	if _, err := io.ReadFull(f, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// attackersDisk puts a LUKS device of the attacker's in the root's place. The
// sealed key stays: without it the guest would not get far.
func attackersDisk(t *testing.T, s *stolen) {
	key := make([]byte, 64)
	rand.Read(key)
	keyFile := filepath.Join(t.TempDir(), "key")
	writeFile(t, keyFile, string(key))
	s.write(t, header(t, "--cipher", "aes-xts-plain64", "--key-size", "512", "--volume-key-file", keyFile, "--sector-size", "4096"), 0)
	cipher, err := xts.New(key, xts.LargeSector)
	if err != nil {
		t.Fatal(err)
	}
	root := s.attackersRoot(t)
	cipher.Encrypt(root, root, 0)
	s.write(t, root, s.c.Disk.PayloadOffset)
}

// nullCipher has a valid header say that nothing is encrypted.
func nullCipher(t *testing.T, s *stolen) {
	data := header(t, "--cipher", "aes-xts-plain64", "--key-size", "512", "--sector-size", "4096")
	const text, null = "aes-xts-plain64", "cipher_null-ecb" // of the same length
	data = bytes.ReplaceAll(data, []byte(`"encryption":"`+text), []byte(`"encryption":"`+null))
	size := binary.BigEndian.Uint64(data[headerSizeAt:])
	for _, area := range [][]byte{data[:size], data[size : 2*size]} {
		clear(area[checksumAt : checksumAt+64])
		sum := sha256.Sum256(area)
		copy(area[checksumAt:], sum[:])
	}
	path := filepath.Join(t.TempDir(), "null")
	writeFile(t, path, string(data))
	output(t, "truncate", "-s", "64M", path)
	if dump := output(t, "cryptsetup", "luksDump", path); !strings.Contains(dump, "cipher: "+null) {
		t.Fatalf("cryptsetup sees no null cipher:\n%s", dump)
	}
	s.write(t, data, 0)
}

// Where LUKS2 headers have the size of a copy and its checksum (LUKS2 On-Disk
// Format Specification 1.1.1, section 2.1).
const (
	headerSizeAt = 8
	checksumAt   = 448
)

// TestChangedDisk boots from disks that the host has changed.
func TestChangedDisk(t *testing.T) {
	c := small(t, "debian")
	path := registered(t, "small", c)
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, s *stolen)
		ends   string // what the agent says; empty when it hands over
		asked  bool   // the service released the key before
	}{
		{"attacker's LUKS disk", attackersDisk, `filesystem: not the measured file system: no ext4 super block`, true},
		{"header with null cipher", nullCipher, "", true},
		{"null cipher and plain root", func(t *testing.T, s *stolen) {
			nullCipher(t, s)
			s.write(t, s.attackersRoot(t), s.c.Disk.PayloadOffset)
		}, `filesystem: not the measured file system: no ext4 super block`, true},
		{"no header", func(t *testing.T, s *stolen) { s.write(t, make([]byte, luks2.KeyslotsEnd), 0) }, "", true},
		{"superblock", func(t *testing.T, s *stolen) { s.damage(t, 1024+0x38) }, `filesystem: not the measured file system`, true},
		{"sealed key lost", func(t *testing.T, s *stolen) { s.write(t, make([]byte, vmkrecord.Size), vmkrecord.Offset) }, `disk: .+`, false},
		{"sealed key of another image", func(t *testing.T, s *stolen) {
			other, err := os.ReadFile(filepath.Join(disabled(t).Staging, staging.NameSealedVMK))
			if err != nil {
				t.Fatal(err)
			}
			record, err := vmkrecord.Encode(s.c.ImageID, other)
			if err != nil {
				t.Fatal(err)
			}
			s.write(t, record, vmkrecord.Offset)
		}, `unlock: .*denied by the service`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c, path)
			var s *stolen
			s, h.disk = steal(t, c)
			tc.change(t, s)
			v := h.boot(t)
			if tc.ends == "" {
				expect(t, v, `snpguard: .* hand-over: to `, untilAgent)
			} else {
				poweredOff(t, v, tc.ends)
			}
			granted := 0
			for _, r := range records(t, h) {
				if r.Outcome == "granted" {
					granted++
				} else if r.Reason != "sealed_vmk" {
					t.Errorf("audit record: %s, %s", r.Outcome, r.Reason)
				}
			}
			if want := map[bool]int{true: 1}[tc.asked]; granted != want {
				t.Errorf("%d grants, want %d", granted, want)
			}
		})
	}
}

// TestUnmountableRoot damages what the agent does not look at where it mounts nothing:
// the distribution's own initrd, which has the key by then, must not offer a shell.
func TestUnmountableRoot(t *testing.T) {
	for _, tc := range []struct{ name, kind, says string }{
		{"initramfs-tools", "debian", `Failed to mount /dev/mapper/cryptroot as root file system`},
		{"dracut", "dracut", `Dependency failed for initrd-root-fs.target`},
	} {
		c := smallNamed(t, tc.kind, "distribution-"+tc.kind, "--initrd", "distribution")
		path := registered(t, "distribution-"+tc.kind, c)
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c, path)
			var s *stolen
			s, h.disk = steal(t, c)
			s.damage(t, 1024)                                                         // the super block, but for its magic and UUID
			s.write(t, bytes.Repeat([]byte{0xA5}, 4096), s.c.Disk.PayloadOffset+4096) // the group descriptors
			v := h.boot(t)
			expect(t, v, `snpguard: .* hand-over: to `, untilAgent)
			expect(t, v, tc.says, untilOff)
			ended(t, v)
		})
	}
}
