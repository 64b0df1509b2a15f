package qcow2

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the window of zstd, in bytes, as RFC 8878 recommends; QEMU writes
// with no more than 2 MiB.
const maxWindow = 8 << 20

// decompressor decompresses one cluster at a time.
type decompressor struct {
	packed  []byte // as in the file
	cluster []byte // where only a part is asked for
	deflate inflater
	zstd    *zstd.Decoder // nil until there is one
}

// decompress fills p with what a cluster has from an offset on.
func (r *Reader) decompress(p []byte, at place, within uint64) error {
	h := r.header
	d, ok := r.decompressor.Get().(*decompressor)
	if !ok {
		d = &decompressor{}
	}
	defer r.decompressor.Put(d)
	if uint64(cap(d.packed)) < at.length {
		d.packed = make([]byte, at.length)
	}
	packed := d.packed[:at.length]
	if err := h.image.fill(packed, at.offset); err != nil {
		return err
	}
	whole := p
	if len(p) < h.ClusterSize {
		if d.cluster == nil {
			d.cluster = make([]byte, h.ClusterSize)
		}
		whole = d.cluster
	}
	unpack := d.deflate.inflate
	if h.zstd {
		unpack = d.unzstd
	}
	if err := unpack(whole, packed); err != nil {
		return fmt.Errorf("%w: compressed cluster at %d: %w", ErrImage, at.offset, err)
	}
	if len(p) < h.ClusterSize {
		copy(p, whole[within:])
	}
	return nil
}

// unzstd fills dst with what src decompresses to. What follows in src is ignored.
func (d *decompressor) unzstd(dst, src []byte) (err error) {
	if d.zstd == nil {
		// With one at a time it has no goroutines, and nothing to close.
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
	}
	if err := d.zstd.Reset(bytes.NewReader(src)); err != nil {
		return err
	}
	_, err = io.ReadFull(d.zstd, dst)
	return err
}
