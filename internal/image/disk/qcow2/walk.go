package qcow2

import "fmt"

// Table entries, docs/interop/qcow2.txt "Cluster mapping".
const (
	entryOffset = 0x00fffffffffffe00
	entryZero   = 1 << 0
)

// Check looks at every table, and fails where one points outside of the file: QEMU
// answers reads through those with zeros. It reads no more than the file's size. The
// error wraps ErrImage, or is the file's.
func (h *Header) Check() error {
	l1, err := h.readL1()
	if err != nil {
		return err
	}
	tables := int64(0)
	for i := range uint64(h.l1) {
		offset := be64(l1, int(i)*entryBytes) & entryOffset
		if offset == 0 {
			continue
		}
		// Each table is a cluster of its own, so there cannot be more.
		if tables++; tables > h.image.size/int64(h.cluster()) {
			return fmt.Errorf("%w: more L2 tables than the file has clusters", ErrImage)
		}
		table, err := h.readL2(i, offset)
		if err != nil {
			return err
		}
		for j := range h.perTable() {
			if _, err := h.place(be64(table, int(j*h.entry())), (i*h.perTable()+j)*h.cluster()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Header) readL1() ([]byte, error) {
	l1, err := h.image.read(h.l1Offset, int(h.l1)*entryBytes)
	if err != nil {
		return nil, fmt.Errorf("L1 table: %w", err)
	}
	return l1, nil
}

// readL2 reads the L2 table of that number, which is at an offset.
func (h *Header) readL2(number, offset uint64) ([]byte, error) {
	if offset%h.cluster() != 0 {
		return nil, fmt.Errorf("%w: L2 table %d at %d starts inside of a cluster", ErrImage, number, offset)
	}
	table, err := h.image.read(offset, h.ClusterSize)
	if err != nil {
		return nil, fmt.Errorf("L2 table %d: %w", number, err)
	}
	return table, nil
}

// place is where in the file a cluster of the disk is.
type place struct {
	offset uint64 // 0 for a cluster that reads as zeros
	length uint64 // of compressed data, with what its last sector has behind it; else 0
}

// place checks the L2 entry that maps the cluster at a guest's offset. What the file
// has of it is inside of the file. Parts of clusters are not looked at.
func (h *Header) place(entry, guest uint64) (place, error) {
	if entry&compressed != 0 {
		bits := 62 - (h.bits - 8)
		offset := entry & (1<<bits - 1)
		sectors := entry&^uint64(compressed)>>bits&(1<<(62-bits)-1) + 1
		p := place{offset, sectors*512 - offset%512}
		return p, h.inside(p.offset, p.length, guest)
	}
	offset := entry & entryOffset
	if entry&entryZero != 0 && !h.ExtendedL2 {
		if h.version == 2 {
			return place{}, fmt.Errorf("%w: byte %d reads as zeros by a flag that version 2 does not have", ErrImage, guest)
		}
		return place{}, nil
	}
	if offset == 0 || guest >= uint64(h.Size) {
		return place{}, nil
	}
	if offset%h.cluster() != 0 {
		return place{}, fmt.Errorf("%w: data at %d starts inside of a cluster", ErrImage, offset)
	}
	return place{offset: offset}, h.inside(offset, min(h.cluster(), uint64(h.Size)-guest), guest)
}

// inside allows for a last sector that the file does not fill.
func (h *Header) inside(offset, length, guest uint64) error {
	end := (uint64(h.image.size) + 511) &^ 511
	if offset > end || length > end-offset {
		return fmt.Errorf("%w: the data of byte %d is at %d, the file has %d bytes: truncated, or points outside of itself", ErrImage, guest, offset, h.image.size)
	}
	return nil
}
