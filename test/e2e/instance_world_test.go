//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// untilReady is how long a first boot may take to bring its disk under its own key.
const untilReady = 40 * time.Minute

// instance is an instance of an image, with its copy of the golden disk.
type instance struct {
	conversion // whose image is the copy, raw
	id         wire.UUID
	name       string
	bundle     string
	golden     string // the disk of which it is a copy
}

// newInstance makes an instance of a registered image, and copies the disk for it.
func newInstance(t testing.TB, c *conversion, bundle, name string) *instance {
	t.Helper()
	made, err := manager(t).CreateInstance(context.Background(), wire.InstanceCreation{ImageID: c.Conversion.ImageID, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return copyFor(t, c, bundle, made.ID, name)
}

// copyFor copies the golden disk for an instance, whether or not there is one.
func copyFor(t testing.TB, c *conversion, bundle string, id wire.UUID, name string) *instance {
	t.Helper()
	i := &instance{conversion: *c, id: id, name: name, bundle: bundle, golden: c.Image}
	i.Image = copyOf(t, c.Image)
	return i
}

// copyOf copies a raw disk.
func copyOf(t testing.TB, disk string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	output(t, "cp", "--sparse=always", disk, path)
	return path
}

// launch launches it as users do.
func (i *instance) launch(t testing.TB) *vm.VM {
	t.Helper()
	return boot(t, &i.conversion, i.bundle, "--instance", i.name)
}

// host is a host that launches it and does with the disk what it likes.
func (i *instance) host(t testing.TB) *host {
	t.Helper()
	h := newHost(t, &i.conversion, i.bundle)
	h.hostData, h.keep = wire.HostData(i.id), true
	return h
}

// slow has a disk write so slowly that a re-encryption can be cut where a test wants.
func slow(h *host, bytesPerSecond string) {
	h.extra = append(h.extra, "-set", "drive.disk0.throttling.bps-write="+bytesPerSecond)
}

// readied waits until the first boot has brought the disk under its own key.
func readied(t testing.TB, v *vm.VM) {
	t.Helper()
	expect(t, v, `snpguard: .* instance: instance \S+ is ready, generation \d+`, untilReady)
}

// row is what the service says of it.
func (i *instance) row(t testing.TB) *wire.Instance {
	t.Helper()
	found, err := manager(t).Instance(context.Background(), i.id)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// in wants it to be in a state, and returns its row.
func (i *instance) in(t testing.TB, state wire.InstanceState) *wire.Instance {
	t.Helper()
	row := i.row(t)
	if row.State != state {
		t.Fatalf("instance %s is %s, want %s", i.name, row.State, state)
	}
	return row
}

// partition opens the root partition of a raw disk, as it is now.
func (i *instance) partition(t testing.TB) *stolen {
	t.Helper()
	f, err := os.OpenFile(i.Image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for _, p := range i.Conversion.Disk.Partitions {
		if p.Number == i.Conversion.Disk.RootPartition {
			return &stolen{f, p.Offset, i.Conversion}
		}
	}
	t.Fatal("no root partition")
	return nil
}

// read reads from an offset of the partition.
func (s *stolen) read(t testing.TB, offset int64, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := s.file.ReadAt(b, s.at+offset); err != nil {
		t.Fatal(err)
	}
	return b
}

// block returns 4 KiB of ciphertext, by their number in the file system.
func (s *stolen) block(t testing.TB, number int64) []byte {
	t.Helper()
	return s.read(t, s.c.Disk.PayloadOffset+number*4096, 4096)
}

// onDisk says whose records are on the disk.
func (i *instance) onDisk() instancedisk.ID {
	return instancedisk.ID{Image: i.Conversion.ImageID, Instance: i.id}
}

// sealed returns the one sealed guest secret on the disk.
func (i *instance) sealed(t testing.TB) []byte {
	t.Helper()
	s := i.partition(t)
	found, err := instancedisk.ReadRecords(io.NewSectionReader(s.file, s.at, i.Conversion.Disk.PayloadOffset), i.onDisk())
	if err != nil || len(found) != 1 {
		t.Fatalf("%d sealed secrets on the disk, %v", len(found), err)
	}
	return found[0]
}

// volumeKey goes the owner's way to the key of the disk: the age file of the service,
// which the disk has as well, and a recovery key.
func (i *instance) volumeKey(t testing.TB) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.age")
	snpguard(t, "instance", "recovery", i.name, "--out", file)
	encrypted, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	record, err := instancedisk.DecodeRecovery(i.partition(t).read(t, instancedisk.RecoveryOffset, instancedisk.RecoverySize), i.onDisk())
	if err != nil || !bytes.Equal(record.Encrypted, encrypted) || hex.EncodeToString(record.Sealed[:]) != i.row(t).Sealed {
		t.Errorf("the disk and the service have other files for recovery: %v", err)
	}
	r, err := age.Decrypt(bytes.NewReader(encrypted), i.Recovery)
	if err != nil {
		t.Fatal(err)
	}
	key, err := io.ReadAll(r)
	if err != nil || len(key) != wire.VMKSize {
		t.Fatalf("recovered %d bytes, %v", len(key), err)
	}
	return key
}
