package fat

import (
	"encoding/binary"
	"fmt"
	"io"
)

// table is the allocation table: for each cluster the next one of its file.
type table struct {
	bits     int
	entries  []byte
	clusters uint32
	owned    []uint64 // a bit for each cluster that a chain has claimed
}

func readTable(r io.ReaderAt, l *layout) (*table, error) {
	t := &table{bits: l.bits, clusters: l.clusters}
	t.entries = make([]byte, ((int64(l.clusters)+firstCluster)*int64(l.bits)+7)/8)
	if _, err := r.ReadAt(t.entries, l.table); err != nil {
		return nil, fmt.Errorf("read FAT's table: %w", err)
	}
	t.owned = make([]uint64, (l.clusters+firstCluster+63)/64)
	return t, nil
}

// next returns what the table has for a cluster.
func (t *table) next(cluster uint32) uint32 {
	switch t.bits {
	case 12:
		at := cluster + cluster/2
		pair := uint32(t.entries[at])
		if at+1 < uint32(len(t.entries)) {
			pair |= uint32(t.entries[at+1]) << 8
		}
		if cluster&1 != 0 {
			return pair >> 4
		}
		return pair & 0xFFF
	case 16:
		return uint32(binary.LittleEndian.Uint16(t.entries[2*cluster:]))
	}
	return binary.LittleEndian.Uint32(t.entries[4*cluster:]) & 0x0FFFFFFF
}

// ends says whether an entry is the end of a chain.
func (t *table) ends(entry uint32) bool {
	switch t.bits {
	case 12:
		return entry >= 0xFF8
	case 16:
		return entry >= 0xFFF8
	}
	return entry >= 0x0FFFFFF8
}

// run is clusters that lie one behind the other.
type run struct {
	first, count uint32
}

// chain follows a file's clusters and claims them. Each can be claimed once, so
// that no chain has an end that is farther away than there are clusters.
func (t *table) chain(first uint32, most int64) (runs []run, clusters int64, err error) {
	for cluster := first; !t.ends(cluster); cluster = t.next(cluster) {
		if cluster < firstCluster || cluster >= firstCluster+t.clusters {
			return nil, 0, corrupt("a chain leads to cluster %d", cluster)
		}
		if t.owned[cluster/64]&(1<<(cluster%64)) != 0 {
			return nil, 0, corrupt("cluster %d belongs to two files, or comes twice in one", cluster)
		}
		t.owned[cluster/64] |= 1 << (cluster % 64)
		if clusters++; clusters > most {
			return nil, 0, corrupt("a chain of more than %d clusters", most)
		}
		if n := len(runs); n > 0 && runs[n-1].first+runs[n-1].count == cluster {
			runs[n-1].count++
			continue
		}
		runs = append(runs, run{cluster, 1})
	}
	return runs, clusters, nil
}
