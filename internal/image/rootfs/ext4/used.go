package ext4

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// span is a run of blocks.
type span struct{ start, length uint64 }

// Used yields what the block bitmaps say is used. A group whose bitmap was
// never written uses its metadata only. Everything is used when the journal has
// to be replayed first, since the bitmaps may be out of date.
func (f *FS) Used() iter.Seq2[rootfs.Range, error] {
	return func(yield func(rootfs.Range, error) bool) {
		if f.NeedsRecovery() {
			yield(rootfs.Range{Length: f.Size()}, nil)
			return
		}
		var last span // what was found but not yielded yet; it starts with the blocks before group 0
		last.length = f.sb.firstDataBlock
		emit := func(s span) bool {
			if s.start == last.start+last.length {
				last.length += s.length
				return true
			}
			ready := last
			last = s
			return ready.length == 0 || yield(f.bytes(ready), nil)
		}
		if err := f.usedSpans(emit); err != nil {
			if err != errStopped { //nolint:errorlint // it is never wrapped
				yield(rootfs.Range{}, err)
			}
			return
		}
		if last.length > 0 {
			yield(f.bytes(last), nil)
		}
	}
}

func (f *FS) bytes(s span) rootfs.Range {
	return rootfs.Range{Offset: int64(s.start * f.sb.blockSize), Length: int64(s.length * f.sb.blockSize)}
}

// usedSpans gives emit each used run of blocks, in order.
func (f *FS) usedSpans(emit func(span) bool) error {
	metadata, err := f.uninitMetadata()
	if err != nil {
		return err
	}
	for number := range f.sb.groups {
		bitmap, err := f.blockBitmap(number)
		if err != nil {
			return err
		}
		first := f.sb.firstBlock(number)
		end := min(first+f.sb.blocksPerGroup, f.sb.blocks)
		for len(metadata) > 0 && metadata[0].start < end {
			m := &metadata[0]
			stop := min(m.start+m.length, end)
			for block := m.start; block < stop; block++ {
				bit := (block - first) / f.sb.clusterRatio
				bitmap[bit/8] |= 1 << (bit % 8)
			}
			if m.length -= stop - m.start; m.length > 0 {
				m.start = stop
				break
			}
			metadata = metadata[1:]
		}
		if !f.emitBitmap(bitmap, span{first, end - first}, emit) {
			return errStopped
		}
	}
	return nil
}

// emitBitmap gives emit the runs of set bits of the group's bitmap.
func (f *FS) emitBitmap(bitmap []byte, group span, emit func(span) bool) bool {
	set := func(bit uint64) bool { return bitmap[bit/8]&(1<<(bit%8)) != 0 }
	bits := (group.length + f.sb.clusterRatio - 1) / f.sb.clusterRatio
	for bit := uint64(0); bit < bits; {
		if !set(bit) {
			bit++
			continue
		}
		start := bit
		for bit < bits && set(bit) {
			bit++
		}
		from, to := start*f.sb.clusterRatio, min(bit*f.sb.clusterRatio, group.length)
		if !emit(span{group.start + from, to - from}) {
			return false
		}
	}
	return true
}

// blockBitmap reads and checks a group's bitmap, one bit a cluster. It is zero
// where it was never written.
func (f *FS) blockBitmap(number uint64) ([]byte, error) {
	g, err := f.group(number)
	if err != nil {
		return nil, err
	}
	bitmap := make([]byte, f.sb.blockSize)
	if g.blocksUninit {
		return bitmap, nil
	}
	if _, err := f.r.ReadAt(bitmap, int64(g.blockBitmap*f.sb.blockSize)); err != nil {
		return nil, fmt.Errorf("read block bitmap of group %d: %w", number, err)
	}
	if f.sb.has(roCompatMetadataCsum) {
		sum := crc32c(f.sb.seed, bitmap[:f.sb.blocksPerGroup/f.sb.clusterRatio/8])
		if !g.wideBitmapChecks {
			sum &= 0xFFFF
		}
		if sum != g.blockBitmapCsum {
			return nil, corrupt("checksum of the block bitmap of group %d", number)
		}
	}
	return bitmap, nil
}

// uninitMetadata lists the metadata of groups without a bitmap, sorted. With
// flex_bg it lies in other groups too.
func (f *FS) uninitMetadata() ([]span, error) {
	var list []span
	for number := range f.sb.groups {
		g, err := f.group(number)
		if err != nil {
			return nil, err
		}
		if !g.blocksUninit {
			continue
		}
		for _, s := range append(f.sb.superSpans(number),
			span{g.blockBitmap, 1}, span{g.inodeBitmap, 1}, span{g.inodeTable, f.sb.inodeTableBlocks()}) {
			if last := len(list) - 1; last >= 0 && list[last].start+list[last].length == s.start {
				list[last].length += s.length
			} else {
				list = append(list, s)
			}
		}
	}
	slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	return joined(list), nil
}

// joined makes sorted spans that may overlap into ones that do not.
func joined(list []span) []span {
	out := list[:0]
	for _, s := range list {
		if last := len(out) - 1; last >= 0 && s.start <= out[last].start+out[last].length {
			out[last].length = max(out[last].length, s.start+s.length-out[last].start)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// superSpans are a group's copies of superblock and descriptors, with the room
// in which the descriptors may grow.
func (s *superblock) superSpans(number uint64) []span {
	var list []span
	at := s.superBlock(number)
	hasSuper := s.hasSuper(number)
	if hasSuper {
		list = append(list, span{at, 1})
		at++
	}
	perBlock := s.blockSize / s.descSize
	length := uint64(0)
	switch within := number % perBlock; {
	case s.incompat&incompatMetaBG == 0:
		if hasSuper {
			length = s.descriptorBlocks() + s.reservedGDT
		}
	case number/perBlock < s.firstMetaBG:
		if hasSuper {
			length = s.firstMetaBG
		}
	case within == 0 || within == 1 || within == perBlock-1:
		length = 1
	}
	// A group at the very end may be too short for them.
	if end := min(s.firstBlock(number)+s.blocksPerGroup, s.blocks); at+length > end {
		length = end - min(at, end)
	}
	if length > 0 {
		list = append(list, span{at, length})
	}
	return list
}

// errStopped says that nobody wants more.
var errStopped = fmt.Errorf("stopped")
