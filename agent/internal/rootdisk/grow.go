package rootdisk

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// align is what the end of a grown partition is a multiple of, in bytes.
const align = 1 << 20

// Reread has the kernel read the partition table of an open disk again.
type Reread func(disk *os.File) error

// KernelReread is the BLKRRPART ioctl. The kernel may just be looking at the
// partitions itself, so a busy disk is asked again.
func KernelReread(disk *os.File) error {
	var err error
	for range 20 {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, disk.Fd(), unix.BLKRRPART, 0)
		if errno == 0 {
			return nil
		}
		err = errno
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// Grow extends the partition to the end of its disk when nothing lies behind it,
// writes the partition table and has the kernel read it. It reports whether the
// partition has grown; the caller then finds it anew. Nothing may be open on the
// disk. A cut at any moment leaves a table that Linux reads, with the old end or the
// new one.
func (p *Partition) Grow(reread Reread) (bool, error) {
	for i := range p.table.Partitions {
		if p.table.Partitions[i].First > p.entry.Last {
			return false, nil
		}
	}
	unit := uint64(align / p.table.SectorSize)
	last := (p.table.LastUsable(p.disk.size) + 1) / unit * unit
	if last == 0 || last-1 < p.entry.Last+unit {
		return false, nil
	}
	f, err := os.OpenFile(p.disk.path, os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Errorf("open %s: %w", p.disk.name, err)
	}
	defer f.Close()
	p.entry.Last = last - 1
	if err := p.table.Replace(f, p.disk.size); err != nil {
		return false, fmt.Errorf("write partition table of %s: %w", p.disk.name, err)
	}
	if err := f.Sync(); err != nil {
		return false, fmt.Errorf("write partition table of %s: %w", p.disk.name, err)
	}
	if err := reread(f); err != nil {
		return false, fmt.Errorf("read partition table of %s again: %w", p.disk.name, err)
	}
	return true, nil
}
