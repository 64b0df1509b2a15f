package qcow2

import (
	"bytes"
	"math/bits"
	"testing"
)

// bitWriter writes deflate with the codes of RFC 1951, section 3.2.6.
type bitWriter struct {
	out  []byte
	n, v uint
}

func (w *bitWriter) put(v, n uint) {
	w.v |= v << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.v))
		w.v >>= 8
	}
}

// code puts a Huffman code, whose first bit is its highest.
func (w *bitWriter) code(v, n uint) { w.put(uint(bits.Reverse16(uint16(v))>>(16-n)), n) }

// end returns the stream and zeros behind it, as a sector has them.
func (w *bitWriter) end(zeros int) []byte {
	w.put(0, 7)
	return append(w.out, make([]byte, zeros)...)
}

// TestDistances refuses matches that begin in front of the cluster, near the end of the
// stream and far from it.
func TestDistances(t *testing.T) {
	var f inflater
	for _, zeros := range []int{0, 100} {
		for distance := range uint(4) {
			w := &bitWriter{}
			w.put(1, 1)
			w.put(1, 2)
			w.code(0x30+'a', 8)
			w.code(0x30+'b', 8)
			w.code(1, 7) // three bytes
			w.code(distance, 5)
			w.code(0, 7)
			dst := make([]byte, 1000)
			err := f.inflate(dst, w.end(zeros))
			if err == nil { // it is shorter than dst in any case
				t.Fatal("a stream of five bytes fills a cluster")
			}
			want := map[uint]string{0: "abbbb", 1: "ababa", 2: "ab\x00\x00\x00", 3: "ab\x00\x00\x00"}[distance]
			if !bytes.HasPrefix(dst, []byte(want)) {
				t.Errorf("distance %d, %d zeros: %q", distance+1, zeros, dst[:8])
			}
		}
	}
}

// TestInflateWhole decompresses what there is of every kind, with garbage behind it.
func TestInflateWhole(t *testing.T) {
	var f inflater
	for level := -2; level <= 9; level++ {
		for i, content := range contents() {
			packed := append(deflated(t, content, level), 0xff, 0xff, 0xff)
			got := make([]byte, len(content))
			if err := f.inflate(got, packed); err != nil || !bytes.Equal(got, content) {
				t.Errorf("content %d, level %d: %v", i, level, err)
			}
			if err := f.inflate(make([]byte, len(content)+1), packed); err == nil {
				t.Errorf("content %d, level %d: more than there is", i, level)
			}
			for _, n := range []int{0, 1, max(0, len(packed)-30)} { // the last bytes are no content
				if err := f.inflate(got, packed[:n]); err == nil {
					t.Errorf("content %d, level %d: cut to %d bytes", i, level, n)
				}
			}
		}
	}
}

// TestDamagedDeflate has heads of blocks that nothing writes.
func TestDamagedDeflate(t *testing.T) {
	var f inflater
	for name, put := range map[string]func(w *bitWriter){
		"a kind that is reserved": func(w *bitWriter) { w.put(3, 2) },
		"lengths that differ":     func(w *bitWriter) { w.put(0, 7); w.put(5, 16); w.put(5, 16) },
		"too many literals":       func(w *bitWriter) { w.put(2, 2); w.put(30, 5); w.put(0, 9) },
		"too many distances":      func(w *bitWriter) { w.put(2, 2); w.put(0, 5); w.put(30, 5); w.put(0, 4) },
		"too many codes":          func(w *bitWriter) { w.put(2, 2); w.put(0, 14); w.put(0o1111, 12) },
		"too few codes":           func(w *bitWriter) { w.put(2, 2); w.put(0, 14); w.put(0o2200, 12) },
		"a repeat of nothing":     func(w *bitWriter) { w.put(2, 2); w.put(0, 14); w.put(0o0011, 12); w.put(0, 3) },
		"symbol 286":              func(w *bitWriter) { w.put(1, 2); w.code(0xc6, 8) },
		"distance 30":             func(w *bitWriter) { w.put(1, 2); w.code(0x91, 8); w.code(1, 7); w.code(30, 5) },
	} {
		for _, zeros := range []int{0, 600} {
			w := &bitWriter{}
			w.put(0, 1)
			put(w)
			if err := f.inflate(make([]byte, 1000), w.end(zeros)); err == nil {
				t.Error(name)
			}
		}
	}
}

// TestCodes refuses sets of codes that contradict each other, or leave some bits without
// a meaning.
func TestCodes(t *testing.T) {
	table := make([]uint32, 1<<literalBits+maxLiterals/2<<(maxCodeBits-literalBits))
	for _, c := range []struct {
		sizes []uint8
		good  bool
	}{
		{nil, true}, {[]uint8{0, 1}, true}, {[]uint8{1, 1}, true}, {[]uint8{2, 2, 1}, true}, {[]uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15}, true},
		{[]uint8{1, 1, 1}, false}, {[]uint8{1, 1, 15}, false}, {[]uint8{1, 2, 2, 2}, false},
		{[]uint8{2}, false}, {[]uint8{1, 2}, false}, {[]uint8{2, 2, 2}, false}, {[]uint8{1, 2, 15}, false},
	} {
		if err := build(table, literalBits, c.sizes, literal); (err == nil) != c.good {
			t.Errorf("codes of %d bits: %v", c.sizes, err)
		}
	}
}

// TestNumberOfCodes has blocks of the same two symbols, with more and more codes that
// nobody uses.
func TestNumberOfCodes(t *testing.T) {
	var f inflater
	for literals := uint(257); literals <= 288; literals++ {
		for distances := uint(1); distances <= 32; distances++ {
			w := &bitWriter{}
			w.put(1, 1)
			w.put(2, 2)
			w.put(literals-257, 5)
			w.put(distances-1, 5)
			w.put(14, 4)
			for i := range uint(18) { // sizes of 1 and repeats of 0 have one bit
				w.put(map[uint]uint{2: 1, 17: 1}[i], 3)
			}
			repeat := func(n uint) { w.put(1, 1); w.put(n-11, 7) }
			repeat('a')
			w.put(0, 1)
			repeat(138)
			repeat(256 - 'a' - 1 - 138)
			w.put(0, 1)
			if rest := literals - 257 + distances; rest >= 11 {
				repeat(rest)
			} else {
				continue
			}
			w.put(0, 3)
			got := make([]byte, 3)
			if err := f.inflate(got, w.end(10)); (err == nil) != (literals <= 286 && distances <= 30) || (err == nil && string(got) != "aaa") {
				t.Errorf("%d and %d: %q, %v", literals, distances, got, err)
			}
		}
	}
}
