package initrd

import (
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
)

// minPadding are the zeros that always lie between original and segment. The
// kernel takes a plain archive at a multiple of 4 bytes from the initrd's start
// only; and behind an archive in LZ4's legacy format it looks for four zeros, or
// else takes the next four bytes for the length of one more block.
const minPadding = 4

// Compressions lists how a segment can be written, best first.
func Compressions() []decompress.Format {
	return []decompress.Format{decompress.Zstd, decompress.Gzip, decompress.None}
}

// Append copies the original to w as it is and adds the segment, compressed as
// the guest's kernel can read it (one of Compressions). It returns the offset in
// bytes at which the segment starts, a multiple of 4. The output depends on
// nothing but the arguments.
func Append(w io.Writer, original io.Reader, s Segment, how decompress.Format) (offset int64, err error) {
	n, err := io.Copy(w, original)
	if err != nil {
		return 0, fmt.Errorf("copy initrd: %w", err)
	}
	if n == 0 {
		return 0, fmt.Errorf("%w: the original is empty", ErrMalformed)
	}
	padding := minPadding + (-n & 3)
	if _, err := w.Write(make([]byte, padding)); err != nil {
		return 0, fmt.Errorf("pad initrd: %w", err)
	}
	compressor, err := newCompressor(w, how)
	if err != nil {
		return 0, err
	}
	if err := s.writeArchive(compressor); err != nil {
		return 0, fmt.Errorf("write initrd segment: %w", err)
	}
	if err := compressor.Close(); err != nil {
		return 0, fmt.Errorf("write initrd segment: %w", err)
	}
	return n + padding, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// newCompressor has fixed settings and one thread, for the same bytes each time.
func newCompressor(w io.Writer, how decompress.Format) (io.WriteCloser, error) {
	switch how {
	case decompress.Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	case decompress.Gzip:
		return gzip.NewWriterLevel(w, gzip.BestCompression)
	case decompress.None:
		return nopCloser{w}, nil
	}
	return nil, fmt.Errorf("write initrd segment: no compression %q", how)
}
