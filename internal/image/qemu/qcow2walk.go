package qemu

import "fmt"

// Table entries, docs/interop/qcow2.txt "Cluster mapping".
const (
	entryOffset     = 0x00fffffffffffe00
	entryCompressed = 1 << 62
	entryZero       = 1 << 0
)

// walk checks that everything the tables point to is inside of the file. It
// reads no more than the file's size.
func (q *qcow2) walk() error {
	l1, err := q.read(q.l1Offset, int(q.l1)*8)
	if err != nil {
		return fmt.Errorf("L1 table: %w", err)
	}
	tables := int64(0)
	perTable := q.cluster() / uint64(q.entry)
	for i := range uint64(q.l1) {
		offset := be64(l1, int(i)*8) & entryOffset
		if offset == 0 {
			continue
		}
		// Each table is a cluster of its own, so there cannot be more.
		if tables++; tables > q.image.size/int64(q.cluster()) {
			return fmt.Errorf("%w: more L2 tables than the file has clusters", ErrImage)
		}
		if offset%q.cluster() != 0 {
			return fmt.Errorf("%w: L2 table %d at %d starts inside of a cluster", ErrImage, i, offset)
		}
		table, err := q.read(offset, int(q.cluster()))
		if err != nil {
			return fmt.Errorf("L2 table %d: %w", i, err)
		}
		for j := range perTable {
			if err := q.checkEntry(be64(table, int(j)*q.entry), (i*perTable+j)*q.cluster()); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkEntry checks one L2 entry, which maps the cluster at a guest's offset.
func (q *qcow2) checkEntry(entry, guest uint64) error {
	if entry&entryCompressed != 0 {
		bits := 62 - (q.clusterBits - 8)
		offset := entry & (1<<bits - 1)
		sectors := entry&^uint64(entryCompressed)>>bits&(1<<(62-bits)-1) + 1
		return q.inside(offset, sectors*512-offset%512, guest)
	}
	offset := entry & entryOffset
	if offset == 0 || (entry&entryZero != 0 && q.entry == 8) || guest >= q.size {
		return nil
	}
	if offset%q.cluster() != 0 {
		return fmt.Errorf("%w: data at %d starts inside of a cluster", ErrImage, offset)
	}
	return q.inside(offset, min(q.cluster(), q.size-guest), guest)
}

// inside allows for a last sector that the file does not fill.
func (q *qcow2) inside(offset, length, guest uint64) error {
	end := (uint64(q.image.size) + 511) &^ 511
	if offset > end || length > end-offset {
		return fmt.Errorf("%w: the data of byte %d is at %d, the file has %d bytes: truncated, or points outside of itself", ErrImage, guest, offset, q.image.size)
	}
	return nil
}
