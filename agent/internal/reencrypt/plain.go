package reencrypt

import (
	"fmt"
	"io"
)

// ReadAt reads the payload in clear, under the volume key below the boundary and under
// the golden one above. It is for the list of extents, before Run and not during it. All
// of it is the host's: XTS authenticates nothing. Once all is done the golden key opens
// nothing.
func (w *Work) ReadAt(p []byte, off int64) (int, error) {
	size, sector := w.volume.PayloadSize, int64(w.volume.SectorSize)
	if off < 0 {
		return 0, fmt.Errorf("read payload: offset %d", off)
	}
	if off >= size {
		return 0, io.EOF
	}
	n, buffer := 0, make([]byte, min(maxChunk, (int64(len(p))/sector+2)*sector))
	defer clear(buffer)
	for n < len(p) && off < size {
		first := off / sector * sector
		last := (min(off+int64(len(p)-n), size) + sector - 1) / sector * sector
		part := buffer[:min(last-first, int64(len(buffer)))]
		if err := w.plain(part, first); err != nil {
			return n, err
		}
		copied := copy(p[n:], part[off-first:])
		n, off = n+copied, off+int64(copied)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// plain reads whole sectors in clear.
func (w *Work) plain(b []byte, off int64) error {
	if _, err := w.volume.Device.ReadAt(b, w.volume.PayloadOffset+off); err != nil {
		return fmt.Errorf("read payload: %w", err)
	}
	below := int64(len(b))
	if !w.done {
		below = min(max(w.boundary-off, 0), below)
	}
	w.target.Decrypt(b[:below], b[:below], off)
	w.golden.Decrypt(b[below:], b[below:], off+below)
	return nil
}
