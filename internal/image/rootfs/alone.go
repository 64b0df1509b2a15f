package rootfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrSeveralDevices is a file system of which a part is on another device.
var ErrSeveralDevices = errors.New("the file system is not on this device alone")

// Fields of super blocks, in bytes from the device's start. Sources: Linux
// Documentation/filesystems/ext4/super.rst; XFS Algorithms and Data Structures, table
// of xfs_sb; Btrfs on-disk format, superblock.
const (
	ext4FeatureCompat = 1024 + 0x5C // s_feature_compat, 32 bits
	ext4HasJournal    = 0x4
	ext4JournalInode  = 1024 + 0xE0 // s_journal_inum, 32 bits

	xfsRealtimeBlocks = 16 // sb_rblocks, 64 bits
	xfsLogStart       = 48 // sb_logstart, 64 bits

	btrfsDevices = 64<<10 + 0x88 // num_devices, 64 bits
)

// Alone wants a file system of a kind to need no other device: no external journal,
// log or realtime device, and no further devices. Other kinds are not looked into.
// The error wraps ErrSeveralDevices.
func Alone(r io.ReaderAt, kind Type) error {
	f := fields{r: r}
	what := ""
	switch kind {
	case Ext4:
		if f.little32(ext4FeatureCompat)&ext4HasJournal != 0 && f.little32(ext4JournalInode) == 0 {
			what = "its journal is on another one"
		}
	case XFS:
		switch {
		case f.big64(xfsLogStart) == 0:
			what = "its log is on another one"
		case f.big64(xfsRealtimeBlocks) != 0:
			what = "it has a realtime device"
		}
	case Btrfs:
		if n := f.little64(btrfsDevices); n != 1 {
			what = fmt.Sprintf("it has %d devices", n)
		}
	}
	switch {
	case f.err != nil:
		return fmt.Errorf("read super block: %w", f.err)
	case what != "":
		return fmt.Errorf("%w: %s", ErrSeveralDevices, what)
	}
	return nil
}

// fields reads numbers; the first error stays.
type fields struct {
	r   io.ReaderAt
	err error
}

func (f *fields) bytes(n int, offset int64) []byte {
	b := make([]byte, n)
	if _, err := f.r.ReadAt(b, offset); err != nil && f.err == nil {
		f.err = err
	}
	return b
}

func (f *fields) big16(offset int64) uint16    { return binary.BigEndian.Uint16(f.bytes(2, offset)) }
func (f *fields) little32(offset int64) uint32 { return binary.LittleEndian.Uint32(f.bytes(4, offset)) }
func (f *fields) little64(offset int64) uint64 { return binary.LittleEndian.Uint64(f.bytes(8, offset)) }
func (f *fields) big64(offset int64) uint64    { return binary.BigEndian.Uint64(f.bytes(8, offset)) }
