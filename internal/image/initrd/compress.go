package initrd

import (
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
)

// Compressions lists how the agent's archive can be written, best first.
func Compressions() []decompress.Format {
	return []decompress.Format{decompress.Zstd, decompress.Gzip, decompress.None}
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
