package convert

import (
	"cmp"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Ranges are in order here and apart from each other, unless it is said that they are
// not.

// total adds up the bytes of ranges.
func total(ranges []rootfs.Range) int64 {
	var n int64
	for _, r := range ranges {
		n += r.Length
	}
	return n
}

// without returns what of ranges is not in others.
func without(ranges, others []rootfs.Range) []rootfs.Range {
	var out []rootfs.Range
	for _, r := range ranges {
		for len(others) > 0 && others[0].Offset+others[0].Length <= r.Offset {
			others = others[1:]
		}
		for i := 0; i < len(others) && others[i].Offset < r.Offset+r.Length; i++ {
			if before := others[i].Offset - r.Offset; before > 0 {
				out = append(out, rootfs.Range{Offset: r.Offset, Length: before})
			}
			r = from(r, others[i].Offset+others[i].Length)
		}
		if r.Length > 0 {
			out = append(out, r)
		}
	}
	return out
}

// from returns what of a range is not in front of an offset.
func from(r rootfs.Range, offset int64) rootfs.Range {
	end := r.Offset + r.Length
	r.Offset = max(r.Offset, offset)
	r.Length = max(0, end-r.Offset)
	return r
}

// inOrder sorts ranges and joins those that touch or overlap.
func inOrder(ranges []rootfs.Range) []rootfs.Range {
	slices.SortFunc(ranges, func(a, b rootfs.Range) int { return cmp.Compare(a.Offset, b.Offset) })
	return near(ranges, 1)
}

// near joins ranges with less than so many bytes between them. They may overlap.
func near(ranges []rootfs.Range, gap int64) []rootfs.Range {
	var out []rootfs.Range
	for _, r := range ranges {
		if n := len(out); n > 0 && r.Offset-(out[n-1].Offset+out[n-1].Length) < gap {
			out[n-1].Length = max(out[n-1].Length, r.Offset+r.Length-out[n-1].Offset)
			continue
		}
		out = append(out, r)
	}
	return out
}

// inside calls f with what of ranges lies within another one.
func inside(ranges []rootfs.Range, within rootfs.Range, f func(rootfs.Range) error) error {
	end := within.Offset + within.Length
	first, _ := slices.BinarySearchFunc(ranges, within.Offset, func(r rootfs.Range, offset int64) int {
		if r.Offset+r.Length <= offset {
			return -1
		}
		return 1
	})
	for _, r := range ranges[first:] {
		if r.Offset >= end {
			break
		}
		r = from(r, within.Offset)
		r.Length = min(r.Length, end-r.Offset)
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

// common is how many bytes of ranges lie within another one.
func common(ranges []rootfs.Range, within rootfs.Range) (n int64) {
	//nolint:errcheck // it returns what the function does
	inside(ranges, within, func(r rootfs.Range) error { n += r.Length; return nil })
	return n
}
