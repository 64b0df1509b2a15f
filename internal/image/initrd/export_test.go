package initrd

import (
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
)

// WalkWithin is Walk with other bounds.
func WalkWithin(bytes int64, entries int, r io.Reader) error {
	return walk(&budget{bytes, entries}, r, func(*cpio.Header, io.Reader) error { return nil }, func(SegmentInfo) {})
}
