package qcow2

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// Close writes the tables, makes everything durable, and writes the header.
// The header itself is durable after the caller's next Sync. Without Close, or
// after an error, the file is no image. Closing twice is an error.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return fmt.Errorf("%w: the image is closed already", ErrWrite)
	}
	w.finished = true
	l, err := w.writeTables()
	if err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	// The last cluster may have been written in part only.
	if err := w.f.Truncate(int64(len(w.refs)) << w.bits); err != nil {
		return fmt.Errorf("end image: %w", err)
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("sync image: %w", err)
	}
	if _, err := w.f.WriteAt(w.header(l), 0); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	return nil
}

// writeTables writes L2 and L1 tables, then the reference counts, which count
// themselves.
func (w *Writer) writeTables() (*layout, error) {
	span := w.perTable() << w.bits
	l := &layout{l1Entries: (uint64(w.size) + span - 1) / span}
	l1 := make([]uint64, l.l1Entries)
	for _, i := range slices.Sorted(maps.Keys(w.tables)) {
		offset := w.allocate(1)
		l1[i] = offset | copied
		if err := w.writeEntries(w.tables[i], offset); err != nil {
			return nil, err
		}
	}
	l.l1 = w.allocate(w.clusters(l.l1Entries * entryBytes))
	if err := w.writeEntries(l1, l.l1); err != nil {
		return nil, err
	}
	return l, w.writeRefcounts(l)
}

// clusters is how many clusters hold so many bytes.
func (w *Writer) clusters(bytes uint64) uint64 {
	return (bytes + w.cluster() - 1) >> w.bits
}

func (w *Writer) writeRefcounts(l *layout) error {
	perBlock := w.cluster() / refcountBytes
	used, blocks := uint64(len(w.refs)), uint64(0)
	for {
		l.refSize = w.clusters(blocks * entryBytes)
		need := (used + blocks + l.refSize + perBlock - 1) / perBlock
		if need == blocks {
			break
		}
		blocks = need
	}
	l.refcount = w.allocate(l.refSize)
	table := make([]uint64, blocks)
	for i := range table {
		table[i] = w.allocate(1)
	}
	if err := w.writeEntries(table, l.refcount); err != nil {
		return err
	}
	for i, offset := range table {
		block := make([]byte, w.cluster())
		from := uint64(i) * perBlock
		for j, count := range w.refs[from:min(from+perBlock, uint64(len(w.refs)))] {
			binary.BigEndian.PutUint16(block[j*refcountBytes:], count)
		}
		if _, err := w.f.WriteAt(block, int64(offset)); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) writeEntries(entries []uint64, offset uint64) error {
	b := make([]byte, len(entries)*entryBytes)
	for i, e := range entries {
		binary.BigEndian.PutUint64(b[i*entryBytes:], e)
	}
	_, err := w.f.WriteAt(b, int64(offset))
	return err
}
