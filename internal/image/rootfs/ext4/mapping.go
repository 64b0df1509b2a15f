package ext4

import "encoding/binary"

// run is a piece of a file: consecutive blocks on the disk, or a hole.
type run struct {
	start  uint64 // first block of the disk; 0 for a hole or blocks that were never written
	length uint64 // in blocks, at least 1
}

// The extent tree: a header and entries of the same size, in i_block and in
// whole blocks.
const (
	extentSize     = 12
	extentMagic    = 0xF30A
	extentDepthMax = 5
	extentWritten  = 32768 // longer ones are allocated but never written
)

// lookup finds the run in which a block of the file is, from that block on.
func (f *FS) lookup(in *inode, block uint64) (run, error) {
	var r run
	var err error
	if in.has(flagExtents) {
		r, err = f.extent(in, block)
	} else {
		r, err = f.indirect(in, block)
	}
	if err != nil {
		return run{}, err
	}
	if r.start != 0 && (r.start <= f.sb.firstDataBlock || r.start >= f.sb.blocks || r.length > f.sb.blocks-r.start) {
		return run{}, corrupt("inode %d has its data at block %d", in.number, r.start)
	}
	return r, nil
}

// extentNode is one node of the tree, which maps the file's blocks [low, high).
type extentNode struct {
	entries   []byte
	count     int
	depth     int
	low, high uint64
}

// first is the file's block at which an entry begins.
func (n *extentNode) first(i int) uint64 {
	if i == n.count {
		return n.high
	}
	return uint64(binary.LittleEndian.Uint32(n.entries[i*extentSize:]))
}

// find returns the last entry that begins at or before a block, -1 for none.
// Entries have to be in order.
func (n *extentNode) find(in *inode, block uint64) (int, error) {
	found := -1
	at := n.low
	for i := range n.count {
		first := n.first(i)
		if first < at || first >= n.high {
			return 0, corrupt("extents of inode %d are out of order", in.number)
		}
		at = first + 1
		if n.depth == 0 {
			at = first + uint64(n.lengthOf(i))
		}
		if first <= block {
			found = i
		}
	}
	if at > n.high && n.count > 0 {
		return 0, corrupt("extents of inode %d overlap", in.number)
	}
	return found, nil
}

// lengthOf is how many blocks a leaf's entry maps.
func (n *extentNode) lengthOf(i int) uint16 {
	length := binary.LittleEndian.Uint16(n.entries[i*extentSize+4:])
	if length > extentWritten {
		return length - extentWritten
	}
	return length
}

// extent looks a block up in an extent tree.
func (f *FS) extent(in *inode, block uint64) (run, error) {
	node, err := in.extentNode(in.blockArea(), -1)
	if err != nil {
		return run{}, err
	}
	node.high = 1 << 32
	for {
		i, err := node.find(in, block)
		if err != nil {
			return run{}, err
		}
		if node.depth == 0 {
			return node.leaf(in, i, block)
		}
		if i < 0 {
			return run{length: node.first(0) - block}, nil
		}
		if node, err = f.extentChild(in, &node, i); err != nil {
			return run{}, err
		}
	}
}

// child is the block that an entry of an inner node leads to.
func (n *extentNode) child(i int) uint64 {
	entry := n.entries[i*extentSize:]
	return uint64(binary.LittleEndian.Uint32(entry[4:])) | uint64(binary.LittleEndian.Uint16(entry[8:]))<<32
}

// start is the block that an entry of a leaf leads to.
func (n *extentNode) start(i int) uint64 {
	entry := n.entries[i*extentSize:]
	return uint64(binary.LittleEndian.Uint32(entry[8:])) | uint64(binary.LittleEndian.Uint16(entry[6:]))<<32
}

// extentChild reads and checks the node that an entry leads to.
func (f *FS) extentChild(in *inode, parent *extentNode, i int) (extentNode, error) {
	raw, err := f.block(parent.child(i))
	if err != nil {
		return extentNode{}, err
	}
	node, err := in.extentNode(raw, parent.depth-1)
	if err != nil {
		return extentNode{}, err
	}
	node.low, node.high = parent.first(i), parent.first(i+1)
	if f.sb.has(roCompatMetadataCsum) {
		end := extentSize * (1 + int(binary.LittleEndian.Uint16(raw[4:])))
		if end+4 > len(raw) || crc32c(in.seed, raw[:end]) != binary.LittleEndian.Uint32(raw[end:]) {
			return extentNode{}, corrupt("checksum of an extent block of inode %d", in.number)
		}
	}
	return node, nil
}

// leaf is what a leaf says of a block, given the last entry before it.
func (n *extentNode) leaf(in *inode, i int, block uint64) (run, error) {
	if i < 0 {
		return run{length: n.first(0) - block}, nil
	}
	first, length := n.first(i), uint64(n.lengthOf(i))
	if length == 0 {
		return run{}, corrupt("inode %d has an empty extent", in.number)
	}
	if block >= first+length {
		return run{length: n.first(i+1) - block}, nil
	}
	entry := n.entries[i*extentSize:]
	r := run{length: first + length - block}
	if binary.LittleEndian.Uint16(entry[4:]) <= extentWritten {
		start := n.start(i)
		if start == 0 {
			return run{}, corrupt("inode %d has its data at block 0", in.number)
		}
		r.start = start + block - first
	}
	return r, nil
}

// extentNode parses a node's header. The root may have any depth, -1 says so.
func (in *inode) extentNode(raw []byte, depth int) (extentNode, error) {
	le := binary.LittleEndian
	n := extentNode{entries: raw[extentSize:], count: int(le.Uint16(raw[2:])), depth: int(le.Uint16(raw[6:]))}
	limit := int(le.Uint16(raw[4:]))
	switch {
	case le.Uint16(raw) != extentMagic:
		return n, corrupt("an extent block of inode %d has no magic number", in.number)
	case n.count > limit || limit > len(n.entries)/extentSize:
		return n, corrupt("an extent block of inode %d has %d of %d entries", in.number, n.count, limit)
	case n.depth > extentDepthMax || depth >= 0 && n.depth != depth:
		return n, corrupt("an extent block of inode %d has depth %d", in.number, n.depth)
	}
	return n, nil
}
