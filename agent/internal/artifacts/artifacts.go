// Package artifacts finds the LAUNCH_ARTIFACTS partition on the disk of the running
// guest's root, for its slots to be read and written without a mount.
//
// The host owns the disk and its partition table, and may change both under the running
// guest. So the table is only believed as far as it cannot do harm: what it names is
// never written if it touches the root, or any other partition that the kernel knows.
package artifacts

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// Machine is where disks are found: "/sys" and "/dev" in production.
type Machine struct{ Sys, Dev string }

// Root is the partition of the encrypted root.
type Root struct {
	Name string // in sysfs, such as "vda2"; status.json has it
}

// ErrNone is a disk without the partition.
var ErrNone = errors.New("the root's disk has no " + slots.Label + " partition")

// ErrTable is a partition table that does not fit what the kernel knows, or names the
// partition where it may not be.
var ErrTable = errors.New("the partition table cannot be trusted")

// Open opens the partition for reading and writing, at its place on the root's disk. The
// closer ends that. The error wraps ErrNone, ErrTable, gpt.ErrTable or slots.ErrLayout,
// or is one of reading.
func (m Machine) Open(root Root) (*slots.Partition, io.Closer, error) {
	d, err := m.diskOf(root.Name)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	p, err := d.open(f)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", d.name, err), f.Close())
	}
	return p, f, nil
}

// open reads the table of the disk and opens the partition that it names.
func (d *disk) open(f *os.File) (*slots.Partition, error) {
	table, err := gpt.Read(f, d.size, d.sectorSize)
	if err != nil {
		return nil, err
	}
	at, err := d.find(table)
	if err != nil {
		return nil, err
	}
	return slots.Open(slots.Window(f, at.start, at.size), at.size)
}

// find returns where the partition is, apart from all others that the kernel knows.
func (d *disk) find(table *gpt.Table) (extent, error) {
	var found *gpt.Partition
	for i := range table.Partitions {
		p := &table.Partitions[i]
		if p.Number == d.root && (extent{table.Offset(p), table.Size(p)}) != d.known[d.root] {
			return extent{}, fmt.Errorf("%w: the root, partition %d, is not where the kernel has it", ErrTable, p.Number)
		}
		if p.Name != slots.Label {
			continue
		}
		if found != nil {
			return extent{}, fmt.Errorf("%w: partitions %d and %d are both named %s", ErrTable, found.Number, p.Number, slots.Label)
		}
		found = p
	}
	if found == nil {
		return extent{}, ErrNone
	}
	at := extent{table.Offset(found), table.Size(found)}
	for number, other := range d.known {
		if number == found.Number && number != d.root && other == at {
			continue
		}
		if at.touches(other) {
			return extent{}, fmt.Errorf("%w: partition %d touches partition %d as the kernel has it", ErrTable, found.Number, number)
		}
	}
	return at, nil
}
