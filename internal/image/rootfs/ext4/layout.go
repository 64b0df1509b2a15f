package ext4

import (
	"fmt"
	"path"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Node is a file of a new file system: a directory, a symbolic link where Target is
// set, otherwise a regular file of Size bytes. All belong to root.
type Node struct {
	Path   string // with slashes; its directory comes before it in the list
	Dir    bool
	Target string // of less than 60 bytes
	Size   int64  // of a directory the least, for names to come
	Spare  bool   // a file that owns its blocks and reads as zeros, whatever they hold
}

// Layout is a new file system without the contents of its files. What neither Head
// nor a file covers has to read as zeros.
type Layout struct {
	Head   []byte           // the first bytes, with all that describes the file system
	Places map[string]Place // by path
	Used   int64            // bytes that head and files take
}

// Place is where a node is, in bytes from the start of the file system. Contents lie
// in one piece.
type Place struct {
	Inode    int64 // of InodeSize bytes
	Contents int64 // 0 for none
	Size     int64 // of the contents, in whole blocks
}

// NoSpaceError says that the nodes do not fit a file system of Size bytes. Need is
// the size, in bytes, of one that they fit.
type NoSpaceError struct{ Size, Need int64 }

func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("a file system of %d bytes has no room for what needs %d", e.Size, e.Need)
}

// The shape of new file systems: all that describes it lies at the front, in the
// order superblock, group descriptors, bitmaps, inode tables, directories.
const (
	// InodeSize is the size of inodes in new file systems, in bytes.
	InodeSize = 256
	// SectorSize is what storage writes whole or not at all, in bytes.
	SectorSize = 512

	newBlockSize      = 4096
	newBlocksPerGroup = 8 * newBlockSize
	newInodesPerBlock = newBlockSize / InodeSize
	firstInode        = 11      // that is not reserved
	maxNewSize        = 1 << 40 // bytes
)

// item is a node with its place.
type item struct {
	Node
	number   uint32
	parent   *item
	children []*item
	start    uint64 // first block of the contents
	blocks   uint64 // of the contents
}

// layout is a file system in the making.
type layout struct {
	blocks         uint64
	groups         uint64
	inodesPerGroup uint64
	uuid           [16]byte
	label          string
	seed           uint32
	items          []*item // the root, lost+found, then the nodes
	front          uint64  // blocks before the first file
	next           uint64  // first block that is free
	head           []byte
}

// New lays out a file system of size bytes, a multiple of 4096, with no journal and
// no copies of the superblock, that Linux mounts read-only. Inodes, directories and
// files lie in the order of the list. The same arguments give the same bytes. The error
// is a *NoSpaceError or wraps rootfs.ErrUnsupported, as for files of more than four
// extents (MaxFile, MaxSpare).
func New(uuid [16]byte, label string, size int64, nodes []Node) (*Layout, error) {
	l := &layout{uuid: uuid, label: label, seed: crc32c(^uint32(0), uuid[:])}
	if err := l.add(nodes); err != nil {
		return nil, err
	}
	if size > maxNewSize {
		return nil, fmt.Errorf("%w: a new file system of %d bytes", rootfs.ErrUnsupported, size)
	}
	for need := size; ; need = int64(l.next) * newBlockSize {
		l.place(need)
		if l.next <= l.blocks {
			if need > size {
				return nil, &NoSpaceError{size, need}
			}
			break
		}
	}
	l.head = make([]byte, l.front*newBlockSize)
	l.write()
	out := &Layout{Head: l.head, Places: map[string]Place{}, Used: int64(l.next) * newBlockSize}
	for _, it := range l.items[2:] {
		out.Places[it.Path] = Place{l.inodeAt(it.number), int64(it.start) * newBlockSize, int64(it.blocks) * newBlockSize}
	}
	return out, nil
}

// add numbers the nodes and hangs them into their directories.
func (l *layout) add(nodes []Node) error {
	root := &item{Node: Node{Dir: true}, number: rootInode}
	root.parent = root
	l.items = []*item{root}
	dirs := map[string]*item{".": root}
	for i, n := range append([]Node{{Path: "lost+found", Dir: true}}, nodes...) {
		it := &item{Node: n, number: uint32(firstInode + i), parent: dirs[path.Dir(n.Path)]}
		it.blocks = roundUp(uint64(n.Size), newBlockSize) / newBlockSize
		if it.parent == nil || len(path.Base(n.Path)) > maxName || len(n.Target) >= blockAreaSize || n.Size < 0 || it.extents() > inlineExtents {
			return fmt.Errorf("%w: no place for %.100q in a new file system", rootfs.ErrUnsupported, n.Path)
		}
		it.parent.children = append(it.parent.children, it)
		if n.Dir {
			dirs[n.Path] = it
		}
		l.items = append(l.items, it)
	}
	return nil
}

// place gives everything its blocks in a file system of size bytes.
func (l *layout) place(size int64) {
	l.blocks = uint64(size) / newBlockSize
	l.groups = max(1, (l.blocks+newBlocksPerGroup-1)/newBlocksPerGroup)
	inodes := uint64(firstInode + len(l.items))
	l.inodesPerGroup = roundUp((inodes+l.groups-1)/l.groups, newInodesPerBlock)
	l.next = l.tables() + l.groups*l.tableBlocks()
	take := func(n uint64) uint64 {
		l.next += n
		return l.next - n
	}
	for _, it := range l.items {
		if it.Dir {
			it.blocks = uint64(len(it.directory(l.seed))) / newBlockSize
			it.start = take(it.blocks)
		}
	}
	l.front = l.next
	for _, it := range l.items {
		if !it.Dir && it.blocks > 0 {
			it.start = take(it.blocks)
		}
	}
}

func roundUp(n, to uint64) uint64 { return (n + to - 1) / to * to }

// Where the parts of the front begin, in blocks.
func (l *layout) blockBitmaps() uint64 {
	return 1 + roundUp(l.groups*oldDescSize, newBlockSize)/newBlockSize
}
func (l *layout) inodeBitmaps() uint64 { return l.blockBitmaps() + l.groups }
func (l *layout) tables() uint64       { return l.inodeBitmaps() + l.groups }
func (l *layout) tableBlocks() uint64  { return l.inodesPerGroup / newInodesPerBlock }

// block is a block of the front.
func (l *layout) block(number uint64) []byte {
	return l.head[number*newBlockSize:][:newBlockSize]
}
