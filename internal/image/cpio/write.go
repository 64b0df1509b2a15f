package cpio

import (
	"fmt"
	"io"
	"strings"
)

// Writer writes an archive. Inode numbers count from 1; nothing in the output
// depends on anything but the calls.
type Writer struct {
	w       io.Writer
	inode   uint32
	written int64
}

// NewWriter writes an archive to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Add appends an entry. For a symbolic link the content is its target. Size and
// Links of the header are not read.
func (w *Writer) Add(h Header, content []byte) error {
	if h.Name == "" || len(h.Name) >= maxName || strings.ContainsRune(h.Name, 0) || h.Name == trailer {
		return fmt.Errorf("add to cpio archive: name %.100q", h.Name)
	}
	if int64(len(content)) > 1<<32-1 {
		return fmt.Errorf("add %s to cpio archive: %d bytes do not fit", h.Name, len(content))
	}
	w.inode++
	h.Links = 1
	if h.Mode&ModeType == ModeDir {
		h.Links = 2
	}
	return w.entry(h, w.inode, content)
}

// Close writes the trailer. It does not close the writer below.
func (w *Writer) Close() error {
	return w.entry(Header{Name: trailer, Links: 1}, 0, nil)
}

func (w *Writer) entry(h Header, inode uint32, content []byte) error {
	header := fmt.Sprintf("%s%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00", magic,
		inode, h.Mode, h.UID, h.GID, h.Links, h.ModTime, len(content),
		0, 0, 0, 0, // device of the file and of the node
		len(h.Name)+1, 0, h.Name)
	for _, part := range [][]byte{[]byte(header), content} {
		if err := w.write(part); err != nil {
			return err
		}
		if err := w.write(make([]byte, padding(w.written))); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) write(p []byte) error {
	n, err := w.w.Write(p)
	w.written += int64(n)
	return err
}

// padding returns how many bytes lack to a multiple of 4.
func padding(n int64) int64 { return -n & 3 }
