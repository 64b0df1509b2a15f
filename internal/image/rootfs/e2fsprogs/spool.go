package e2fsprogs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// spool keeps the data of new files in the workspace, under names that need no
// quoting.
type spool struct {
	*workspace
	count int
}

func (s *spool) next() string {
	s.count++
	return fmt.Sprintf("data%d", s.count)
}

// bytes keeps a few bytes.
func (s *spool) bytes(data []byte) (string, error) {
	name := s.next()
	return name, os.WriteFile(s.path(name), data, 0o600)
}

// source makes a file's new data readable for debugfs.
func (s *spool) source(c *rootfs.Change) (string, error) {
	switch {
	case c.Open != nil:
		return s.stream(c.Open)
	case c.Source == "":
		return s.bytes(c.Content)
	}
	path, err := filepath.Abs(c.Source)
	if err != nil {
		return "", err
	}
	found, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !found.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %s is not a regular file", rootfs.ErrChange, c.Source)
	}
	name := s.next()
	return name, os.Symlink(path, s.path(name))
}

// stream copies data and leaves holes for zeros.
func (s *spool) stream(open func() (io.ReadCloser, error)) (string, error) {
	in, err := open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	name := s.next()
	out, err := os.OpenFile(s.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	if err := copySparse(out, in); err != nil {
		out.Close()
		return "", err
	}
	return name, out.Close()
}

func copySparse(out *os.File, in io.Reader) error {
	const block = 4096
	buffer, zero := make([]byte, 64*block), make([]byte, block)
	size := int64(0)
	for {
		n, ended, err := readFull(in, buffer)
		if err != nil {
			return err
		}
		for at := 0; at < n; at += block {
			piece := buffer[at:min(at+block, n)]
			if bytes.Equal(piece, zero[:len(piece)]) {
				continue
			}
			if _, err := out.WriteAt(piece, size+int64(at)); err != nil {
				return err
			}
		}
		size += int64(n)
		if ended {
			return out.Truncate(size)
		}
	}
}
