package ext4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// The superblock: where it is, and the offsets of its fields.
const (
	superOffset = 1024
	superSize   = 1024

	sbInodesCount     = 0x0
	sbBlocksCountLo   = 0x4
	sbFirstDataBlock  = 0x14
	sbLogBlockSize    = 0x18
	sbLogClusterSize  = 0x1C
	sbBlocksPerGroup  = 0x20
	sbInodesPerGroup  = 0x28
	sbMagic           = 0x38
	sbRevLevel        = 0x4C
	sbInodeSize       = 0x58
	sbCompat          = 0x5C
	sbIncompat        = 0x60
	sbROCompat        = 0x64
	sbUUID            = 0x68
	sbVolumeName      = 0x78
	sbReservedGDT     = 0xCE
	sbDescSize        = 0xFE
	sbFirstMetaBG     = 0x104
	sbBlocksCountHi   = 0x150
	sbChecksumType    = 0x175
	sbBackupBGs       = 0x24C
	sbChecksumSeed    = 0x270
	sbChecksum        = 0x3FC
	superMagic        = 0xEF53
	checksumTypeCRC   = 1 // crc32c, the only one
	maxLogBlockSize   = 6 // 64 KiB
	oldInodeSize      = 128
	oldDescSize       = 32
	maxDescSize       = 1024
	minBlocksPerGroup = 256
)

// maxGroups bounds the work on group descriptors: 128 TiB of the usual groups.
const maxGroups = 1 << 20

// superblock is what a reader needs of it, checked.
type superblock struct {
	inodes         uint32
	blocks         uint64
	firstDataBlock uint64
	blockSize      uint64
	clusterRatio   uint64 // blocks in a cluster; 1 without bigalloc
	blocksPerGroup uint64
	inodesPerGroup uint32
	groups         uint64
	inodeSize      uint64
	descSize       uint64
	firstMetaBG    uint64
	reservedGDT    uint64
	backupBGs      [2]uint64 // sparse_super2
	compat         uint32
	incompat       uint32
	roCompat       uint32
	uuid           [16]byte
	label          string
	seed           uint32 // of metadata checksums
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", rootfs.ErrCorrupt, fmt.Sprintf(format, args...))
}

// readSuper reads the superblock of a file system in a partition of size bytes.
func readSuper(r io.ReaderAt, size int64) (*superblock, error) {
	raw := make([]byte, superSize)
	if size < superOffset+superSize {
		return nil, corrupt("%d bytes are too few for ext4", size)
	}
	if _, err := r.ReadAt(raw, superOffset); err != nil {
		return nil, fmt.Errorf("read superblock: %w", err)
	}
	if binary.LittleEndian.Uint16(raw[sbMagic:]) != superMagic {
		return nil, fmt.Errorf("%w: no ext4 superblock", rootfs.ErrUnsupported)
	}
	s := parseSuper(raw)
	if err := checkFeatures(s.incompat); err != nil {
		return nil, err
	}
	if s.has(roCompatMetadataCsum) {
		if raw[sbChecksumType] != checksumTypeCRC {
			return nil, fmt.Errorf("%w: ext4 with checksums of type %d", rootfs.ErrUnsupported, raw[sbChecksumType])
		}
		if crc32c(^uint32(0), raw[:sbChecksum]) != binary.LittleEndian.Uint32(raw[sbChecksum:]) {
			return nil, corrupt("checksum of the superblock")
		}
	}
	if err := s.geometry(raw); err != nil {
		return nil, err
	}
	if s.blocks > uint64(size)/s.blockSize {
		return nil, corrupt("%d blocks of %d bytes do not fit the partition's %d bytes", s.blocks, s.blockSize, size)
	}
	return s, nil
}

// parseSuper takes the fields that need no check.
func parseSuper(raw []byte) *superblock {
	le := binary.LittleEndian
	s := &superblock{
		inodes:         le.Uint32(raw[sbInodesCount:]),
		blocks:         uint64(le.Uint32(raw[sbBlocksCountLo:])),
		firstDataBlock: uint64(le.Uint32(raw[sbFirstDataBlock:])),
		blocksPerGroup: uint64(le.Uint32(raw[sbBlocksPerGroup:])),
		inodesPerGroup: le.Uint32(raw[sbInodesPerGroup:]),
		inodeSize:      oldInodeSize,
		descSize:       oldDescSize,
		firstMetaBG:    uint64(le.Uint32(raw[sbFirstMetaBG:])),
		reservedGDT:    uint64(le.Uint16(raw[sbReservedGDT:])),
		label:          string(bytes.TrimRight(raw[sbVolumeName:sbVolumeName+16], "\x00")),
		clusterRatio:   1,
	}
	copy(s.uuid[:], raw[sbUUID:])
	for i := range s.backupBGs {
		s.backupBGs[i] = uint64(le.Uint32(raw[sbBackupBGs+4*i:]))
	}
	if le.Uint32(raw[sbRevLevel:]) > 0 { // the first revision has no features
		s.inodeSize = uint64(le.Uint16(raw[sbInodeSize:]))
		s.compat, s.incompat, s.roCompat = le.Uint32(raw[sbCompat:]), le.Uint32(raw[sbIncompat:]), le.Uint32(raw[sbROCompat:])
	}
	if s.incompat&incompat64Bit != 0 {
		s.blocks |= uint64(le.Uint32(raw[sbBlocksCountHi:])) << 32
		s.descSize = uint64(le.Uint16(raw[sbDescSize:]))
	}
	s.seed = crc32c(^uint32(0), s.uuid[:])
	if s.incompat&incompatCsumSeed != 0 {
		s.seed = le.Uint32(raw[sbChecksumSeed:])
	}
	if name, _, found := bytes.Cut(raw[sbVolumeName:sbVolumeName+16], []byte{0}); found {
		s.label = string(name)
	}
	return s
}

// geometry checks the sizes and counts against each other.
func (s *superblock) geometry(raw []byte) error {
	logBlock := binary.LittleEndian.Uint32(raw[sbLogBlockSize:])
	if logBlock > maxLogBlockSize {
		return corrupt("block size 2^(10+%d)", logBlock)
	}
	s.blockSize = 1024 << logBlock
	if s.has(roCompatBigalloc) {
		logCluster := binary.LittleEndian.Uint32(raw[sbLogClusterSize:])
		if logCluster < logBlock || logCluster > 29-10 {
			return corrupt("cluster size 2^(10+%d)", logCluster)
		}
		s.clusterRatio = 1 << (logCluster - logBlock)
	}
	wantFirst := uint64(0)
	if s.blockSize == 1024 && !s.has(roCompatBigalloc) {
		wantFirst = 1
	}
	power := func(n uint64) bool { return n&(n-1) == 0 }
	switch {
	case s.firstDataBlock != wantFirst:
		return corrupt("first data block %d", s.firstDataBlock)
	case s.inodeSize < oldInodeSize || s.inodeSize > s.blockSize || !power(s.inodeSize):
		return corrupt("inode size %d", s.inodeSize)
	case s.descSize < oldDescSize || s.descSize > maxDescSize || !power(s.descSize):
		return corrupt("group descriptor size %d", s.descSize)
	case s.blocksPerGroup < minBlocksPerGroup || s.blocksPerGroup > 8*s.blockSize*s.clusterRatio || s.blocksPerGroup%(8*s.clusterRatio) != 0:
		return corrupt("%d blocks in a group", s.blocksPerGroup)
	case s.inodesPerGroup == 0 || uint64(s.inodesPerGroup) > 8*s.blockSize:
		return corrupt("%d inodes in a group", s.inodesPerGroup)
	case s.blocks <= s.firstDataBlock || s.blocks > 1<<48:
		return corrupt("%d blocks", s.blocks)
	}
	s.groups = (s.blocks - s.firstDataBlock + s.blocksPerGroup - 1) / s.blocksPerGroup
	if s.groups > maxGroups || s.groups*uint64(s.inodesPerGroup) != uint64(s.inodes) {
		return corrupt("%d groups of %d inodes make %d inodes", s.groups, s.inodesPerGroup, s.inodes)
	}
	return nil
}

// has tells whether a read-only compatible feature is on.
func (s *superblock) has(feature uint32) bool { return s.roCompat&feature != 0 }
