package fat

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// FS is a FAT volume. It is a rootfs.Volume.
type FS struct {
	r      io.ReaderAt
	layout *layout
	table  *table
	root   *node
	label  string
}

var _ rootfs.Volume = (*FS)(nil)

// node is a file or directory.
type node struct {
	found
	inode    uint64
	depth    int
	runs     []run
	children map[string]*node // by their names in lower case
}

// list returns a directory's files, sorted by name.
func (n *node) list() []*node {
	return slices.SortedFunc(maps.Values(n.children), func(a, b *node) int { return cmp.Compare(a.name, b.name) })
}

// Open reads a volume that starts at r's beginning and has at most so many bytes.
// The error wraps rootfs.ErrCorrupt or rootfs.ErrUnsupported, or is the reader's.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	boot := make([]byte, bootSize)
	if _, err := r.ReadAt(boot, 0); err != nil {
		return nil, fmt.Errorf("read FAT's boot sector: %w", err)
	}
	l, err := parseBoot(boot, size)
	if err != nil {
		return nil, err
	}
	f := &FS{r: r, layout: l, label: l.label}
	if f.table, err = readTable(r, l); err != nil {
		return nil, err
	}
	return f, f.index()
}

// index reads every directory, from the root on.
func (f *FS) index() error {
	f.root = &node{found: found{name: ".", dir: true, first: f.layout.rootFirst}, inode: 1}
	left := int64(maxAllDirBytes)
	files := uint64(1)
	for queue := []*node{f.root}; len(queue) > 0; queue = queue[1:] {
		dir := queue[0]
		data, err := f.readDir(dir)
		if err != nil {
			return err
		}
		if left -= int64(len(data)); left < 0 {
			return unsupported("directories of more than %d bytes", maxAllDirBytes)
		}
		if err := f.fill(dir, data, &files); err != nil {
			return err
		}
		for _, n := range dir.list() {
			if n.dir {
				queue = append(queue, n)
			}
		}
	}
	return nil
}

// readDir reads the entries of a directory and claims its clusters. The root of
// FAT12 and FAT16 is a place of its own.
func (f *FS) readDir(n *node) (data []byte, err error) {
	if n == f.root && f.layout.bits != 32 {
		data = make([]byte, f.layout.rootBytes)
		if _, err := f.r.ReadAt(data, f.layout.root); err != nil {
			return nil, fmt.Errorf("read FAT's root directory: %w", err)
		}
		return data, nil
	}
	var clusters int64
	if n.runs, clusters, err = f.table.chain(n.first, max(1, maxDirBytes/f.layout.cluster)); err == nil && clusters == 0 {
		err = corrupt("no cluster")
	}
	if err != nil {
		return nil, fmt.Errorf("directory %.64q: %w", n.name, err)
	}
	data = make([]byte, clusters*f.layout.cluster)
	if _, err := (&File{fs: f, node: n, size: int64(len(data))}).ReadAt(data, 0); err != nil {
		return nil, fmt.Errorf("directory %.64q: %w", n.name, err)
	}
	return data, nil
}

// fill gives a directory its files.
func (f *FS) fill(dir *node, data []byte, files *uint64) error {
	list, label, err := parseDir(data, f.layout.bits == 32)
	if err != nil {
		return err
	}
	if dir == f.root && label != "" {
		f.label = label
	}
	dir.children = make(map[string]*node, len(list))
	for _, one := range list {
		n := &node{found: one, inode: *files + 1, depth: dir.depth + 1}
		key := strings.ToLower(n.name)
		if *files++; *files > maxFiles || n.depth > maxDepth {
			return unsupported("more than %d files, or %d levels of directories", maxFiles, maxDepth)
		}
		if dir.children[key] != nil {
			return corrupt("two files named %.64q in one directory", n.name)
		}
		dir.children[key] = n
		if n.dir {
			n.size = 0
		} else if err := f.claim(n); err != nil {
			return err
		}
	}
	return nil
}

// claim follows the clusters of a file.
func (f *FS) claim(n *node) (err error) {
	if n.first == 0 && n.size == 0 {
		return nil
	}
	var clusters int64
	if n.runs, clusters, err = f.table.chain(n.first, int64(f.layout.clusters)); err != nil {
		return fmt.Errorf("file %.64q: %w", n.name, err)
	}
	if n.size > clusters*f.layout.cluster {
		return fmt.Errorf("file %.64q: %w", n.name, corrupt("%d bytes in %d clusters", n.size, clusters))
	}
	return nil
}

// find returns the file of a name.
func (f *FS) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n := f.root
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if n = n.children[strings.ToLower(part)]; n == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

// Type implements rootfs.Volume.
func (f *FS) Type() rootfs.Type { return rootfs.FAT }

// UUID returns the serial number as udev and fstab have it: "1A2B-3C4D".
func (f *FS) UUID() string {
	return fmt.Sprintf("%04X-%04X", f.layout.serial>>16, f.layout.serial&0xFFFF)
}

// Label returns the label of the root directory, else that of the boot sector.
func (f *FS) Label() string { return f.label }

// Size implements rootfs.Volume.
func (f *FS) Size() int64 { return f.layout.size }

// Used yields what comes before the first cluster, and the clusters that are not
// free.
func (f *FS) Used() iter.Seq2[rootfs.Range, error] {
	return func(yield func(rootfs.Range, error) bool) {
		used := rootfs.Range{Length: f.layout.data}
		for cluster := uint32(firstCluster); cluster < firstCluster+f.layout.clusters; cluster++ {
			at := f.offset(cluster)
			switch {
			case f.table.next(cluster) == 0:
			case used.Offset+used.Length == at:
				used.Length += f.layout.cluster
			default:
				if !yield(used, nil) {
					return
				}
				used = rootfs.Range{Offset: at, Length: f.layout.cluster}
			}
		}
		yield(used, nil)
	}
}

// offset is where a cluster lies.
func (f *FS) offset(cluster uint32) int64 {
	return f.layout.data + int64(cluster-firstCluster)*f.layout.cluster
}
