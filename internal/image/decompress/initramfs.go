package decompress

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// Initramfs returns the content of r as the kernel unpacks one compressed
// archive of an initramfs (lib/decompress.c and the decompressors that it names):
// it takes no more forms of a format than the kernel does, and it ends where the
// kernel goes on, so that r can be read on from there. None is a start that is no
// magic number of the kernel's; the reader is nil then. The error wraps
// ErrMalformed and says what the kernel does not read.
//
// lzma, bzip2 and lzo are refused: where they end cannot be told to the byte.
func Initramfs(r *bufio.Reader) (io.ReadCloser, Format, error) {
	start, err := r.Peek(xzHeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, None, err
	}
	format := Detect(start)
	if format == None && !bytes.HasPrefix(start, []byte(lzoMagic)) {
		return nil, None, nil
	}
	content, err := openInitramfs(r, start, format)
	if err != nil {
		return nil, format, fmt.Errorf("%w: %s: %w", ErrMalformed, format, err)
	}
	return content, format, nil
}

const lzoMagic = "\x89LZO"

func openInitramfs(r *bufio.Reader, start []byte, format Format) (io.ReadCloser, error) {
	switch format {
	case Gzip:
		return openGzip(r, start)
	case XZ:
		return openXZ(r, start)
	case LZ4:
		return openLegacyLZ4(r, start)
	case Zstd:
		frame := &zstdFrame{r: r}
		decoder, err := zstd.NewReader(frame, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return &reader{decoder, format, decoder.Close}, nil
	case None:
		return nil, errors.New("lzo is not read here")
	}
	return nil, errors.New("its end cannot be told exactly")
}

// gzipName is the only flag of a gzip header that lib/decompress_inflate.c knows.
const gzipName = 1 << 3

func openGzip(r *bufio.Reader, start []byte) (io.ReadCloser, error) {
	if len(start) > 3 && start[3]&^gzipName != 0 {
		return nil, fmt.Errorf("the kernel reads no header with the flags %#x", start[3])
	}
	gz, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	gz.Multistream(false)
	return &reader{gz, Gzip, func() {}}, nil
}

// Of an xz stream's header (the .xz file format, section 2.1.1): 6 bytes magic, 2
// of flags, whose low 4 bits are the check.
const (
	xzHeaderSize  = 12
	xzCheckOffset = 7
	xzCheckCRC32  = 1 // 0 is none; all others the kernel is built without
)

func openXZ(r *bufio.Reader, start []byte) (io.ReadCloser, error) {
	if len(start) > xzCheckOffset && start[xzCheckOffset]&0xF > xzCheckCRC32 {
		return nil, errors.New("the kernel reads xz with the check CRC32 or none only: xz --check=crc32")
	}
	content, err := xz.ReaderConfig{SingleStream: true}.NewReader(r)
	if err != nil {
		return nil, err
	}
	return &reader{&oneXZ{content, r}, XZ, func() {}}, nil
}

// oneXZ ends behind one stream, where the package xz has read a byte too many.
type oneXZ struct {
	content *xz.Reader
	r       *bufio.Reader
}

// unexpectedXZ is what the package xz says of a byte behind a single stream; it
// exports no error for that.
const unexpectedXZ = "xz: unexpected data after stream"

func (x *oneXZ) Read(p []byte) (int, error) {
	n, err := x.content.Read(p)
	if err != nil && err.Error() == unexpectedXZ {
		if err := x.r.UnreadByte(); err != nil {
			return n, err
		}
		return n, io.EOF
	}
	return n, err
}

// LZ4's legacy frame (lz4_Frame_format.md, "Legacy frame"): magic, then blocks
// that are led by their length.
const (
	lz4LegacyMagic = 0x184C2102
	lz4BlockSize   = 8 << 20 // unpacked
)

func openLegacyLZ4(r *bufio.Reader, start []byte) (io.ReadCloser, error) {
	if len(start) < 4 || binary.LittleEndian.Uint32(start) != lz4LegacyMagic {
		return nil, errors.New("the kernel reads legacy frames only: lz4 -l")
	}
	return &reader{&legacyLZ4{r: r}, LZ4, func() {}}, nil
}

// legacyLZ4 reads as lib/decompress_unlz4.c: until four zeros in a length's
// place, or the end.
type legacyLZ4 struct {
	r             *bufio.Reader
	packed, plain []byte
	rest          []byte // of plain
}

func (l *legacyLZ4) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *legacyLZ4) next() error {
	word, err := l.r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(bytes.Trim(word, "\x00")) == 0 {
		return io.EOF // no more than zeros will follow
	}
	if len(word) < 4 {
		return io.ErrUnexpectedEOF
	}
	length := binary.LittleEndian.Uint32(word)
	l.r.Discard(4) //nolint:errcheck // these were peeked at
	if length == lz4LegacyMagic {
		return nil
	}
	if int64(length) > int64(lz4.CompressBlockBound(lz4BlockSize)) {
		return fmt.Errorf("block of %d bytes: what follows a legacy frame without four zeros between is taken for another block", length)
	}
	if l.plain == nil {
		l.packed, l.plain = make([]byte, lz4.CompressBlockBound(lz4BlockSize)), make([]byte, lz4BlockSize)
	}
	if _, err := io.ReadFull(l.r, l.packed[:length]); err != nil {
		return io.ErrUnexpectedEOF
	}
	n, err := lz4.UncompressBlock(l.packed[:length], l.plain)
	if err != nil {
		return err
	}
	l.rest = l.plain[:n]
	return nil
}

// zstdFrame reads the bytes of one zstd frame (RFC 8878, section 3.1.1) and no
// more, as the kernel does.
type zstdFrame struct {
	r        *bufio.Reader
	left     int  // bytes of the part that is being read
	begun    bool // the header was met
	last     bool // so was the last block
	ended    bool
	checksum int // bytes behind the last block
}

func (z *zstdFrame) Read(p []byte) (int, error) {
	for z.left == 0 {
		if z.ended {
			return 0, io.EOF
		}
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n, err := z.r.Read(p[:min(len(p), z.left)])
	z.left -= n
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next measures the next part: the header, a block or the checksum.
func (z *zstdFrame) next() error {
	switch {
	case !z.begun:
		start, err := z.r.Peek(5)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		descriptor := start[4]
		single := descriptor >> 5 & 1
		z.left = 5 + int(1-single) + []int{0, 1, 2, 4}[descriptor&3] + []int{int(single), 2, 4, 8}[descriptor>>6]
		z.checksum = int(descriptor >> 2 & 1 * 4)
		z.begun = true
	case z.last:
		z.left, z.ended = z.checksum, true
	default:
		start, err := z.r.Peek(3)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		block := int(start[0]) | int(start[1])<<8 | int(start[2])<<16
		z.left, z.last = 3+block>>3, block&1 == 1
		if block>>1&3 == 1 { // one byte, repeated
			z.left = 3 + 1
		}
	}
	return nil
}
