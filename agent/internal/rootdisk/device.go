package rootdisk

import (
	"fmt"
	"os"
)

// Device is the partition, for reading and writing. It holds off nobody: dm-crypt may
// have the partition at the same time.
type Device struct{ *os.File }

// Open opens the partition.
func (p *Partition) Open() (Device, error) {
	f, err := os.OpenFile(p.Path, os.O_RDWR, 0)
	if err != nil {
		return Device{}, fmt.Errorf("open root partition: %w", err)
	}
	return Device{f}, nil
}

// Flush makes what was written durable: fsync(2) of a block device writes the kernel's
// cache of it and flushes the disk's.
func (d Device) Flush() error { return d.Sync() }
