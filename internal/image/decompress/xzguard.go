package decompress

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The .xz file format, version 1.2.1: sizes in bytes, and the filter LZMA2.
const (
	xzStreamHeader = 12
	xzStreamFooter = 12
	xzCheckFlag    = 7 // of the stream's header: what kind of check follows a block
	xzLZMA2        = 0x21
)

// xzGuard refuses a stream with a dictionary that is larger than maxWindow: decoding
// takes as much memory as the stream says and its content fills. It follows the
// blocks of all streams, and passes on what it has seen.
type xzGuard struct {
	r     io.Reader
	skip  int64 // bytes of data that are passed over
	want  int   // bytes that the next step needs
	step  func(held []byte) error
	held  []byte
	check int64 // bytes of the check behind each block
	data  int64 // bytes of a block's data, or of an index
	left  uint64
}

func newXZGuard(r io.Reader) *xzGuard {
	g := &xzGuard{r: r}
	g.expect(xzStreamHeader, g.header)
	return g
}

func (g *xzGuard) expect(n int, step func([]byte) error) { g.want, g.step = n, step }

func (g *xzGuard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if wrong := g.feed(p[:n]); wrong != nil {
		return 0, wrong
	}
	return n, err
}

func (g *xzGuard) feed(b []byte) error {
	for len(b) > 0 {
		if g.skip > 0 {
			n := min(g.skip, int64(len(b)))
			g.skip -= n
			b = b[n:]
			continue
		}
		g.held = append(g.held, b[0])
		b = b[1:]
		if len(g.held) < g.want {
			continue
		}
		held := g.held
		g.held = nil
		if err := g.step(held); err != nil {
			return err
		}
	}
	return nil
}

// header reads the head of a stream. Zeros may pad the end of the one before.
func (g *xzGuard) header(h []byte) error {
	if binary.LittleEndian.Uint32(h) == 0 {
		g.held = h[4:]
		g.expect(xzStreamHeader, g.header)
		return nil
	}
	if Detect(h) != XZ {
		return fmt.Errorf("%w: no header of a stream", ErrMalformed)
	}
	sizes := [...]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	g.check = sizes[h[xzCheckFlag]&0xF]
	g.expect(1, g.block)
	return nil
}

// block reads how long a block's header is. The index comes behind the last one.
func (g *xzGuard) block(h []byte) error {
	if h[0] == 0 {
		g.data, g.left = 1, 0
		g.expect(1, g.records)
		return nil
	}
	g.expect((int(h[0])+1)*4-1, g.blockHeader)
	return nil
}

// blockHeader looks for the dictionary.
func (g *xzGuard) blockHeader(h []byte) error {
	flags := h[0]
	h = h[1:]
	number := func() (n uint64) {
		n, size := binary.Uvarint(h)
		h = h[max(0, size):]
		return n
	}
	for _, flag := range []byte{0x40, 0x80} { // compressed and plain size
		if flags&flag != 0 {
			number()
		}
	}
	for range flags&3 + 1 {
		filter, size := number(), number()
		if size > uint64(len(h)) {
			return fmt.Errorf("%w: header of a block", ErrMalformed)
		}
		if filter == xzLZMA2 && (size != 1 || xzDictionary(h[0]) > maxWindow) {
			return fmt.Errorf("%w: a dictionary of more than %d bytes", ErrMalformed, maxWindow)
		}
		h = h[size:]
	}
	g.data = 0
	g.expect(1, g.chunk)
	return nil
}

// xzDictionary is the size that a property of LZMA2 stands for.
func xzDictionary(property byte) int64 {
	return int64(2|property&1) << (property&0x3F/2 + 11)
}

// chunk reads which kind of LZMA2 data follows.
func (g *xzGuard) chunk(h []byte) error {
	g.data++
	switch control := h[0]; {
	case control == 0: // the last; padding and check follow
		g.skip = -g.data&3 + g.check
		g.expect(1, g.block)
	case control == 1 || control == 2:
		g.expect(2, func(h []byte) error { return g.chunkData(h, h) })
	case control >= 0xC0:
		g.expect(5, func(h []byte) error { return g.chunkData(h, h[2:]) })
	case control >= 0x80:
		g.expect(4, func(h []byte) error { return g.chunkData(h, h[2:]) })
	default:
		return fmt.Errorf("%w: control byte %#x", ErrMalformed, control)
	}
	return nil
}

// chunkData passes over the data of a chunk, whose size stands in its header.
func (g *xzGuard) chunkData(header, size []byte) error {
	g.skip = int64(binary.BigEndian.Uint16(size)) + 1
	g.data += int64(len(header)) + g.skip
	g.expect(1, g.chunk)
	return nil
}

// records reads how many records the index has: a number of at most nine bytes.
func (g *xzGuard) records(h []byte) error {
	shift := 7 * (g.data - 1)
	if g.data++; shift > 56 {
		return fmt.Errorf("%w: index", ErrMalformed)
	}
	g.left |= uint64(h[0]&0x7F) << shift
	if h[0]&0x80 != 0 {
		return nil
	}
	g.left *= 2 // numbers a record
	if g.expect(1, g.record); g.left == 0 {
		g.endIndex()
	}
	return nil
}

// record passes over the numbers of the index.
func (g *xzGuard) record(h []byte) error {
	g.data++
	if h[0]&0x80 == 0 {
		g.left--
	}
	if g.left == 0 {
		g.endIndex()
	}
	return nil
}

// endIndex passes over padding, checksum and the stream's footer. Another stream may
// follow.
func (g *xzGuard) endIndex() {
	g.skip = -g.data&3 + 4 + xzStreamFooter
	g.expect(xzStreamHeader, g.header)
}
