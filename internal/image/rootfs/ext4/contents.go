package ext4

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Fields of the superblock and of group descriptors that tell which inodes are
// nobody's files.
const (
	sbJournalInode  = 0xE0
	sbLastOrphan    = 0xE8
	sbMMPBlock      = 0x168
	sbSnapshotInode = 0x180
	sbUserQuota     = 0x240
	sbGroupQuota    = 0x244
	sbProjectQuota  = 0x26C
	sbOrphanFile    = 0x280

	bgUnusedLo = 0x1C
	bgUnusedHi = 0x32

	roCompatOrphanPresent = 0x10000 // the orphan file names files that are being deleted
)

const (
	// maxPieces bounds what is kept of a file system, in runs of blocks: a million
	// is a terabyte of files of a megabyte.
	maxPieces = 1 << 20

	// tablePiece is how much of an inode table is read at a time, in bytes: whole
	// inodes, and many for each request.
	tablePiece = 1 << 20
)

// errPieces is a file system in too many pieces to keep them in memory.
var errPieces = fmt.Errorf("%w: ext4 in more than %d pieces", rootfs.ErrUnsupported, maxPieces)

// Contents returns the blocks that hold the data of regular files and nothing
// else, in increasing order. Programs that check or change a file system do not
// read them, unless they remove the file. What belongs to the file system itself is
// not among them: maps, directories, targets of links, attributes, the journal,
// quotas. Neither is a block that two files claim, or one that is anything else as
// well, as hostile images have it.
//
// The error wraps rootfs.ErrUnsupported where that is not to be known: when the
// journal has to be replayed first, files are being deleted, or there are too many
// pieces; and rootfs.ErrCorrupt when the file system contradicts itself.
func (f *FS) Contents() ([]rootfs.Range, error) {
	c := &census{fs: f, nodes: map[uint64]bool{}}
	if err := c.superblock(); err != nil {
		return nil, err
	}
	for number := range f.sb.groups {
		if err := c.group(number); err != nil {
			return nil, err
		}
	}
	var ranges []rootfs.Range
	for _, s := range alone(c.contents, c.others) {
		ranges = append(ranges, f.bytes(s))
	}
	return ranges, nil
}

// Blocks returns the blocks that hold the data of a regular file, in the order of
// the file; a symbolic link is not followed.
func (f *FS) Blocks(name string) ([]rootfs.Range, error) {
	return at(f, "map", name, false, func(in *inode) ([]rootfs.Range, error) {
		if !in.is(rootfs.ModeRegular) {
			return nil, nil
		}
		c := &census{fs: f, nodes: map[uint64]bool{}}
		if err := c.inodeMap(in, &c.contents); err != nil {
			return nil, err
		}
		var ranges []rootfs.Range
		for _, s := range c.contents {
			ranges = append(ranges, f.bytes(s))
		}
		return ranges, nil
	})
}

// census sorts blocks by what they hold.
type census struct {
	fs       *FS
	special  map[uint32]bool // inodes that the superblock names
	contents []span
	others   []span
	nodes    map[uint64]bool // blocks of maps that were met; each is met once
}

// add appends a run of blocks to a list, or lengthens the last one.
func (c *census) add(list *[]span, s span) error {
	if n := len(*list); n > 0 && (*list)[n-1].start+(*list)[n-1].length == s.start {
		(*list)[n-1].length += s.length
		return nil
	}
	if len(c.contents)+len(c.others) >= maxPieces {
		return errPieces
	}
	*list = append(*list, s)
	return nil
}

// superblock finds out what the superblock names.
func (c *census) superblock() error {
	f, le, raw := c.fs, binary.LittleEndian, make([]byte, superSize)
	if _, err := f.r.ReadAt(raw, superOffset); err != nil {
		return fmt.Errorf("read superblock: %w", err)
	}
	if f.NeedsRecovery() || f.sb.has(roCompatOrphanPresent) || le.Uint32(raw[sbLastOrphan:]) != 0 {
		return fmt.Errorf("%w: ext4 that was not unmounted", rootfs.ErrUnsupported)
	}
	c.special = map[uint32]bool{}
	for _, at := range []int{sbJournalInode, sbSnapshotInode, sbUserQuota, sbGroupQuota, sbProjectQuota, sbOrphanFile} {
		c.special[le.Uint32(raw[at:])] = true
	}
	for number := uint32(1); number < firstInode; number++ {
		c.special[number] = true
	}
	if err := c.add(&c.others, span{0, f.sb.firstDataBlock + 1}); err != nil {
		return err
	}
	if mmp := le.Uint64(raw[sbMMPBlock:]); f.sb.incompat&incompatMMP != 0 && mmp < f.sb.blocks {
		return c.add(&c.others, span{mmp, 1})
	}
	return nil
}

// group adds what a group is kept in, and its inodes.
func (c *census) group(number uint64) error {
	g, err := c.fs.group(number)
	if err != nil {
		return err
	}
	for _, s := range append(c.fs.sb.superSpans(number),
		span{g.blockBitmap, 1}, span{g.inodeBitmap, 1}, span{g.inodeTable, c.fs.sb.inodeTableBlocks()}) {
		if err := c.add(&c.others, s); err != nil {
			return err
		}
	}
	if g.inodesUninit {
		return nil
	}
	if g.inodesUnused > c.fs.sb.inodesPerGroup {
		return corrupt("group %d has %d unused inodes", number, g.inodesUnused)
	}
	return c.inodes(g)
}

// inodes adds what the inodes of a group lead to.
func (c *census) inodes(g *group) error {
	size := int64(c.fs.sb.inodeSize)
	left := int64(c.fs.sb.inodesPerGroup-g.inodesUnused) * size
	at := int64(g.inodeTable * c.fs.sb.blockSize)
	next := uint32(g.number)*c.fs.sb.inodesPerGroup + 1
	buffer := make([]byte, min(left, tablePiece))
	for left > 0 {
		piece := buffer[:min(left, tablePiece)]
		if n, err := c.fs.r.ReadAt(piece, at); n < len(piece) {
			return fmt.Errorf("read inodes of group %d: %w", g.number, err)
		}
		at, left = at+int64(len(piece)), left-int64(len(piece))
		for ; len(piece) > 0; piece = piece[size:] {
			if err := c.inode(&inode{number: next, raw: piece[:size]}); err != nil {
				return err
			}
			next++
		}
	}
	return nil
}

// inode adds what an inode leads to, if it is in use.
func (c *census) inode(in *inode) error {
	le := binary.LittleEndian
	if le.Uint16(in.raw[inLinks:]) == 0 {
		return nil
	}
	if err := c.fs.checkInode(in); err != nil {
		return err
	}
	c.fs.parseInode(in)
	if number := c.fs.attributeBlock(in); number != 0 {
		if number >= c.fs.sb.blocks {
			return corrupt("inode %d has its attributes at block %d", in.number, number)
		}
		if err := c.add(&c.others, span{number, 1}); err != nil {
			return err
		}
	}
	switch {
	case in.is(rootfs.ModeRegular) && !c.special[in.number] && !in.has(flagEAInode):
		return c.inodeMap(in, &c.contents)
	case in.is(rootfs.ModeRegular), in.is(rootfs.ModeDir), in.is(rootfs.ModeSymlink) && !in.fastLink():
		return c.inodeMap(in, &c.others)
	}
	return nil // it has no blocks
}

// inodeMap adds the data of an inode to a list, and the blocks of its map to what
// is no contents.
func (c *census) inodeMap(in *inode, list *[]span) error {
	if in.has(flagInlineData) {
		return nil
	}
	found := func(s span) error {
		if s.start <= c.fs.sb.firstDataBlock || s.start >= c.fs.sb.blocks || s.length > c.fs.sb.blocks-s.start {
			return corrupt("inode %d has its data at block %d", in.number, s.start)
		}
		return c.add(list, s)
	}
	if !in.has(flagExtents) {
		return c.pointers(in, found)
	}
	root, err := in.extentNode(in.blockArea(), -1)
	if err != nil {
		return err
	}
	root.high = 1 << 32
	return c.extents(in, &root, found)
}

// node notes a block of a map. A map that has one twice would be walked for ever.
func (c *census) node(in *inode, number uint64) error {
	if c.nodes[number] {
		return corrupt("the map of inode %d has block %d, as another map has", in.number, number)
	}
	if len(c.nodes) >= maxPieces {
		return errPieces
	}
	c.nodes[number] = true
	return c.add(&c.others, span{number, 1})
}

// extents adds what an extent tree leads to.
func (c *census) extents(in *inode, n *extentNode, found func(span) error) error {
	if _, err := n.find(in, n.low); err != nil { // they are in order and do not overlap
		return err
	}
	for i := range n.count {
		if n.depth > 0 {
			number := n.child(i)
			if err := c.node(in, number); err != nil {
				return err
			}
			child, err := c.fs.extentChild(in, n, i)
			if err == nil {
				err = c.extents(in, &child, found)
			}
			if err != nil {
				return err
			}
			continue
		}
		length := uint64(n.lengthOf(i))
		if length == 0 {
			return corrupt("inode %d has an empty extent", in.number)
		}
		if err := found(span{n.start(i), length}); err != nil {
			return err
		}
	}
	return nil
}

// pointers adds what a block map leads to.
func (c *census) pointers(in *inode, found func(span) error) error {
	area := in.blockArea()
	if err := c.table(in, area[:4*directBlocks], 0, found); err != nil {
		return err
	}
	for depth := 1; depth <= 3; depth++ {
		if err := c.table(in, area[4*(directBlocks+depth-1):][:4], depth, found); err != nil {
			return err
		}
	}
	return nil
}

// table adds what pointers lead to: data, or tables of so many levels.
func (c *census) table(in *inode, raw []byte, depth int, found func(span) error) error {
	for ; len(raw) > 0; raw = raw[4:] {
		number := uint64(binary.LittleEndian.Uint32(raw))
		if number == 0 {
			continue
		}
		if depth == 0 {
			if err := found(span{number, 1}); err != nil {
				return err
			}
			continue
		}
		if err := c.node(in, number); err != nil {
			return err
		}
		next, err := c.fs.block(number)
		if err == nil {
			err = c.table(in, next, depth-1, found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// edge is where runs of blocks begin or end.
type edge struct {
	at               uint64
	contents, others int32 // how many more there are from here on
}

// alone returns the runs of blocks that are in contents once, and not in others.
func alone(contents, others []span) []span {
	edges := make([]edge, 0, 2*(len(contents)+len(others)))
	for _, s := range contents {
		edges = append(edges, edge{s.start, 1, 0}, edge{s.start + s.length, -1, 0})
	}
	for _, s := range others {
		edges = append(edges, edge{s.start, 0, 1}, edge{s.start + s.length, 0, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	var list []span
	var now edge
	for _, e := range edges {
		if now.contents == 1 && now.others == 0 && e.at > now.at {
			if n := len(list); n > 0 && list[n-1].start+list[n-1].length == now.at {
				list[n-1].length += e.at - now.at
			} else {
				list = append(list, span{now.at, e.at - now.at})
			}
		}
		now = edge{e.at, now.contents + e.contents, now.others + e.others}
	}
	return list
}
