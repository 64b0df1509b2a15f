package ext4

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// The inode: offsets of its fields, and its flags.
const (
	inMode       = 0x0
	inUIDLo      = 0x2
	inSizeLo     = 0x4
	inAtime      = 0x8
	inCtime      = 0xC
	inMtime      = 0x10
	inGIDLo      = 0x18
	inLinks      = 0x1A
	inBlocksLo   = 0x1C
	inFlags      = 0x20
	inBlock      = 0x28
	inGeneration = 0x64
	inFileACLLo  = 0x68
	inSizeHi     = 0x6C
	inBlocksHi   = 0x74
	inFileACLHi  = 0x76
	inUIDHi      = 0x78
	inGIDHi      = 0x7A
	inChecksumLo = 0x7C
	inExtraSize  = 0x80
	inChecksumHi = 0x82
	inCtimeExtra = 0x84
	inMtimeExtra = 0x88
	inAtimeExtra = 0x8C

	blockAreaSize = 60 // i_block: a map, a short symbolic link or inline data

	flagEncrypted  = 0x800
	flagHugeFile   = 0x40000
	flagIndexed    = 0x1000
	flagExtents    = 0x80000
	flagEAInode    = 0x200000
	flagInlineData = 0x10000000

	rootInode = 2
)

// inode is one file's, checked.
type inode struct {
	number uint32
	raw    []byte // all of it, extra fields and attributes included
	seed   uint32 // of the checksums of what belongs to it
	flags  uint32
	stat   rootfs.Stat
}

func (in *inode) is(mode uint32) bool  { return in.stat.Mode&rootfs.ModeType == mode }
func (in *inode) has(flag uint32) bool { return in.flags&flag != 0 }
func (in *inode) blockArea() []byte    { return in.raw[inBlock : inBlock+blockAreaSize] }

// inode reads an inode that is in use.
func (f *FS) inode(number uint32) (*inode, error) {
	if number == 0 || number > f.sb.inodes {
		return nil, corrupt("inode %d does not exist", number)
	}
	g, err := f.group(uint64((number - 1) / f.sb.inodesPerGroup))
	if err != nil {
		return nil, err
	}
	if g.inodesUninit {
		return nil, corrupt("inode %d was never written", number)
	}
	offset := uint64((number-1)%f.sb.inodesPerGroup) * f.sb.inodeSize
	table, err := f.block(g.inodeTable + offset/f.sb.blockSize)
	if err != nil {
		return nil, fmt.Errorf("read inode %d: %w", number, err)
	}
	in := &inode{number: number, raw: append([]byte(nil), table[offset%f.sb.blockSize:][:f.sb.inodeSize]...)}
	if err := f.checkInode(in); err != nil {
		return nil, err
	}
	f.parseInode(in)
	if in.stat.Links == 0 || in.stat.Mode&rootfs.ModeType == 0 {
		return nil, corrupt("inode %d is not in use", number)
	}
	if in.has(flagEncrypted) {
		return nil, fmt.Errorf("%w: inode %d is encrypted", rootfs.ErrUnsupported, number)
	}
	if limit := uint64(1) << 32; uint64(in.stat.Size) > limit*f.sb.blockSize { // blocks of a file are numbered in 32 bits
		return nil, corrupt("inode %d has %d bytes", number, uint64(in.stat.Size))
	}
	return in, nil
}

// extraSize is how many bytes of fields follow the first 128.
func (in *inode) extraSize() int {
	if len(in.raw) <= oldInodeSize {
		return 0
	}
	return int(binary.LittleEndian.Uint16(in.raw[inExtraSize:]))
}

// hasField tells whether a four-byte extra field is there.
func (in *inode) hasField(offset int) bool { return oldInodeSize+in.extraSize() >= offset+4 }

// checkInode verifies size and checksum.
func (f *FS) checkInode(in *inode) error {
	le := binary.LittleEndian
	if extra := in.extraSize(); extra%4 != 0 || oldInodeSize+extra > len(in.raw) {
		return corrupt("inode %d has %d bytes of extra fields", in.number, extra)
	}
	in.seed = crc32c32(crc32c32(f.sb.seed, in.number), le.Uint32(in.raw[inGeneration:]))
	if !f.sb.has(roCompatMetadataCsum) {
		return nil
	}
	want := uint32(le.Uint16(in.raw[inChecksumLo:]))
	sum, wide := f.inodeChecksum(in)
	if wide {
		want |= uint32(le.Uint16(in.raw[inChecksumHi:])) << 16
	}
	if sum != want {
		return corrupt("checksum of inode %d", in.number)
	}
	return nil
}

// inodeChecksum returns the checksum that an inode should have: 32 bits if it has
// room for them, otherwise 16.
func (f *FS) inodeChecksum(in *inode) (sum uint32, wide bool) {
	plain := zeroed(in.raw, inChecksumLo, 2)
	if in.extraSize() < 4 {
		return crc32c(in.seed, plain) & 0xFFFF, false
	}
	clear(plain[inChecksumHi : inChecksumHi+2])
	return crc32c(in.seed, plain), true
}

func (f *FS) parseInode(in *inode) {
	le, raw := binary.LittleEndian, in.raw
	in.flags = le.Uint32(raw[inFlags:])
	s := &in.stat
	s.Inode = uint64(in.number)
	s.Mode = uint32(le.Uint16(raw[inMode:]))
	s.UID = uint32(le.Uint16(raw[inUIDLo:])) | uint32(le.Uint16(raw[inUIDHi:]))<<16
	s.GID = uint32(le.Uint16(raw[inGIDLo:])) | uint32(le.Uint16(raw[inGIDHi:]))<<16
	s.Links = uint32(le.Uint16(raw[inLinks:]))
	s.Size = int64(le.Uint32(raw[inSizeLo:]))
	if in.is(rootfs.ModeRegular) || f.sb.incompat&incompatLargeDir != 0 {
		s.Size |= int64(le.Uint32(raw[inSizeHi:])) << 32
	}
	s.Blocks = int64(le.Uint32(raw[inBlocksLo:])) | int64(le.Uint16(raw[inBlocksHi:]))<<32
	if in.has(flagHugeFile) { // counted in file-system blocks
		s.Blocks *= int64(f.sb.blockSize / 512)
	}
	s.Atime, s.Mtime, s.Ctime = in.time(inAtime, inAtimeExtra), in.time(inMtime, inMtimeExtra), in.time(inCtime, inCtimeExtra)
	if in.is(rootfs.ModeChar) || in.is(rootfs.ModeBlock) {
		s.Major, s.Minor = in.device()
	}
}

// time reads a time: seconds of 32 bits with sign, and where there is room two
// more bits of them and 30 bits of nanoseconds.
func (in *inode) time(offset, extraOffset int) time.Time {
	seconds := int64(int32(binary.LittleEndian.Uint32(in.raw[offset:])))
	if !in.hasField(extraOffset) {
		return time.Unix(seconds, 0)
	}
	extra := binary.LittleEndian.Uint32(in.raw[extraOffset:])
	return time.Unix(seconds+int64(extra&3)<<32, int64(extra>>2))
}

// device reads the numbers of a device: 8 bits each in the first word, or 12
// and 20 bits in the second.
func (in *inode) device() (major, minor uint32) {
	area := in.blockArea()
	if old := binary.LittleEndian.Uint32(area); old != 0 {
		return old >> 8 & 0xFF, old & 0xFF
	}
	n := binary.LittleEndian.Uint32(area[4:])
	return n >> 8 & 0xFFF, n&0xFF | n>>12&^uint32(0xFF)
}
