package convert

import (
	"context"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// encrypt makes the encrypted image and its staging directory.
func (c *conversion) encrypt(ctx context.Context, s *source, sys *system) error {
	k, l := sys.ahead.keys, sys.ahead.layout
	c.record.ImageID = k.image
	c.describe(l, sys)
	if err := c.writeBootFiles(sys); err != nil {
		return err
	}
	if err := c.writeKeys(k); err != nil {
		return err
	}
	segment, err := c.readSegment(sys, k, l)
	if err != nil {
		return err
	}
	// Compressing the agent takes as long as writing the disk does.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.writeInitrd(segment) })
	group.Go(func() error {
		if err := c.editRoot(ctx, sys); err != nil {
			return err
		}
		c.Events.Step("Encrypt the root file system")
		return c.writeDisk(ctx, s, sys.ahead, sys.root)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return c.measureOutput()
}

// describe fills in what conversion.json says of the disk.
func (c *conversion) describe(l *layout, sys *system) {
	d := &c.record.Disk
	*d = staging.Disk{
		Format: c.Format, Size: l.size, SectorSize: l.table.SectorSize, GUID: l.table.DiskGUID.String(),
		RootPartition: l.root.Number, PayloadOffset: luks2.PayloadOffset,
		Filesystem: string(sys.root.fs.Type()), FilesystemUUID: sys.root.fs.UUID(),
		AllowDiscards: c.AllowDiscards, FreeSpaceFilled: c.EncryptFreeSpace,
	}
	for i := range l.table.Partitions {
		p := &l.table.Partitions[i]
		d.Partitions = append(d.Partitions, staging.Partition{
			Number: p.Number, Type: p.Type.String(), GUID: p.GUID.String(), Name: p.Name, Offset: l.table.Offset(p), Size: l.table.Size(p),
		})
	}
}

// measureOutput notes how large the image file has become.
func (c *conversion) measureOutput() error {
	info, err := os.Stat(c.image())
	if err != nil {
		return err
	}
	c.record.Disk.FileSize = info.Size()
	return nil
}
