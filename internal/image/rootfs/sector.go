package rootfs

import (
	"fmt"
	"io"
)

// Fields of super blocks that say how large sectors may be, in bytes from the
// device's start. Sources: those of Alone.
const (
	ext4LogBlockSize = 1024 + 0x18 // s_log_block_size, 32 bits
	xfsSectorSize    = 102         // sb_sectsize, 16 bits
	btrfsSectorSize  = 64<<10 + 0x90
)

// Limits of what Linux takes for such a field, in bytes.
const (
	minSector = 512
	maxSector = 64 << 10
)

// LargestSector returns how large the logical sectors of a device may be, in bytes,
// for Linux to mount a file system of a kind: an ext4 as large as its blocks ("bad
// block size"), an xfs as its own sectors ("device supports 4096 byte sectors (not
// 512)"), a btrfs as what it calls so. The number is a power of two. The error wraps
// ErrCorrupt where the file system has no such number, and ErrUnsupported for other
// kinds.
func LargestSector(r io.ReaderAt, kind Type) (int, error) {
	f := fields{r: r}
	var size uint64
	switch kind {
	case Ext4:
		if log := f.little32(ext4LogBlockSize); log < 32 { // more has no bits left
			size = 1024 << log
		}
	case XFS:
		size = uint64(f.big16(xfsSectorSize))
	case Btrfs:
		size = uint64(f.little32(btrfsSectorSize))
	default:
		return 0, fmt.Errorf("%w: sectors of %s", ErrUnsupported, kind)
	}
	switch {
	case f.err != nil:
		return 0, fmt.Errorf("read super block: %w", f.err)
	case size < minSector || size > maxSector || size&(size-1) != 0:
		return 0, fmt.Errorf("%w: its super block gives no size of sectors or blocks that Linux knows", ErrCorrupt)
	}
	return int(size), nil
}
