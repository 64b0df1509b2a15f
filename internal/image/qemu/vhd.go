package qemu

import "fmt"

// Virtual Hard Disk Image Format Specification 1.0: offsets in bytes, big
// endian. The footer of a dynamic disk is at its head as well.
const (
	vhdFooter      = 512
	vhdDataOffset  = 16
	vhdCurrentSize = 48
	vhdType        = 60

	vhdFixed   = 2
	vhdDynamic = 3

	vhdDynamicHeader = 1024
	vhdTableOffset   = 16
	vhdMaxEntries    = 28
	vhdBlockSize     = 32

	vhdMaxTable = 32 << 20 // bytes, as of a qcow2

	vhdUnused = 0xffffffff
)

// vhd takes a fixed or dynamic disk, not one that has a parent.
func (f *image) vhd() (*header, error) {
	footer, err := f.read(0, vhdFooter)
	if err != nil {
		return nil, err
	}
	atHead := string(footer[:8]) == "conectix"
	if !atHead {
		if footer, err = f.read(uint64(f.size-vhdFooter), vhdFooter); err != nil {
			return nil, err
		}
	}
	kind, size := be32(footer, vhdType), be64(footer, vhdCurrentSize)
	if string(footer[:8]) != "conectix" {
		return nil, fmt.Errorf("%w: the vhd has no footer: truncated?", ErrImage)
	}
	if size == 0 || size > maxSize {
		return nil, wrongSize(size)
	}
	switch {
	case kind == vhdFixed && size <= uint64(f.size-vhdFooter):
	case kind == vhdDynamic && atHead:
		if err := f.vhdBlocks(be64(footer, vhdDataOffset), size); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: vhd of type %d in a file of %d bytes: truncated, or with a parent", ErrImage, kind, f.size)
	}
	return &header{format: VHD, size: int64(size)}, nil
}

// vhdBlocks checks that every block of a dynamic disk is in the file.
func (f *image) vhdBlocks(at, size uint64) error {
	b, err := f.read(at, vhdDynamicHeader)
	if err != nil {
		return fmt.Errorf("dynamic header: %w", err)
	}
	entries, block := be32(b, vhdMaxEntries), uint64(be32(b, vhdBlockSize))
	if string(b[:8]) != "cxsparse" || block < 512 || block%512 != 0 || uint64(entries)*block < size || uint64(entries)*4 > vhdMaxTable {
		return fmt.Errorf("%w: vhd of %d blocks of %d bytes", ErrImage, entries, block)
	}
	table, err := f.read(be64(b, vhdTableOffset), int(entries)*4)
	if err != nil {
		return fmt.Errorf("block table: %w", err)
	}
	bitmap := (block/512/8 + 511) &^ 511
	for i := range int(entries) {
		sector := be32(table, i*4)
		if end := uint64(sector)*512 + bitmap + block; sector != vhdUnused && end > uint64(f.size) {
			return fmt.Errorf("%w: block %d ends at %d, the file has %d bytes: truncated, or points outside of itself", ErrImage, i, end, f.size)
		}
	}
	return nil
}
