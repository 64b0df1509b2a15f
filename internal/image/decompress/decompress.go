// Package decompress opens the compressed files of Linux images: kernel modules,
// initrds and packages. It knows the format by its magic number, never by a
// name. The input is hostile: callers bound what they read, as All does.
package decompress

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// Format is how bytes are compressed.
type Format string

// The formats, by the names that the kernel's configuration uses.
const (
	None  Format = "none" // no known magic number
	Gzip  Format = "gzip"
	Bzip2 Format = "bzip2"
	LZMA  Format = "lzma"
	XZ    Format = "xz"
	LZ4   Format = "lz4"
	Zstd  Format = "zstd"
)

// maxWindow bounds the memory that a zstd frame or the dictionary of an lzma or xz
// file may ask for; it is the most that the kernel grants.
const maxWindow = 128 << 20

// MagicSize is how many bytes Detect looks at.
const MagicSize = 6

var (
	// ErrMalformed is compressed data that cannot be read.
	ErrMalformed = errors.New("malformed compressed data")
	// ErrTooLarge is more content than the caller takes.
	ErrTooLarge = errors.New("too large")
)

// Detect tells the format from the first bytes.
func Detect(start []byte) Format {
	for _, m := range []struct {
		magic  string
		format Format
	}{
		{"\x1f\x8b", Gzip},
		{"BZh", Bzip2},
		{"\x5d\x00\x00", LZMA},
		{"\xfd7zXZ\x00", XZ},
		{"\x02\x21\x4c\x18", LZ4}, // legacy frames, which the kernel reads
		{"\x04\x22\x4d\x18", LZ4},
		{"\x28\xb5\x2f\xfd", Zstd},
	} {
		if bytes.HasPrefix(start, []byte(m.magic)) {
			return m.format
		}
	}
	return None
}

// NewReader returns the content of r, which is r itself where no magic number is
// known. Gzip ends exactly at the end of its first member, and r can be read on
// from there; other formats read as far as they like. Reading errors that are
// the data's fault wrap ErrMalformed.
func NewReader(r *bufio.Reader) (io.ReadCloser, Format, error) {
	start, err := r.Peek(MagicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, None, err
	}
	format := Detect(start)
	content, err := open(r, format)
	if err != nil {
		return nil, format, fmt.Errorf("%w: %s: %w", ErrMalformed, format, err)
	}
	return content, format, nil
}

func open(r *bufio.Reader, format Format) (io.ReadCloser, error) {
	var plain io.Reader
	var err error
	switch format {
	case Gzip:
		var gz *gzip.Reader
		if gz, err = gzip.NewReader(r); err == nil {
			gz.Multistream(false)
			plain = gz
		}
	case Bzip2:
		plain = bzip2.NewReader(r)
	case LZMA:
		plain, err = lzma.ReaderConfig{DictCap: maxWindow}.NewReader(r)
	case XZ:
		plain, err = xz.NewReader(newXZGuard(r))
	case LZ4:
		plain = lz4.NewReader(r)
	case Zstd:
		decoder, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return &reader{decoder, format, decoder.Close}, nil
	case None:
		return io.NopCloser(r), nil
	}
	if err != nil {
		return nil, err
	}
	return &reader{plain, format, func() {}}, nil
}

// reader marks the errors of a decoder as the data's fault.
type reader struct {
	plain  io.Reader
	format Format
	close  func()
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.plain.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %s: %w", ErrMalformed, r.format, err)
	}
	return n, err
}

func (r *reader) Close() error {
	r.close()
	return nil
}

// All returns the content of r if it is at most limit bytes long, otherwise
// ErrTooLarge.
func All(r io.Reader, limit int64) ([]byte, error) {
	content, _, err := NewReader(bufio.NewReader(r))
	if err != nil {
		return nil, err
	}
	defer content.Close()
	plain, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(plain)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return plain, nil
}
