package ext4

import (
	"encoding/binary"
	"fmt"
)

// The group descriptor: offsets of its fields and its flags.
const (
	bgBlockBitmapLo   = 0x0
	bgInodeBitmapLo   = 0x4
	bgInodeTableLo    = 0x8
	bgFlags           = 0x12
	bgBlockBitmapCSLo = 0x18
	bgChecksum        = 0x1E
	bgBlockBitmapHi   = 0x20
	bgInodeBitmapHi   = 0x24
	bgInodeTableHi    = 0x28
	bgBlockBitmapCSHi = 0x38

	flagInodeUninit = 0x1
	flagBlockUninit = 0x2
)

// group is a descriptor.
type group struct {
	number           uint64
	blockBitmap      uint64
	inodeBitmap      uint64
	inodeTable       uint64
	blocksUninit     bool   // the bitmap was never written: only metadata is used
	inodesUninit     bool   // the inode table was never written
	inodesUnused     uint32 // at the table's end, never written
	blockBitmapCsum  uint32
	wideBitmapChecks bool // all 32 bits of blockBitmapCsum are there
}

// group reads and checks the descriptor of a group.
func (f *FS) group(number uint64) (*group, error) {
	perBlock := f.sb.blockSize / f.sb.descSize
	table, err := f.block(f.sb.descriptorBlock(number / perBlock))
	if err != nil {
		return nil, fmt.Errorf("read group descriptor %d: %w", number, err)
	}
	raw := table[number%perBlock*f.sb.descSize:][:f.sb.descSize]
	if !f.sb.descriptorValid(raw, number) {
		return nil, corrupt("checksum of group descriptor %d", number)
	}
	le := binary.LittleEndian
	g := &group{
		number:          number,
		blockBitmap:     uint64(le.Uint32(raw[bgBlockBitmapLo:])),
		inodeBitmap:     uint64(le.Uint32(raw[bgInodeBitmapLo:])),
		inodeTable:      uint64(le.Uint32(raw[bgInodeTableLo:])),
		blockBitmapCsum: uint32(le.Uint16(raw[bgBlockBitmapCSLo:])),
	}
	if f.sb.descSize >= 64 {
		g.blockBitmap |= uint64(le.Uint32(raw[bgBlockBitmapHi:])) << 32
		g.inodeBitmap |= uint64(le.Uint32(raw[bgInodeBitmapHi:])) << 32
		g.inodeTable |= uint64(le.Uint32(raw[bgInodeTableHi:])) << 32
		g.blockBitmapCsum |= uint32(le.Uint16(raw[bgBlockBitmapCSHi:])) << 16
		g.wideBitmapChecks = true
	}
	if f.sb.has(roCompatGDTCsum | roCompatMetadataCsum) {
		flags := le.Uint16(raw[bgFlags:])
		g.blocksUninit, g.inodesUninit = flags&flagBlockUninit != 0, flags&flagInodeUninit != 0
		g.inodesUnused = uint32(le.Uint16(raw[bgUnusedLo:]))
		if f.sb.descSize >= 64 {
			g.inodesUnused |= uint32(le.Uint16(raw[bgUnusedHi:])) << 16
		}
	}
	for _, at := range []uint64{g.blockBitmap, g.inodeBitmap, g.inodeTable, g.inodeTable + f.sb.inodeTableBlocks() - 1} {
		if at <= f.sb.firstDataBlock || at >= f.sb.blocks {
			return nil, corrupt("group %d has metadata at block %d", number, at)
		}
	}
	return g, nil
}

// inodeTableBlocks is the length of a group's inode table in blocks.
func (s *superblock) inodeTableBlocks() uint64 {
	return (uint64(s.inodesPerGroup)*s.inodeSize + s.blockSize - 1) / s.blockSize
}

// descriptorBlocks is the length of the table of all group descriptors.
func (s *superblock) descriptorBlocks() uint64 {
	perBlock := s.blockSize / s.descSize
	return (s.groups + perBlock - 1) / perBlock
}

// firstBlock is where a group begins.
func (s *superblock) firstBlock(number uint64) uint64 {
	return s.firstDataBlock + number*s.blocksPerGroup
}

// superBlock is where a group's copy of the superblock is, if it has one. With
// 1 KiB blocks the first one is in block 1 even if group 0 begins at block 0.
func (s *superblock) superBlock(number uint64) uint64 {
	if number == 0 && s.blockSize == superSize {
		return 1
	}
	return s.firstBlock(number)
}

// hasSuper tells whether a group holds a copy of the superblock.
func (s *superblock) hasSuper(number uint64) bool {
	switch {
	case number == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return number == s.backupBGs[0] || number == s.backupBGs[1]
	case number == 1 || !s.has(roCompatSparseSuper):
		return true
	}
	for _, base := range []uint64{3, 5, 7} {
		power := base
		for power < number {
			power *= base
		}
		if power == number {
			return true
		}
	}
	return false
}

// descriptorBlock is where the i-th block of the descriptor table is.
func (s *superblock) descriptorBlock(i uint64) uint64 {
	if s.incompat&incompatMetaBG == 0 || i < s.firstMetaBG {
		return s.superBlock(0) + 1 + i
	}
	first := i * (s.blockSize / s.descSize)
	if s.hasSuper(first) {
		return s.superBlock(first) + 1
	}
	return s.firstBlock(first)
}

// descriptorValid verifies a descriptor's checksum, if there is one.
func (s *superblock) descriptorValid(raw []byte, number uint64) bool {
	want := binary.LittleEndian.Uint16(raw[bgChecksum:])
	le32 := binary.LittleEndian.AppendUint32(nil, uint32(number))
	switch {
	case s.has(roCompatMetadataCsum):
		return uint16(crc32c(crc32c(s.seed, le32), zeroed(raw, bgChecksum, 2))) == want
	case s.has(roCompatGDTCsum):
		sum := crc16(crc16(^uint16(0), s.uuid[:]), le32)
		sum = crc16(sum, raw[:bgChecksum])
		return crc16(sum, raw[bgChecksum+2:]) == want
	default:
		return true
	}
}
