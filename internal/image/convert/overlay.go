package convert

import (
	"errors"
	"io"
	"sort"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// overlay reads a file system of which the working file has everything but what is
// lent: that is in the source. Where the working file ends, zeros follow. It is safe
// for concurrent use, and never changes: what is lent less later is another overlay.
type overlay struct {
	working io.ReaderAt
	source  io.ReaderAt
	lent    []rootfs.Range // in order, apart from each other
}

// closeBy is how near two ranges are that are read at once, in bytes: the common size
// of a cluster, which QEMU would decompress for each of them.
const closeBy = 64 << 10

// ReadAt fills p.
func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	next := sort.Search(len(o.lent), func(i int) bool { return o.lent[i].Offset+o.lent[i].Length > off })
	own := off // what comes from here on is the working file's, as far as is known
	for next < len(o.lent) && o.lent[next].Offset < end {
		// Some that are close to each other come in one piece, and what is between
		// them from the working file over that.
		first, last := next, next
		for last+1 < len(o.lent) && o.lent[last+1].Offset < end && o.lent[last+1].Offset-(o.lent[last].Offset+o.lent[last].Length) < closeBy {
			last++
		}
		from, to := max(o.lent[first].Offset, off), min(o.lent[last].Offset+o.lent[last].Length, end)
		if err := fill(o.working, p[own-off:from-off], own, true); err != nil {
			return 0, err
		}
		if err := fill(o.source, p[from-off:to-off], from, false); err != nil {
			return 0, err
		}
		for i := first; i < last; i++ {
			gap := o.lent[i].Offset + o.lent[i].Length
			if err := fill(o.working, p[gap-off:o.lent[i+1].Offset-off], gap, true); err != nil {
				return 0, err
			}
		}
		own, next = to, last+1
	}
	if err := fill(o.working, p[own-off:], own, true); err != nil {
		return 0, err
	}
	return len(p), nil
}

// fill reads all of p, or what there is and zeros for the rest.
func fill(r io.ReaderAt, p []byte, off int64, zeros bool) error {
	if len(p) == 0 {
		return nil
	}
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if zeros && errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(p[n:])
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
