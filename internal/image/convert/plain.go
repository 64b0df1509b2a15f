package convert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// extentsAtOnce is how much of a disk is asked about at a time, in bytes.
const extentsAtOnce = 1 << 30

// copyPlain makes an image with the disk as it is, and a staging directory with
// the distribution's own initrd: for trying a launch, not for secrets.
func (c *conversion) copyPlain(ctx context.Context, s *source, sys *system) error {
	c.record.ImageID = wire.NewUUID()
	l, err := c.plainLayout(s)
	if err != nil {
		return option.Wrap("size", err)
	}
	c.describe(l, sys)
	c.record.Disk.PayloadOffset = 0
	if s.converted {
		c.forgetGUIDs()
	}
	if err := c.writeBootFiles(sys); err != nil {
		return err
	}
	initrd, closeAll, err := openInitrd(sys)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := c.stageFrom(staging.NameInitrd, initrd); err != nil {
		return err
	}
	c.Events.Step("Copy the disk, without encryption")
	if err := c.copyDisk(ctx, s, l); err != nil {
		return err
	}
	return c.measureOutput()
}

// plainLayout plans a disk that is the source's, with LAUNCH_ARTIFACTS at its end unless
// it has a master boot record, in which it would have no name.
func (c *conversion) plainLayout(s *source) (*layout, error) {
	table, end := *s.table, s.disk.Size()
	l := &layout{table: &table, size: end}
	if c.artifacts != 0 && !s.converted {
		table.Partitions = slices.Clone(s.table.Partitions)
		if err := addSlots(&table); err != nil {
			return nil, err
		}
		l.slots = byName(&table, slots.Label)
		l.size = alignUp(end) + c.artifacts + alignment
	}
	if c.size != 0 {
		if c.size/alignment*alignment < l.size {
			return nil, fmt.Errorf("a disk of %s is too small: the source and the slots for launch bundles need %s: want at least %dM", size.Text(c.size), size.Text(l.size), alignUp(l.size)/alignment)
		}
		l.size = c.size / alignment * alignment
	}
	if l.slots != nil {
		sector := int64(table.SectorSize)
		l.slots.First = uint64((l.size - alignment - c.artifacts) / sector)
		l.slots.Last = uint64((l.size-alignment)/sector) - 1
	}
	l.root = find(&table, s.root.Partition.Number)
	return l, nil
}

// forgetGUIDs leaves out of conversion.json what an MBR does not have.
func (c *conversion) forgetGUIDs() {
	d := &c.record.Disk
	d.GUID = ""
	for i := range d.Partitions {
		d.Partitions[i].GUID = ""
	}
}

// copyDisk copies what the source stores, and moves the backup of the partition
// table to the end of a larger disk.
func (c *conversion) copyDisk(ctx context.Context, s *source, l *layout) error {
	disk, err := c.createTarget(l.size)
	if err != nil {
		return err
	}
	ranges, all, err := stored(s.disk)
	if err == nil {
		var done atomic.Int64
		err = s.disk.ReadRanges(ctx, ranges, func(p []byte, offset int64) error {
			c.Events.Progress(done.Add(int64(len(p))), all)
			_, err := disk.WriteAt(p, offset)
			return err
		})
	}
	if err == nil {
		err = l.writeSlots(disk)
	}
	if err == nil && l.size != s.disk.Size() && !s.converted { // an MBR is copied as it is and has no backup
		err = l.table.Write(disk, l.size)
	}
	return errors.Join(err, disk.Close())
}

// stored returns what of a disk does not read as zeros.
func stored(disk *qemu.Disk) (ranges []qemu.Range, all int64, err error) {
	for at := int64(0); at < disk.Size(); at += extentsAtOnce {
		extents, err := disk.Extents(at, min(extentsAtOnce, disk.Size()-at))
		if err != nil {
			return nil, 0, err
		}
		for _, e := range extents {
			if !e.Zero {
				ranges = append(ranges, qemu.Range{Offset: e.Offset, Length: e.Length})
				all += e.Length
			}
		}
	}
	return ranges, all, nil
}
