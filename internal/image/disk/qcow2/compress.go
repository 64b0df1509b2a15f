package qcow2

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/flate"
)

// window is how far deflate may look back: QEMU reads with 12 bits.
const window = 4096

// sample is how much of a cluster is tried first: noise, such as an encrypted
// disk, does not shrink and is not worth more time.
const sample = 4096

// deflater compresses one cluster at a time.
type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

func (w *Writer) newDeflater() (*deflater, error) {
	if d, ok := w.deflate.Get().(*deflater); ok {
		return d, nil
	}
	d := &deflater{}
	var err error
	if d.w, err = flate.NewWriterWindow(&d.out, window); err != nil {
		return nil, fmt.Errorf("start deflate: %w", err)
	}
	return d, nil
}

// shrink returns p compressed, which is valid until the next call, or nil if
// that does not save a sector.
func (d *deflater) shrink(p []byte) ([]byte, error) {
	d.out.Reset()
	d.w.Reset(&d.out)
	if _, err := d.w.Write(p); err != nil {
		return nil, err
	}
	if err := d.w.Close(); err != nil {
		return nil, err
	}
	if d.out.Len() > len(p)-512 {
		return nil, nil
	}
	return d.out.Bytes(), nil
}

// writeCompressed writes one whole cluster of the disk, compressed if that
// makes it smaller and it has no place yet.
func (w *Writer) writeCompressed(p []byte, number uint64) error {
	d, err := w.newDeflater()
	if err != nil {
		return err
	}
	defer w.deflate.Put(d)
	small, err := d.shrink(p[:sample])
	if small != nil && err == nil && len(p) > sample {
		small, err = d.shrink(p)
	}
	if err != nil {
		return fmt.Errorf("compress cluster %d: %w", number, err)
	}
	if small != nil {
		if offset, ok := w.pack(number, uint64(len(small))); ok {
			_, err := w.f.WriteAt(small, int64(offset))
			return err
		}
	}
	_, err = w.writePlain(p, number<<w.bits)
	return err
}

// pack finds room for the length bytes of a compressed cluster and enters it,
// unless the cluster has a place already.
func (w *Writer) pack(number, length uint64) (offset uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	entry := w.entry(number)
	if *entry != 0 || w.finished {
		return 0, false
	}
	if length > w.packEnd-w.packed {
		// A piece may reach over into the next cluster if that is free.
		if at := w.allocate(1); at != w.packEnd {
			w.packed, w.packEnd = at, at
		}
		w.packEnd += w.cluster()
		w.refs[len(w.refs)-1] = 0 // counted below, once for each piece in it
	}
	offset = w.packed
	w.packed += length
	// Sectors that the piece touches behind its first one.
	sectors := (offset%512+length+511)/512 - 1
	for c := offset >> w.bits; c <= (offset/512+sectors)*512>>w.bits; c++ {
		w.refs[c]++
	}
	*entry = compressed | sectors<<(62-(w.bits-8)) | offset
	return offset, true
}
