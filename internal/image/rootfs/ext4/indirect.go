package ext4

import "encoding/binary"

// directBlocks is how many blocks i_block names itself; three pointers to trees
// of depth 1, 2 and 3 follow.
const directBlocks = 12

// indirect looks a block up in the block map of ext2 and ext3.
func (f *FS) indirect(in *inode, block uint64) (run, error) {
	area := in.blockArea()
	if block < directBlocks {
		return pointers(area[:4*directBlocks], block), nil
	}
	perBlock := f.sb.blockSize / 4
	block -= directBlocks
	covers := uint64(1) // what one pointer of the level looked at stands for
	for depth := uint64(0); depth < 3; depth++ {
		covers *= perBlock
		if block >= covers {
			block -= covers
			continue
		}
		return f.indirectTree(binary.LittleEndian.Uint32(area[4*(directBlocks+depth):]), covers, block)
	}
	return run{}, corrupt("inode %d has too many blocks", in.number)
}

// indirectTree goes down a tree that stands for that many blocks.
func (f *FS) indirectTree(pointer uint32, covers, block uint64) (run, error) {
	perBlock := f.sb.blockSize / 4
	for {
		if pointer == 0 {
			return run{length: covers - block}, nil
		}
		table, err := f.block(uint64(pointer))
		if err != nil {
			return run{}, err
		}
		if covers == perBlock {
			return pointers(table, block), nil
		}
		covers /= perBlock
		pointer = binary.LittleEndian.Uint32(table[4*(block/covers):])
		block %= covers
	}
}

// pointers finds the longest run from an entry on.
func pointers(table []byte, from uint64) run {
	at := func(i uint64) uint64 { return uint64(binary.LittleEndian.Uint32(table[4*i:])) }
	r := run{start: at(from), length: 1}
	for i := from + 1; i < uint64(len(table)/4); i++ {
		want := r.start + r.length
		if r.start == 0 {
			want = 0
		}
		if at(i) != want {
			break
		}
		r.length++
	}
	return r
}
