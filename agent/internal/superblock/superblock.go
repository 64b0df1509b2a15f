// Package superblock reads the few fields of a file system's super block that the agent
// goes by: whether it is the measured one, and where it ends. What it reads is the
// host's: an encryption without authentication turns what was written into noise, and
// keeps nobody from putting back what was there before.
package superblock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrMismatch is a file system that is not the measured one.
var ErrMismatch = errors.New("not the measured file system")

// layout says where a file system keeps its magic and its UUID, in bytes from
// the device's start.
type layout struct {
	magic       string
	magicOffset int64
	uuidOffset  int64
	size        func(r io.ReaderAt) (blocks, blockSize uint64, err error)
}

// layoutOf returns the layout of a file system. Sources: Linux
// Documentation/filesystems/ext4 (super block: s_magic, s_uuid), XFS Algorithms and Data
// Structures (sb_magicnum, sb_uuid), Btrfs on-disk format (superblock: magic, fsid);
// sizes: see there.
func layoutOf(kind string) (layout, bool) {
	switch kind {
	case "ext4":
		return layout{"\x53\xEF", 1024 + 0x38, 1024 + 0x68, ext4Size}, true
	case "xfs":
		return layout{"XFSB", 0, 32, xfsSize}, true
	case "btrfs":
		return layout{"_BHRfS_M", 64<<10 + 0x40, 64<<10 + 0x20, btrfsSize}, true
	}
	return layout{}, false
}

// Check tells whether what was opened is the measured file system. It
// reads a few bytes at fixed places and trusts none of them. It wants a file system
// of a kind ("ext4", "xfs" or "btrfs") with a UUID of 36 characters in lower case;
// the error wraps ErrMismatch when there is another one or none.
func Check(r io.ReaderAt, kind, uuid string) error {
	l, known := layoutOf(kind)
	if !known {
		return fmt.Errorf("%w: unknown kind %q", ErrMismatch, kind)
	}
	magic := make([]byte, len(l.magic))
	if _, err := r.ReadAt(magic, l.magicOffset); err != nil {
		return fmt.Errorf("read super block: %w", err)
	}
	if string(magic) != l.magic {
		return fmt.Errorf("%w: no %s super block", ErrMismatch, kind)
	}
	var found [16]byte
	if _, err := r.ReadAt(found[:], l.uuidOffset); err != nil {
		return fmt.Errorf("read super block: %w", err)
	}
	if text := fmt.Sprintf("%x-%x-%x-%x-%x", found[:4], found[4:6], found[6:8], found[8:10], found[10:]); text != uuid {
		return fmt.Errorf("%w: %s has UUID %s, want %s", ErrMismatch, kind, text, uuid)
	}
	return nil
}

// Fields of super blocks that say where a file system ends, in bytes from the device's
// start, and how many bytes of each there are.
const (
	ext4BlocksLow  = 1024 + 0x04  // s_blocks_count_lo, 32 bits, little-endian
	ext4LogBlock   = 1024 + 0x18  // s_log_block_size, 32 bits: 1024 shifted by it
	ext4State      = 1024 + 0x3A  // s_state, 16 bits
	ext4Incompat   = 1024 + 0x60  // s_feature_incompat, 32 bits
	ext4BlocksHigh = 1024 + 0x150 // s_blocks_count_hi, 32 bits
	ext4Is64Bit    = 0x80         // in s_feature_incompat: the high half counts
	ext4Valid      = 1            // s_state: unmounted, without errors and orphans

	xfsBlockSize = 4 // sb_blocksize, 32 bits, big-endian
	xfsBlocks    = 8 // sb_dblocks, 64 bits

	btrfsTotalBytes = 64<<10 + 0x70 // total_bytes, 64 bits, little-endian

	maxBlockSize = 64 << 10
)

// Size returns where a file system of a kind ends, in bytes from the device's start, on a
// device of limit bytes. The error wraps ErrMismatch when that is nowhere on it.
func Size(r io.ReaderAt, kind string, limit int64) (int64, error) {
	l, known := layoutOf(kind)
	if !known {
		return 0, fmt.Errorf("%w: unknown kind %q", ErrMismatch, kind)
	}
	blocks, size, err := l.size(r)
	if err != nil {
		return 0, fmt.Errorf("read super block: %w", err)
	}
	if size == 0 || size > maxBlockSize || blocks == 0 || blocks > uint64(limit)/size {
		return 0, fmt.Errorf("%w: %d blocks of %d bytes on a device of %d", ErrMismatch, blocks, size, limit)
	}
	return int64(blocks * size), nil
}

// Clean reports whether an ext4 says that it was unmounted, and that nobody found an
// error in it: what its bitmaps say is used then is all.
func Clean(r io.ReaderAt) (bool, error) {
	b, err := field(r, ext4State, 2)
	if err != nil {
		return false, fmt.Errorf("read super block: %w", err)
	}
	return binary.LittleEndian.Uint16(b) == ext4Valid, nil
}

func ext4Size(r io.ReaderAt) (blocks, blockSize uint64, err error) {
	var fields [4]uint32
	for i, offset := range []int64{ext4BlocksLow, ext4LogBlock, ext4Incompat, ext4BlocksHigh} {
		b, err := field(r, offset, 4)
		if err != nil {
			return 0, 0, err
		}
		fields[i] = binary.LittleEndian.Uint32(b)
	}
	blocks = uint64(fields[0])
	if fields[2]&ext4Is64Bit != 0 {
		blocks |= uint64(fields[3]) << 32
	}
	return blocks, 1024 << min(fields[1], 32), nil
}

func xfsSize(r io.ReaderAt) (blocks, blockSize uint64, err error) {
	b, err := field(r, xfsBlockSize, 12)
	if err != nil {
		return 0, 0, err
	}
	return binary.BigEndian.Uint64(b[xfsBlocks-xfsBlockSize:]), uint64(binary.BigEndian.Uint32(b)), nil
}

// btrfsSize has bytes, which are blocks of one.
func btrfsSize(r io.ReaderAt) (blocks, blockSize uint64, err error) {
	b, err := field(r, btrfsTotalBytes, 8)
	if err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint64(b), 1, nil
}

func field(r io.ReaderAt, offset int64, size int) ([]byte, error) {
	b := make([]byte, size)
	_, err := r.ReadAt(b, offset)
	return b, err
}
