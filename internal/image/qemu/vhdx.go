package qemu

import "fmt"

// [MS-VHDX] 2.2.3 and 2.6: offsets in bytes, little endian.
const (
	vhdxRegions = 192 << 10
	vhdxTable   = 64 << 10 // bytes of the region table, and of the metadata table

	vhdxEntry = 32

	vhdxHasParent = 1 << 1
	vhdxPresent   = 6 // state of a block: fully present; 7 is partially
)

// GUIDs as they are on the disk.
const (
	vhdxMetadata   = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	vhdxBlocks     = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
	vhdxSector     = "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"
	vhdxParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	vhdxSize       = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
)

// vhdx takes a disk without a parent that has all its blocks.
func (f *image) vhdx() (*header, error) {
	regions, err := f.read(vhdxRegions, vhdxTable)
	if err != nil {
		return nil, err
	}
	at := find(regions, 16, le32(regions, 8), vhdxMetadata)
	blocks := find(regions, 16, le32(regions, 8), vhdxBlocks)
	if string(regions[:4]) != "regi" || at == nil || blocks == nil {
		return nil, fmt.Errorf("%w: vhdx without metadata or blocks", ErrImage)
	}
	m := &vhdxTables{image: f, start: le64(at, 16)}
	if m.table, err = f.read(m.start, vhdxTable); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	parameters, size, sector := m.item(vhdxParameters), m.item(vhdxSize), m.item(vhdxSector)
	if parameters == nil || size == nil || sector == nil || string(m.table[:8]) != "metadata" {
		return nil, fmt.Errorf("%w: vhdx without parameters or size", ErrImage)
	}
	if le32(parameters, 4)&vhdxHasParent != 0 {
		return nil, fmt.Errorf("%w: the vhdx has a parent", ErrImage)
	}
	g := vhdxGeometry{size: le64(size, 0), block: uint64(le32(parameters, 0)), sector: uint64(le32(sector, 0))}
	if err := g.check(); err != nil {
		return nil, err
	}
	return &header{format: VHDX, size: int64(g.size)}, f.vhdxWalk(le64(blocks, 16), g)
}

// vhdxTables is the metadata of a vhdx.
type vhdxTables struct {
	*image
	start uint64
	table []byte
}

// item returns the first eight bytes of a metadata item, or nil.
func (m *vhdxTables) item(guid string) []byte {
	entry := find(m.table, 32, le32(m.table, 8)>>16, guid)
	if entry == nil {
		return nil
	}
	b, err := m.read(m.start+uint64(le32(entry, 16)), 8)
	if err != nil {
		return nil
	}
	return b
}

// vhdxGeometry is in bytes.
type vhdxGeometry struct{ size, block, sector uint64 }

func (g vhdxGeometry) check() error {
	if g.size == 0 || g.size > maxSize || g.block < 1<<20 || g.block > 256<<20 || g.block&(g.block-1) != 0 || (g.sector != 512 && g.sector != 4096) {
		return fmt.Errorf("%w: vhdx of %d bytes in blocks of %d, sectors of %d", ErrImage, g.size, g.block, g.sector)
	}
	return nil
}

// vhdxWalk checks that every block is in the file. After each chunk of blocks
// the table has one entry of another use ([MS-VHDX] 2.5).
func (f *image) vhdxWalk(at uint64, g vhdxGeometry) error {
	chunk := g.sector << 23 / g.block
	count := (g.size + g.block - 1) / g.block
	table, err := f.read(at, int(count+(count-1)/chunk)*8)
	if err != nil {
		return fmt.Errorf("block table: %w", err)
	}
	for i := range count {
		entry := le64(table, int(i+i/chunk)*8)
		length := min(g.block, g.size-i*g.block)
		offset := entry &^ (1<<20 - 1)
		if state := entry & 7; state >= vhdxPresent && (offset > uint64(f.size) || length > uint64(f.size)-offset) {
			return fmt.Errorf("%w: block %d is at %d, the file has %d bytes: truncated, or points outside of itself", ErrImage, i, offset, f.size)
		}
	}
	return nil
}

// find returns the entry of a table that has the GUID, or nil. The table has room
// for the 2047 entries that the format allows.
func find(table []byte, first int, count uint32, guid string) []byte {
	for at := first; count > 0 && at+vhdxEntry <= len(table); at += vhdxEntry {
		if string(table[at:at+16]) == guid {
			return table[at : at+vhdxEntry]
		}
		count--
	}
	return nil
}
