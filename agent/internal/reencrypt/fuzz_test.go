package reencrypt

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// FuzzJournal resumes from any bytes in the journal's places, as they are and, since a
// fuzzer finds no code, with the right code over them. Nothing panics, and nothing outside of
// buffers, journal and payload is written, whatever they name.
func FuzzJournal(f *testing.F) {
	const size = 64 << 10
	w := begun(f, size, 8<<10, Extent{0, size})
	if err := w.boot(f.Context()); err != nil {
		f.Fatal(err)
	}
	record := func(r instancedisk.JournalRecord) []byte {
		return instancedisk.EncodeJournal(w.volume.id(), r, nil)
	}
	zeros := sha256.Sum256(make([]byte, 8<<10))
	chunk := func(sequence uint64, place, length int64) []byte {
		return record(instancedisk.JournalRecord{Kind: instancedisk.Chunk, Sequence: sequence, Place: place, Length: length, Buffer: zeros})
	}
	f.Add(record(instancedisk.JournalRecord{Kind: instancedisk.Start}), []byte{})
	f.Add(chunk(2, 0, 8<<10), chunk(3, 8<<10, 8<<10))
	f.Add(chunk(2, size-4096, 8<<10), chunk(3, 1<<63-1, 8<<10))
	f.Add(chunk(1<<63, 1<<63-8192, 8<<10), chunk(1<<63+1, 0, 8<<10))
	f.Add([]byte{}, record(instancedisk.JournalRecord{Kind: instancedisk.Done, Sequence: 5, Place: 1 << 62}))
	f.Fuzz(func(t *testing.T, even, odd []byte) {
		for _, right := range []bool{false, true} {
			c := w.on(w.before.clone()) // buffers are zero
			for place, b := range [][]byte{even, odd} {
				c.disk.durable[instancedisk.JournalAt(uint64(place))] = c.sealed(t, b, right)
			}
			work, err := c.volume.Resume(c.golden, c.target)
			if err == nil {
				if _, err := work.ReadAt(make([]byte, size), 0); err != nil {
					t.Error(err)
				}
				if err := work.Run(t.Context(), c.extents, nil); err != nil || !work.Done() {
					t.Errorf("done %t, %v", work.Done(), err)
				}
				work.Close()
			}
			if err := c.onlyInside(); err != nil {
				t.Error(err)
			}
		}
	})
}

// sealed makes a sector of any bytes; with the right claim and code in it where that is wanted.
func (w *world) sealed(t *testing.T, b []byte, right bool) sector {
	t.Helper()
	var s sector
	copy(s[:], b)
	if !right {
		return s
	}
	start, err := wire.JournalStartKey(w.golden)
	if err != nil {
		t.Fatal(err)
	}
	key, err := wire.JournalKey(w.target)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	r := instancedisk.JournalRecord{ // where docs/disk-format.md has them
		Kind: instancedisk.Kind(le.Uint32(s[12:])), Sealed: w.volume.Sealed, Sequence: le.Uint64(s[80:]),
		Place: int64(le.Uint64(s[88:])), Length: int64(le.Uint64(s[96:])), Buffer: [32]byte(s[104:]),
	}
	if r.Kind == instancedisk.Start {
		key = start
	}
	return sector(instancedisk.EncodeJournal(w.volume.id(), r, key))
}
