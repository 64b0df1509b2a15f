package convert

import (
	"context"
	"fmt"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/staging"
)

// encrypt makes the encrypted image and its staging directory.
func (c *conversion) encrypt(ctx context.Context, s *source, sys *system) error {
	k, err := newKeys(c.Service.IngestionKey)
	if err != nil {
		return err
	}
	defer k.wipe()
	c.record.ImageID = k.image
	l, err := newLayout(s.table, s.root.Partition.Number, s.disk.Size(), c.Size)
	if err != nil {
		return &OptionError{"size", err}
	}
	c.describe(l, sys)
	c.Events.Step("Make the initrd")
	if err := c.writeBootFiles(sys); err != nil {
		return err
	}
	if err := c.writeInitrd(sys, k, l); err != nil {
		return err
	}
	if err := c.writeKeys(k); err != nil {
		return err
	}
	if err := c.editRoot(ctx, sys); err != nil {
		return err
	}
	c.Events.Step("Encrypt the root file system")
	if err := c.writeDisk(ctx, l, k, sys.root); err != nil {
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

// measureOutput notes how large the image file has become, and the hash of the
// source that it was made of.
func (c *conversion) measureOutput() error {
	info, err := os.Stat(c.image())
	if err != nil {
		return err
	}
	c.record.Disk.FileSize = info.Size()
	if c.record.Source.SHA256, err = hashFile(c.Input); err != nil {
		return fmt.Errorf("hash %s: %w", c.Input, err)
	}
	return nil
}
