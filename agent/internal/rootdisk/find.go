// Package rootdisk finds the partition of the encrypted root by its unique GUID,
// extends it when the disk has grown, and reads the sealed volume key.
//
// The host can write anything on the disk. A wrong partition or record only
// means that the volume key which comes back does not meet the measured
// commitment, or that the file system is not the measured one.
package rootdisk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
)

// sector is sysfs's unit of sizes in bytes, whatever the disk's sectors are.
const sector = 512

// maxDisks bounds how many disks are looked at.
const maxDisks = 256

// ErrNotFound is a machine without the partition, so far.
var ErrNotFound = errors.New("no partition with the measured GUID")

// ErrAmbiguous is a machine with more than one.
var ErrAmbiguous = errors.New("more than one partition with the measured GUID")

// Machine is where disks are found: "/sys" and "/dev" in production.
type Machine struct{ Sys, Dev string }

// Partition is a partition that the kernel knows.
type Partition struct {
	Name         string // as in /dev, such as "vda1"
	Path         string // in /dev
	Major, Minor uint32
	Size         int64 // bytes
	disk         disk
	table        *gpt.Table
	entry        *gpt.Partition
}

// disk is a whole disk.
type disk struct {
	name, path string
	size       int64
	sectorSize int
}

// Find returns the partition whose unique GUID is guid, 36 characters. The error
// wraps ErrNotFound, with what is wrong with the disks that have no readable
// table, or ErrAmbiguous.
func (m Machine) Find(guid string) (*Partition, error) {
	want, err := gpt.ParseGUID(guid)
	if err != nil {
		return nil, err
	}
	disks, err := m.disks()
	if err != nil {
		return nil, err
	}
	var found *Partition
	var seen []string
	for _, d := range disks {
		table, err := d.table()
		if err != nil {
			seen = append(seen, fmt.Sprintf("%s: %v", d.name, err))
			continue
		}
		seen = append(seen, d.name)
		entry := table.Find(want)
		if entry == nil {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: on %s and %s", ErrAmbiguous, found.disk.name, d.name)
		}
		found = &Partition{disk: d, table: table, entry: entry}
	}
	if found == nil {
		return nil, fmt.Errorf("%w (%s) on any of %d disks: %s", ErrNotFound, guid, len(seen), strings.Join(seen, ", "))
	}
	return found, m.resolve(found)
}

// disks lists the whole disks that have a size.
func (m Machine) disks() ([]disk, error) {
	entries, err := os.ReadDir(m.block())
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var disks []disk
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "dm-") {
			continue
		}
		if _, err := os.Stat(filepath.Join(m.block(), name, "partition")); err == nil {
			continue
		}
		sectors, err := m.number(name, "size")
		logical, errLogical := m.number(name, "queue/logical_block_size")
		if err != nil || errLogical != nil || sectors == 0 {
			continue
		}
		disks = append(disks, disk{name: name, path: filepath.Join(m.Dev, name), size: sectors * sector, sectorSize: int(logical)})
		if len(disks) == maxDisks {
			break
		}
	}
	return disks, nil
}

func (m Machine) block() string { return filepath.Join(m.Sys, "class/block") }

// number reads an attribute of a block device.
func (m Machine) number(device, attribute string) (int64, error) {
	text, err := m.text(device, attribute)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 54) // in bytes it still fits
}

func (m Machine) text(device, attribute string) (string, error) {
	b, err := os.ReadFile(filepath.Join(m.block(), device, attribute))
	return strings.TrimSpace(string(b)), err
}

func (d disk) table() (*gpt.Table, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return gpt.Read(f, d.size, d.sectorSize)
}

// resolve finds the kernel's device of the partition and wants it to lie where
// the table says.
func (m Machine) resolve(p *Partition) error {
	entries, err := os.ReadDir(filepath.Join(m.block(), p.disk.name))
	if err != nil {
		return fmt.Errorf("list partitions: %w", err)
	}
	for _, e := range entries {
		if number, err := m.number(e.Name(), "partition"); err == nil && int(number) == p.entry.Number {
			p.Name, p.Path = e.Name(), filepath.Join(m.Dev, e.Name())
			return m.measure(p)
		}
	}
	return fmt.Errorf("%w: the kernel does not know partition %d of %s yet", ErrNotFound, p.entry.Number, p.disk.name)
}

func (m Machine) measure(p *Partition) error {
	start, err := m.number(p.Name, "start")
	if err != nil {
		return fmt.Errorf("read start of %s: %w", p.Name, err)
	}
	sectors, err := m.number(p.Name, "size")
	if err != nil {
		return fmt.Errorf("read size of %s: %w", p.Name, err)
	}
	if start*sector != p.table.Offset(p.entry) || sectors*sector != p.table.Size(p.entry) {
		return fmt.Errorf("%w: %s is not where the partition table has it", ErrNotFound, p.Name)
	}
	p.Size = sectors * sector
	dev, err := m.text(p.Name, "dev")
	if err != nil {
		return fmt.Errorf("read number of %s: %w", p.Name, err)
	}
	if _, err := fmt.Sscanf(dev, "%d:%d", &p.Major, &p.Minor); err != nil {
		return fmt.Errorf("read number of %s: %w", p.Name, err)
	}
	return nil
}

// SealedVMK reads the record at an offset in bytes from the partition's start.
func (p *Partition) SealedVMK(offset int64, image [16]byte) ([]byte, error) {
	f, err := os.Open(p.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	record := make([]byte, vmkrecord.Size)
	if _, err := io.ReadFull(io.NewSectionReader(f, offset, vmkrecord.Size), record); err != nil {
		return nil, fmt.Errorf("read sealed volume key: %w", err)
	}
	return vmkrecord.Decode(record, image)
}
