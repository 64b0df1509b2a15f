package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// SectorSize is what storage writes whole or not at all, in bytes.
const SectorSize = 512

// Relink returns what to write where to give a symbolic link another target of
// the same length: one sector, so that the link has the old target or the new one
// at any moment. That needs a target of less than 60 bytes, which is in the inode
// itself, as its checksum is. The offset is in bytes from the file system's start.
func (f *FS) Relink(name, target string) (offset int64, sector []byte, err error) {
	in, err := f.resolve(name, false)
	if err == nil {
		offset, sector, err = f.relink(in, target)
	}
	if err != nil {
		return 0, nil, &fs.PathError{Op: "relink", Path: name, Err: err}
	}
	return offset, sector, nil
}

func (f *FS) relink(in *inode, target string) (offset int64, sector []byte, err error) {
	old, err := f.readLink(in)
	switch {
	case err != nil:
		return 0, nil, err
	case len(old) != len(target):
		return 0, nil, fmt.Errorf("the target has %d bytes, want %d as before", len(target), len(old))
	case len(old) >= blockAreaSize || in.has(flagInlineData|flagExtents):
		return 0, nil, fmt.Errorf("%w: the target is not in the inode alone", rootfs.ErrUnsupported)
	case f.NeedsRecovery():
		return 0, nil, fmt.Errorf("%w: the journal has to be replayed first", rootfs.ErrUnsupported)
	case len(in.raw) > SectorSize:
		return 0, nil, fmt.Errorf("%w: inodes of %d bytes are larger than a sector", rootfs.ErrUnsupported, len(in.raw))
	}
	if offset, err = f.inodeOffset(in.number); err != nil {
		return 0, nil, err
	}
	within := offset % SectorSize
	offset -= within
	sector = make([]byte, SectorSize)
	if n, err := f.r.ReadAt(sector, offset); n < len(sector) {
		return 0, nil, fmt.Errorf("read inode %d: %w", in.number, err)
	}
	raw := sector[within:][:len(in.raw)]
	copy(raw[inBlock:], target)
	sum, wide := f.inodeChecksum(&inode{number: in.number, raw: raw, seed: in.seed})
	if !f.sb.has(roCompatMetadataCsum) {
		return offset, sector, nil
	}
	binary.LittleEndian.PutUint16(raw[inChecksumLo:], uint16(sum))
	if wide {
		binary.LittleEndian.PutUint16(raw[inChecksumHi:], uint16(sum>>16))
	}
	if err := f.checkInode(&inode{number: in.number, raw: raw}); err != nil {
		return 0, nil, errors.Join(errors.New("the inode's checksum comes out wrong"), err)
	}
	return offset, sector, nil
}

// inodeOffset returns where an inode is, in bytes from the file system's start.
func (f *FS) inodeOffset(number uint32) (int64, error) {
	g, err := f.group(uint64((number - 1) / f.sb.inodesPerGroup))
	if err != nil {
		return 0, err
	}
	return int64(g.inodeTable*f.sb.blockSize + uint64((number-1)%f.sb.inodesPerGroup)*f.sb.inodeSize), nil
}
