package reencrypt

import (
	"fmt"
	"iter"
)

// Extent is a part of the payload that the file system uses, in bytes from the
// payload's start. Lists are ascending and do not overlap.
type Extent struct{ Offset, Length int64 }

func (e Extent) end() int64 { return e.Offset + e.Length }

// checkExtents wants whole sectors of the payload in ascending order.
func (v Volume) checkExtents(extents []Extent) error {
	sector, last := int64(v.SectorSize), int64(0)
	for _, e := range extents {
		if e.Offset < last || e.Length <= 0 || e.Length > v.PayloadSize-e.Offset || e.Offset%sector != 0 || e.Length%sector != 0 {
			return fmt.Errorf("%w: extent of %d bytes at %d, after %d, in %d", errVolume, e.Length, e.Offset, last, v.PayloadSize)
		}
		last = e.end()
	}
	return nil
}

// chunk is what is re-encrypted at a time.
type chunk struct {
	Extent
	used int64 // bytes of it that are in extents
}

// chunks yields what the extents have from an offset on, in pieces of limit bytes at
// most. Gaps of a sixteenth of that and less are re-encrypted with their neighbours, so
// that a file system in small pieces does not cost a flush for each.
func chunks(extents []Extent, from, limit int64) iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		var c chunk
		for _, e := range extents {
			at := max(e.Offset, from)
			for at < e.end() {
				if c.used > 0 && (at-c.end() > limit/16 || at >= c.Offset+limit) {
					if !yield(c) {
						return
					}
					c = chunk{}
				}
				if c.used == 0 {
					c.Offset = at
				}
				stop := min(e.end(), c.Offset+limit)
				c.used += stop - at
				c.Length = stop - c.Offset
				at = stop
			}
		}
		if c.used > 0 {
			yield(c)
		}
	}
}

// below is how many bytes of the extents lie below an offset.
func below(extents []Extent, offset int64) (n int64) {
	for _, e := range extents {
		n += max(0, min(e.Length, offset-e.Offset))
	}
	return n
}
