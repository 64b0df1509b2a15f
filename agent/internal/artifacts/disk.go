package artifacts

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sector is sysfs's unit of places and sizes in bytes, whatever the disk's sectors are.
const sector = 512

// maxDevices bounds how many block devices are looked at.
const maxDevices = 4096

// extent is a piece of a disk, in bytes.
type extent struct{ start, size int64 }

func (e extent) touches(o extent) bool {
	return e.start < o.start+o.size && o.start < e.start+e.size
}

// disk is the whole disk on which the root is, as the kernel knows it.
type disk struct {
	name, path string
	size       int64
	sectorSize int
	root       int            // number of the root's partition
	known      map[int]extent // partitions by number
}

func (m Machine) block() string { return filepath.Join(m.Sys, "class/block") }

// diskOf finds the disk of a partition: the one device that has it below it.
func (m Machine) diskOf(partition string) (*disk, error) {
	if partition == "" || partition != filepath.Base(partition) || strings.HasPrefix(partition, ".") {
		return nil, fmt.Errorf("%.100q is not the name of a partition", partition)
	}
	entries, err := os.ReadDir(m.block())
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	for _, e := range entries[:min(len(entries), maxDevices)] {
		if _, err := m.number(e.Name(), partition, "partition"); err == nil {
			return m.read(e.Name(), partition)
		}
	}
	return nil, fmt.Errorf("the kernel knows no disk with the partition %s", partition)
}

// read reads what the kernel knows of a disk.
func (m Machine) read(name, partition string) (*disk, error) {
	d := &disk{name: name, path: filepath.Join(m.Dev, name), known: map[int]extent{}}
	size, err := m.number(name, "size")
	if err != nil {
		return nil, fmt.Errorf("read size of %s: %w", name, err)
	}
	logical, err := m.number(name, "queue/logical_block_size")
	if err != nil {
		return nil, fmt.Errorf("read sector size of %s: %w", name, err)
	}
	d.size, d.sectorSize = size*sector, int(logical)
	entries, err := os.ReadDir(filepath.Join(m.block(), name))
	if err != nil {
		return nil, fmt.Errorf("list partitions of %s: %w", name, err)
	}
	for _, e := range entries[:min(len(entries), maxDevices)] {
		number, err := m.number(name, e.Name(), "partition")
		if err != nil {
			continue // an attribute
		}
		start, err := m.number(name, e.Name(), "start")
		if err != nil {
			return nil, fmt.Errorf("read start of %s: %w", e.Name(), err)
		}
		size, err := m.number(name, e.Name(), "size")
		if err != nil {
			return nil, fmt.Errorf("read size of %s: %w", e.Name(), err)
		}
		d.known[int(number)] = extent{start * sector, size * sector}
		if e.Name() == partition {
			d.root = int(number)
		}
	}
	if d.root == 0 {
		return nil, fmt.Errorf("%s has no partition %s any more", name, partition)
	}
	return d, nil
}

// number reads an attribute of a block device.
func (m Machine) number(path ...string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(append([]string{m.block()}, path...)...))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 54) // in bytes it still fits
}
