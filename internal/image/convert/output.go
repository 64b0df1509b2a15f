package convert

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// target is a disk image that is being written. What is not written reads as
// zeros.
type target interface {
	io.WriterAt
	Close() error
}

// createTarget makes an empty disk image.
func (c *conversion) createTarget(size int64) (target, error) {
	f, err := os.OpenFile(c.image(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	if c.Format == Raw {
		if err := f.Truncate(size); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	w, err := qcow2.Create(f, size, qcow2.Options{Compress: c.Compress})
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// writeDisk writes the new disk: the encrypted root, its LUKS2 header, the sealed
// VMK, and the partition table. Nothing else of the source is on it.
func (c *conversion) writeDisk(ctx context.Context, l *layout, k *keys, root *workingCopy) error {
	disk, err := c.createTarget(l.size)
	if err != nil {
		return err
	}
	err = c.writePartitions(ctx, disk, l, k, root)
	if closeErr := disk.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (c *conversion) writePartitions(ctx context.Context, disk target, l *layout, k *keys, root *workingCopy) error {
	start := l.table.Offset(l.root)
	if err := c.writePayload(ctx, disk, l, k, root); err != nil {
		return err
	}
	uuid := wire.NewUUID()
	c.record.Disk.LUKSUUID = uuid.String()
	header, err := luks2.Encode(uuid, k.vmk, rand.Reader)
	if err != nil {
		return fmt.Errorf("make LUKS2 header: %w", err)
	}
	record, err := vmkrecord.Encode(k.image, k.sealedVMK)
	if err != nil {
		return fmt.Errorf("make record of the sealed VMK: %w", err)
	}
	if _, err := disk.WriteAt(header, start); err != nil {
		return err
	}
	if _, err := disk.WriteAt(record, start+vmkrecord.Offset); err != nil {
		return err
	}
	return l.table.Write(disk, l.size)
}

// writePayload encrypts the root into its place.
func (c *conversion) writePayload(ctx context.Context, disk target, l *layout, k *keys, root *workingCopy) error {
	cipher, err := xts.New(k.vmk)
	if err != nil {
		return err
	}
	defer cipher.Wipe()
	size := l.table.Size(l.root) - luks2.PayloadOffset
	size -= size % xts.SectorSize
	ranges, err := c.toEncrypt(root.fs, size)
	if err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	all := total(ranges)
	c.record.Disk.Used = all
	var done atomic.Int64
	p := &payload{
		cipher: cipher, source: root.reader(), target: disk, offset: l.table.Offset(l.root) + luks2.PayloadOffset, size: size,
		done: func(n int64) { c.Events.Progress(done.Add(n), all) },
	}
	return p.encrypt(ctx, ranges)
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
	return sectors(ranges), nil
}
