package qemu

import (
	"bytes"
	"fmt"
)

// VDI header of VirtualBox, version 1.1: offsets in bytes, little endian.
const (
	vdiSignature  = 0x40
	vdiVersion    = 0x44
	vdiType       = 0x4c
	vdiDataOffset = 0x158
	vdiDiskSize   = 0x170
	vdiBlockSize  = 0x178
	vdiAllocated  = 0x184
	vdiLink       = 0x1a8 // UUIDs of the snapshot and the parent it hangs on
	vdiHeader     = 0x1c8

	vdiDynamic = 1
	vdiStatic  = 2
)

// vdi takes an image that stands alone and has all its blocks.
func (f *image) vdi() (*header, error) {
	b, err := f.read(0, vdiHeader)
	if err != nil {
		return nil, err
	}
	if le32(b, vdiSignature) != 0xbeda107f || le32(b, vdiVersion) != 0x00010001 {
		return nil, fmt.Errorf("%w: it is not a vdi of version 1.1", ErrImage)
	}
	if kind := le32(b, vdiType); kind != vdiDynamic && kind != vdiStatic {
		return nil, fmt.Errorf("%w: vdi of type %d, want a dynamic or static one", ErrImage, kind)
	}
	if links := b[vdiLink : vdiLink+32]; !bytes.Equal(links, make([]byte, 32)) {
		return nil, fmt.Errorf("%w: the vdi has a parent", ErrImage)
	}
	size := le64(b, vdiDiskSize)
	if size == 0 || size > maxSize {
		return nil, wrongSize(size)
	}
	end := uint64(le32(b, vdiDataOffset)) + uint64(le32(b, vdiBlockSize))*uint64(le32(b, vdiAllocated))
	if end > uint64(f.size) {
		return nil, fmt.Errorf("%w: its blocks end at %d, the file has %d bytes: truncated", ErrImage, end, f.size)
	}
	return &header{format: VDI, size: int64(size)}, nil
}
