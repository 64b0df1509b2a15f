package ext4

import "encoding/binary"

// Fields of the superblock and of group descriptors that only a writer needs.
const (
	sbFreeBlocksLo     = 0xC
	sbFreeInodes       = 0x10
	sbClustersPerGroup = 0x24
	sbMaxMountCount    = 0x36
	sbState            = 0x3A
	sbErrors           = 0x3C
	sbFirstInode       = 0x54
	sbHashSeed         = 0xEC
	sbHashVersion      = 0xFC
	sbMountOptions     = 0x100
	sbMinExtraSize     = 0x15C
	sbWantExtraSize    = 0x15E
	sbFlags            = 0x160
	sbLogGroupsPerFlex = 0x174

	bgFreeBlocksLo    = 0xC
	bgFreeInodesLo    = 0xE
	bgUsedDirsLo      = 0x10
	bgInodeBitmapCSLo = 0x1A

	flagInodeZeroed = 0x4

	newExtraSize = 32
)

// Features of new file systems.
const (
	newCompat   = 0x8 | 0x20 | compatSparseSuper2 // ext_attr, dir_index
	newIncompat = incompatFiletype | incompatExtents | incompatFlexBG
	newROCompat = 0x2 | 0x8 | 0x20 | 0x40 | 0x1000 | roCompatMetadataCsum // large_file, huge_file, dir_nlink, extra_isize, read-only
)

func (l *layout) write() {
	for _, it := range l.items {
		l.writeItem(it)
	}
	for g := range l.groups {
		l.writeGroup(g)
	}
	l.writeSuper()
}

func (l *layout) writeSuper() {
	raw, le := l.block(0)[superOffset:][:superSize], binary.LittleEndian
	inodes := l.groups * l.inodesPerGroup
	for _, f := range []struct{ at, value uint64 }{
		{sbInodesCount, inodes}, {sbBlocksCountLo, l.blocks}, {sbFreeBlocksLo, l.blocks - l.next}, {sbFreeInodes, inodes - l.lastInode()},
		{sbLogBlockSize, 2}, {sbLogClusterSize, 2}, {sbBlocksPerGroup, newBlocksPerGroup}, {sbClustersPerGroup, newBlocksPerGroup},
		{sbInodesPerGroup, l.inodesPerGroup}, {sbRevLevel, 1}, {sbFirstInode, firstInode},
		{sbCompat, newCompat}, {sbIncompat, newIncompat}, {sbROCompat, newROCompat},
		{sbMountOptions, 0xC}, {sbFlags, 1}, // user_xattr and acl; directory hashes of signed bytes
	} {
		le.PutUint32(raw[f.at:], uint32(f.value))
	}
	for _, f := range []struct{ at, value uint16 }{
		{sbMaxMountCount, 0xFFFF}, {sbMagic, superMagic}, {sbState, 1}, {sbErrors, 1}, {sbInodeSize, InodeSize},
		{sbMinExtraSize, newExtraSize}, {sbWantExtraSize, newExtraSize},
	} {
		le.PutUint16(raw[f.at:], f.value)
	}
	copy(raw[sbUUID:], l.uuid[:])
	copy(raw[sbVolumeName:sbVolumeName+16], l.label)
	copy(raw[sbHashSeed:], l.uuid[:])
	raw[sbHashVersion] = 1 // half MD4
	raw[sbLogGroupsPerFlex] = 4
	raw[sbChecksumType] = checksumTypeCRC
	le.PutUint32(raw[sbChecksum:], crc32c(^uint32(0), raw[:sbChecksum]))
}

// lastInode is the last one in use; all before it are in use or reserved.
func (l *layout) lastInode() uint64 { return firstInode + uint64(len(l.items)) - 2 }

func (l *layout) writeGroup(g uint64) {
	le := binary.LittleEndian
	raw := l.head[newBlockSize+g*oldDescSize:][:oldDescSize]
	blockBitmap, inodeBitmap := l.block(l.blockBitmaps()+g), l.block(l.inodeBitmaps()+g)
	freeBlocks := fillBitmap(blockBitmap, g*newBlocksPerGroup, l.next, l.blocks)
	freeInodes := fillBitmap(inodeBitmap, g*l.inodesPerGroup, l.lastInode(), (g+1)*l.inodesPerGroup)
	dirs := 0
	for _, it := range l.items {
		if it.Dir && uint64(it.number-1)/l.inodesPerGroup == g {
			dirs++
		}
	}
	le.PutUint32(raw[bgBlockBitmapLo:], uint32(l.blockBitmaps()+g))
	le.PutUint32(raw[bgInodeBitmapLo:], uint32(l.inodeBitmaps()+g))
	le.PutUint32(raw[bgInodeTableLo:], uint32(l.tables()+g*l.tableBlocks()))
	le.PutUint16(raw[bgFreeBlocksLo:], uint16(freeBlocks))
	le.PutUint16(raw[bgFreeInodesLo:], uint16(freeInodes))
	le.PutUint16(raw[bgUsedDirsLo:], uint16(dirs))
	le.PutUint16(raw[bgFlags:], flagInodeZeroed)
	le.PutUint16(raw[bgBlockBitmapCSLo:], uint16(crc32c(l.seed, blockBitmap)))
	le.PutUint16(raw[bgInodeBitmapCSLo:], uint16(crc32c(l.seed, inodeBitmap[:l.inodesPerGroup/8])))
	le.PutUint16(raw[bgChecksum:], uint16(crc32c(crc32c32(l.seed, uint32(g)), raw)))
}

// fillBitmap sets the bits of what is used, all before a number, and of what is not
// there, all from another number on. It returns how many are clear.
func fillBitmap(bitmap []byte, first, used, end uint64) (free int) {
	for i := range uint64(8 * len(bitmap)) {
		if n := first + i; n < used || n >= end {
			bitmap[i/8] |= 1 << (i % 8)
		} else {
			free++
		}
	}
	return free
}
