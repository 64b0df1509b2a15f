package linuxpkg

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// spool is a file system whose files lie one behind the other in one file: kernels have
// thousands of modules, of which some twenty are read, and making a file for each takes
// longer than all else. It implements fs.ReadDirFS and fs.StatFS.
type spool struct {
	file  *os.File
	w     *bufio.Writer
	end   int64
	nodes map[string]*node
}

// node is a file or a directory, and its own fs.FileInfo and fs.DirEntry.
type node struct {
	name     string // the last part of its path
	dir      bool
	at, size int64         // in the spool, in bytes
	entries  []fs.DirEntry // of a directory, sorted by name once they are asked for
	sorted   bool          // entries are
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "snpguard-packages-")
	if err != nil {
		return nil, err
	}
	return &spool{file: f, w: bufio.NewWriterSize(f, 1<<20), nodes: map[string]*node{".": {name: ".", dir: true}}}, nil
}

// add appends a file of at most so many bytes. The error wraps ErrPackage where the
// content ends in an error, is larger, or there is something of that name.
func (s *spool) add(name string, content io.Reader, most int64) (int64, error) {
	parent, err := s.mkdir(path.Dir(name))
	if err != nil {
		return 0, err
	}
	if s.nodes[name] != nil {
		return 0, fmt.Errorf("%w: %s is there twice", ErrPackage, name)
	}
	size, err := io.Copy(s.w, io.LimitReader(blame{content}, most+1))
	if err != nil {
		return 0, fmt.Errorf("unpack %s: %w", name, err)
	}
	if size > most {
		return 0, fmt.Errorf("%w: %s is too large", ErrPackage, name)
	}
	n := &node{name: path.Base(name), at: s.end, size: size}
	s.nodes[name], s.end = n, s.end+size
	parent.entries, parent.sorted = append(parent.entries, n), false
	return size, nil
}

// mkdir returns a directory, which it makes with those above it.
func (s *spool) mkdir(name string) (*node, error) {
	if n := s.nodes[name]; n != nil {
		if !n.dir {
			return nil, fmt.Errorf("%w: %s is a file and a directory", ErrPackage, name)
		}
		return n, nil
	}
	parent, err := s.mkdir(path.Dir(name))
	if err != nil {
		return nil, err
	}
	if len(s.nodes) >= maxNodes {
		return nil, fmt.Errorf("%w: more than %d files and directories", ErrPackage, maxNodes)
	}
	n := &node{name: path.Base(name), dir: true}
	s.nodes[name] = n
	parent.entries, parent.sorted = append(parent.entries, n), false
	return n, nil
}

// close removes the file.
func (s *spool) close() error {
	if err := s.file.Close(); err != nil {
		return err
	}
	return os.Remove(s.file.Name())
}

func (s *spool) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n := s.nodes[name]
	if n == nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return n, nil
}

// Stat implements fs.StatFS.
func (s *spool) Stat(name string) (fs.FileInfo, error) {
	n, err := s.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// ReadDir implements fs.ReadDirFS.
func (s *spool) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := s.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	if !n.sorted {
		slices.SortFunc(n.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		n.sorted = true
	}
	return slices.Clone(n.entries), nil
}

// Open implements fs.FS.
func (s *spool) Open(name string) (fs.File, error) {
	n, err := s.find("open", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return &openFile{io.NewSectionReader(s.file, n.at, n.size), n}, nil
	}
	entries, err := s.ReadDir(name)
	return &openDir{n, entries}, err
}

// Name implements fs.FileInfo and fs.DirEntry, as those below.
func (n *node) Name() string { return n.name }

// Size is that of the file as it is in the package, in bytes.
func (n *node) Size() int64 { return n.size }

// Mode is read for all, as that in packages counts for nothing here.
func (n *node) Mode() fs.FileMode {
	if n.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// ModTime is zero.
func (n *node) ModTime() time.Time { return time.Time{} }

// IsDir says whether it is a directory.
func (n *node) IsDir() bool { return n.dir }

// Sys is nil.
func (n *node) Sys() any { return nil }

// Type is that of Mode.
func (n *node) Type() fs.FileMode { return n.Mode().Type() }

// Info is the node itself.
func (n *node) Info() (fs.FileInfo, error) { return n, nil }

type openFile struct {
	*io.SectionReader
	n *node
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.n, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	n    *node
	left []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.n, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.n.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(count int) ([]fs.DirEntry, error) {
	if count > 0 && len(d.left) == 0 {
		return nil, io.EOF
	}
	if count <= 0 || count > len(d.left) {
		count = len(d.left)
	}
	some := d.left[:count]
	d.left = d.left[count:]
	return some, nil
}
