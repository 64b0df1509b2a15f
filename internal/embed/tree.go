package embed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// extract copies a slot as it is into an empty directory.
func (s *Slot) extract(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // every file was closed before
	for name := range s.files {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(s.copyTo(f, name), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// sameTree reports whether a slot holds the files of a directory. A slot that
// cannot be read does not.
func sameTree(s *Slot, dir string) (bool, error) {
	count := 0
	same := true
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		count++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if size, ok := s.files[filepath.ToSlash(name)]; !ok || size != info.Size() {
			same = false
			return fs.SkipAll
		}
		if same, err = s.equal(filepath.ToSlash(name), path); err != nil || !same {
			return errors.Join(err, fs.SkipAll)
		}
		return nil
	})
	if errors.Is(err, fs.SkipAll) {
		err = nil
	}
	return same && count == len(s.files), err
}

// equal compares a file of the slot with one of the same size.
func (s *Slot) equal(name, path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	c := &comparer{r: f, buf: make([]byte, 64<<10)}
	switch err := s.copyTo(c, name); {
	case err == nil:
		return true, nil
	case errors.Is(err, errDiffer), errors.Is(err, ErrArtifacts):
		return false, nil
	default:
		return false, err
	}
}

// errDiffer ends a comparison.
var errDiffer = errors.New("other bytes")

// comparer takes bytes and wants r to give the same.
type comparer struct {
	r   io.Reader
	buf []byte
}

// Write implements io.Writer.
func (c *comparer) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(len(c.buf), len(p)-done)
		if _, err := io.ReadFull(c.r, c.buf[:n]); err != nil {
			return done, err
		}
		if !bytes.Equal(c.buf[:n], p[done:done+n]) {
			return done, errDiffer
		}
		done += n
	}
	return len(p), nil
}

// block is the block size of the file system, in bytes.
const block = 4096

// fits returns the size of the partition, in whole MiB, if the tree has room in
// it. The file system itself takes a fiftieth and 8 MiB at most.
func (e *embedding) fits(size int64) (int64, error) {
	need := int64(8 << 20)
	err := filepath.WalkDir(e.tree, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stored := (info.Size() + block - 1) / block * block
		need += stored + stored/50 + block
		return nil
	})
	if err != nil {
		return 0, err
	}
	size, need = alignUp(size), alignUp(need)
	switch {
	case need > maxSize || size > maxSize:
		return 0, fmt.Errorf("%w: a partition has at most %d MiB", ErrTooLarge, int64(maxSize)>>20)
	case size < need:
		return 0, fmt.Errorf("%w: it has %d MiB, %d MiB are needed (--size %dM)", ErrTooLarge, size>>20, need>>20, need>>20)
	}
	return size, nil
}
