package boot

import (
	"errors"
	"fmt"
	"io"
)

// errMismatch is a file system that is not the measured one.
var errMismatch = errors.New("not the measured file system")

// layout says where a file system keeps its magic and its UUID, in bytes from
// the device's start.
type layout struct {
	magic       string
	magicOffset int64
	uuidOffset  int64
}

// layoutOf returns the layout of a file system. Sources: Linux
// Documentation/filesystems/ext4 (super block: s_magic, s_uuid), XFS Algorithms
// and Data Structures (sb_magicnum, sb_uuid), Btrfs on-disk format (superblock:
// magic, fsid).
func layoutOf(kind string) (layout, bool) {
	switch kind {
	case "ext4":
		return layout{"\x53\xEF", 1024 + 0x38, 1024 + 0x68}, true
	case "xfs":
		return layout{"XFSB", 0, 32}, true
	case "btrfs":
		return layout{"_BHRfS_M", 64<<10 + 0x40, 64<<10 + 0x20}, true
	}
	return layout{}, false
}

// checkSuperblock tells whether what was opened is the measured file system. It
// reads a few bytes at fixed places and trusts none of them. It wants a file system
// of a kind ("ext4", "xfs" or "btrfs") with a UUID of 36 characters in lower case;
// the error wraps errMismatch when there is another one or none.
func checkSuperblock(r io.ReaderAt, kind, uuid string) error {
	l, known := layoutOf(kind)
	if !known {
		return fmt.Errorf("%w: unknown kind %q", errMismatch, kind)
	}
	magic := make([]byte, len(l.magic))
	if _, err := r.ReadAt(magic, l.magicOffset); err != nil {
		return fmt.Errorf("read super block: %w", err)
	}
	if string(magic) != l.magic {
		return fmt.Errorf("%w: no %s super block", errMismatch, kind)
	}
	var found [16]byte
	if _, err := r.ReadAt(found[:], l.uuidOffset); err != nil {
		return fmt.Errorf("read super block: %w", err)
	}
	if text := fmt.Sprintf("%x-%x-%x-%x-%x", found[:4], found[4:6], found[6:8], found[8:10], found[10:]); text != uuid {
		return fmt.Errorf("%w: %s has UUID %s, want %s", errMismatch, kind, text, uuid)
	}
	return nil
}
