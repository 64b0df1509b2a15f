package embed

import (
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// device is a disk that is read.
type device interface {
	io.ReaderAt
	Size() int64
}

// readTable returns the disk's GPT.
func readTable(d device) (*gpt.Table, error) {
	sector, kind, err := gpt.Detect(d, d.Size())
	if err != nil {
		return nil, err
	}
	if kind != gpt.GPT {
		return nil, fmt.Errorf("%w: its partition table is %s, want GPT", ErrDisk, kind)
	}
	return gpt.Read(d, d.Size(), sector)
}

// found is the partition on a disk.
type found struct {
	part *gpt.Partition // in the table
	fs   *ext4.FS       // nil when it cannot be read
	err  error          // why not
}

// find looks for the partition: by the label of its file system, or by its name
// when the file system cannot be read. Two of them are refused. It returns nil
// when there is none.
func find(d device, t *gpt.Table) (*found, error) {
	var one *found
	for i := range t.Partitions {
		p := &t.Partitions[i]
		size := t.Size(p)
		f := &found{part: p}
		f.fs, f.err = ext4.Open(io.NewSectionReader(d, t.Offset(p), size), size)
		switch {
		case f.err == nil && f.fs.Label() == label:
		case f.err == nil || p.Name != label:
			continue
		}
		if one != nil {
			return nil, fmt.Errorf("%w: partitions %d and %d both claim to be it", ErrArtifacts, one.part.Number, p.Number)
		}
		one = f
	}
	return one, nil
}

// open finds the partition and wants a file system that can be read as it is.
func open(d device) (*gpt.Table, *found, error) {
	table, err := readTable(d)
	if err != nil {
		return nil, nil, err
	}
	f, err := find(d, table)
	switch {
	case err != nil:
		return nil, nil, err
	case f == nil:
		return nil, nil, ErrNone
	case f.err != nil:
		return nil, nil, damaged(f.err)
	case f.fs.NeedsRecovery():
		return nil, nil, fmt.Errorf("%w: its journal has to be replayed first; mount and unmount it, or embed again", ErrArtifacts)
	}
	return table, f, nil
}

// damaged says that it is the partition that is at fault.
func damaged(err error) error {
	if err == nil || errors.Is(err, ErrArtifacts) {
		return err
	}
	if errors.Is(err, rootfs.ErrCorrupt) || errors.Is(err, rootfs.ErrUnsupported) {
		return fmt.Errorf("%w: %w", ErrArtifacts, err)
	}
	return err
}
