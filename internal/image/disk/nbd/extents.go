package nbd

import "fmt"

// stateZero is the flag of base:allocation for what reads as zeros.
const stateZero = 1 << 1

// maxExtents bounds the answer of Extents: 64 GiB in which every second
// cluster of 64 KiB is empty.
const maxExtents = 1 << 20

// extent is one answer to a block status request, of rising offsets.
type extent struct {
	length, flags uint32
}

// Extent is a part of the export, in bytes.
type Extent struct {
	Offset, Length int64
	Zero           bool // reads as zeros without being stored
}

// Extents returns which parts of the length bytes at offset hold data and which
// read as zeros, without gaps and no two alike side by side. A server that
// cannot tell gives one extent of data. More than 1048576 of them are refused;
// the error then wraps ErrProtocol.
func (c *Conn) Extents(offset, length int64) ([]Extent, error) {
	if offset < 0 || length < 0 || length > c.export.size-offset {
		return nil, fmt.Errorf("extents of %d bytes at %d: the export has %d", length, offset, c.export.size)
	}
	if !c.export.contexts && length > 0 {
		return []Extent{{Offset: offset, Length: length}}, nil
	}
	var all []Extent
	for end := offset + length; offset < end; {
		// Aligned, as servers want it; the rest is asked for in the next turn.
		ask := min(end-offset, 1<<31)
		r, err := c.do(commandStatus, offset, nil, uint32(ask))
		if err != nil {
			return nil, fmt.Errorf("extents of %d bytes at %d: %w", ask, offset, err)
		}
		for _, e := range r.extents {
			// The last one may reach behind what was asked for.
			part := Extent{Offset: offset, Length: min(int64(e.length), end-offset), Zero: e.flags&stateZero != 0}
			if part.Length == 0 {
				break
			}
			all = add(all, part)
			offset += part.Length
		}
		if len(all) > maxExtents {
			return nil, fmt.Errorf("%w: more than %d extents", ErrProtocol, maxExtents)
		}
	}
	return all, nil
}

// add appends an extent, or lengthens the last one of the same kind.
func add(all []Extent, e Extent) []Extent {
	if n := len(all); n > 0 && all[n-1].Zero == e.Zero {
		all[n-1].Length += e.Length
		return all
	}
	return append(all, e)
}
