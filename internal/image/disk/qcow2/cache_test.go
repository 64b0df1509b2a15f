package qcow2

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// TestTablesAreBounded reads all of a disk of many L2 tables.
func TestTablesAreBounded(t *testing.T) {
	const cluster, tables = 512, 3 * tableCache / 512
	const span = cluster / entryBytes * cluster // of the disk, for each table
	b := make([]byte, (1+tables/(cluster/entryBytes)+tables)*cluster)
	copy(b, magic)
	be := binary.BigEndian
	be.PutUint32(b[offVersion:], 2)
	be.PutUint32(b[offClusterBits:], 9)
	be.PutUint64(b[offSize:], tables*span)
	be.PutUint32(b[offL1Size:], tables)
	be.PutUint64(b[offL1:], cluster)
	for i := range tables {
		be.PutUint64(b[cluster+i*entryBytes:], uint64(len(b)-(tables-i)*cluster))
	}
	r, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(tables) {
		if _, err := r.ReadAt(make([]byte, 1), i*span); err != nil {
			t.Fatal(err)
		}
	}
	if kept := r.tables.Len() * cluster; kept != tableCache {
		t.Errorf("%d bytes are kept", kept)
	}
}
