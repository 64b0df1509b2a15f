package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Type is what a partition holds.
type Type string

// What Detect knows. The first three can be the root, and FAT a boot volume.
const (
	Ext4      Type = "ext4" // ext2 and ext3 as well
	XFS       Type = "xfs"
	Btrfs     Type = "btrfs"
	LUKS      Type = "LUKS"
	LVM       Type = "LVM"
	RAID      Type = "Linux RAID"
	ZFS       Type = "ZFS"
	Swap      Type = "swap"
	FAT       Type = "FAT"
	SquashFS  Type = "squashfs"
	EROFS     Type = "erofs"
	F2FS      Type = "f2fs"
	Bcachefs  Type = "bcachefs"
	BitLocker Type = "BitLocker"
	Unknown   Type = "unknown"
)

// signature is a magic number at an offset, both fixed by the format.
type signature struct {
	offset int64
	magic  string
	kind   Type
}

// signatures is in order of trust: containers first, since what they hold may
// leave the magic of another kind behind.
var signatures = []signature{
	{0, "LUKS\xba\xbe", LUKS},
	{3, "-FVE-FS-", BitLocker},
	{0x1000, "\xfc\x4e\x2b\xa9", RAID}, // metadata 1.2; 1.1 is at 0
	{0, "\xfc\x4e\x2b\xa9", RAID},
	{24, "LVM2 001", LVM}, // in one of the first four sectors
	{512 + 24, "LVM2 001", LVM},
	{1024 + 24, "LVM2 001", LVM},
	{1536 + 24, "LVM2 001", LVM},
	{0, "XFSB", XFS},
	{0x10040, "_BHRfS_M", Btrfs},
	{0x438, "\x53\xef", Ext4},
	{0, "hsqs", SquashFS},
	{0x400, "\xe2\xe1\xf5\xe0", EROFS},
	{0x400, "\x10\x20\xf5\xf2", F2FS},
	{0x1018, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca", Bcachefs},
	{0x20000, "\x0c\xb1\xba\x00\x00\x00\x00\x00", ZFS},
	{0x36, "FAT", FAT},
	{0x52, "FAT32   ", FAT},
	{4096 - 10, "SWAPSPACE2", Swap}, // at the end of the first page
	{8192 - 10, "SWAPSPACE2", Swap},
	{16384 - 10, "SWAPSPACE2", Swap},
	{32768 - 10, "SWAPSPACE2", Swap},
	{65536 - 10, "SWAPSPACE2", Swap},
}

// Detect tells what starts at r's beginning by its magic numbers. It does not
// say that it is sound. What is not known is Unknown.
func Detect(r io.ReaderAt) (Type, error) {
	for _, s := range signatures {
		found := make([]byte, len(s.magic))
		_, err := r.ReadAt(found, s.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return Unknown, fmt.Errorf("read signature at byte %d: %w", s.offset, err)
		}
		if bytes.Equal(found, []byte(s.magic)) {
			return s.kind, nil
		}
	}
	return Unknown, nil
}
