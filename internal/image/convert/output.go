package convert

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// target is a disk image that is being written. What is not written reads as
// zeros.
type target struct {
	image   io.WriterAt
	file    *os.File
	finish  func() error // nil, or makes an image of what was written
	written atomic.Int64 // bytes
}

// writebackEvery is how much is written before the kernel is told to pass it on, in
// bytes.
const writebackEvery = 64 << 20

// WriteAt writes as io.WriterAt does.
func (t *target) WriteAt(p []byte, off int64) (int, error) {
	n, err := t.image.WriteAt(p, off)
	if now := t.written.Add(int64(n)); now/writebackEvery != (now-int64(n))/writebackEvery {
		startWriteback(t.file)
	}
	return n, err
}

// createTarget makes an empty disk image.
func (c *conversion) createTarget(size int64) (*target, error) {
	f, err := os.OpenFile(c.image(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	if c.Format == Raw {
		if err := f.Truncate(size); err != nil {
			f.Close()
			return nil, err
		}
		return &target{image: f, file: f}, nil
	}
	w, err := qcow2.Create(f, size, qcow2.Options{Compress: c.Compress})
	if err != nil {
		f.Close()
		return nil, err
	}
	return &target{image: w, file: f, finish: w.Close}, nil
}

// Close ends a disk image that is whole.
func (t *target) Close() error {
	var err error
	if t.finish != nil {
		err = t.finish()
	}
	return errors.Join(err, t.file.Close())
}

// abandon leaves what nobody will use.
func (t *target) abandon() { t.file.Close() }

// writeDisk writes what is left of the new disk: the encrypted root, its LUKS2 header,
// the sealed VMK, and the partition table. Nothing else of the source is on it.
func (c *conversion) writeDisk(ctx context.Context, s *source, a *ahead, root *workingCopy) error {
	if err := c.finish(ctx, s, a, root); err != nil {
		return err
	}
	if err := c.writeTables(a); err != nil {
		return err
	}
	return a.whole()
}

// writeTables writes all but the root.
func (c *conversion) writeTables(a *ahead) error {
	start := a.layout.table.Offset(a.layout.root)
	uuid := wire.NewUUID()
	c.record.Disk.LUKSUUID = uuid.String()
	header, err := luks2.Encode(uuid, a.keys.vmk, a.layout.sectorSize, rand.Reader)
	if err != nil {
		return fmt.Errorf("make LUKS2 header: %w", err)
	}
	record, err := vmkrecord.Encode(a.keys.image, a.keys.sealedVMK)
	if err != nil {
		return fmt.Errorf("make record of the sealed VMK: %w", err)
	}
	if _, err := a.disk.WriteAt(header, start); err != nil {
		return err
	}
	if _, err := a.disk.WriteAt(record, start+vmkrecord.Offset); err != nil {
		return err
	}
	if err := a.layout.writeSlots(a.disk); err != nil {
		return err
	}
	return a.layout.table.Write(a.disk, a.layout.size)
}

// toEncrypt returns what of the payload is written: what the file system uses,
// or everything.
func (c *conversion) toEncrypt(fs rootfs.Volume, size int64) ([]rootfs.Range, error) {
	if c.EncryptFreeSpace {
		return []rootfs.Range{{Length: size}}, nil
	}
	var ranges []rootfs.Range
	for r, err := range fs.Used() {
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return granules(ranges, size), nil
}
