package ext4

import (
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// FS is an ext2, ext3 or ext4 file system. It is a rootfs.Volume.
type FS struct {
	r     io.ReaderAt
	sb    *superblock
	cache *cache
}

var _ rootfs.Volume = (*FS)(nil)

// Open reads the superblock of the file system that starts at r's beginning in
// a partition of size bytes. The error wraps rootfs.ErrUnsupported when it is
// not ext4 or has a feature that is unknown here, and rootfs.ErrCorrupt when it
// contradicts itself.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	sb, err := readSuper(r, size)
	if err != nil {
		return nil, err
	}
	cache, err := newCache(r, sb.blockSize)
	if err != nil {
		return nil, err
	}
	return &FS{r: r, sb: sb, cache: cache}, nil
}

// Type is rootfs.Ext4, for ext2 and ext3 too.
func (f *FS) Type() rootfs.Type { return rootfs.Ext4 }

// UUID is in the 36-character lower-case form.
func (f *FS) UUID() string {
	u := f.sb.uuid
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Label is the volume name, up to 16 bytes.
func (f *FS) Label() string { return f.sb.label }

// Size is the length of the file system in bytes.
func (f *FS) Size() int64 { return int64(f.sb.blocks * f.sb.blockSize) }

// BlockSize is the size of its blocks in bytes.
func (f *FS) BlockSize() int { return int(f.sb.blockSize) }

// FineTimes tells whether its inodes have room for nanoseconds and for times
// after 2038.
func (f *FS) FineTimes() bool { return f.sb.inodeSize > oldInodeSize }

// NeedsRecovery tells whether its journal holds what the rest does not show
// yet, because it was not unmounted. What FS reads then may be out of date;
// e2fsprogs.Recover mends that on a copy.
func (f *FS) NeedsRecovery() bool { return f.sb.incompat&incompatRecover != 0 }

// block returns a block of metadata, which the caller must not change.
func (f *FS) block(number uint64) ([]byte, error) {
	if number < f.sb.firstDataBlock || number >= f.sb.blocks {
		return nil, corrupt("block %d lies outside the file system", number)
	}
	return f.cache.get(number)
}
