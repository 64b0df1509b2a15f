package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
)

// header is what the head of an image says.
type header struct {
	format        Format
	size          int64 // of the virtual disk, in bytes
	cluster       int   // bytes; 0 if the format has none or nothing depends on it
	backing       string
	backingFormat Format // "" if the image does not say
}

// image is an image file that is being looked at.
type image struct {
	r    io.ReaderAt
	size int64 // of the file, in bytes
}

// read returns length bytes of the file at an offset, all of them.
func (f *image) read(offset uint64, length int) ([]byte, error) {
	return qcow2.ReadWhole(f.r, f.size, offset, length)
}

// readHeader reads the head of an image of size bytes, as the given format or,
// if that is empty, as the one that its first or last bytes tell.
func readHeader(r io.ReaderAt, size int64, format Format) (*header, error) {
	f := &image{r: r, size: size}
	if format == "" {
		var err error
		if format, err = f.detect(); err != nil {
			return nil, err
		}
	}
	switch format {
	case Raw:
		return &header{format: Raw, size: size}, nil
	case QCOW2:
		return f.qcow2()
	case VMDK:
		return f.vmdk()
	case VDI:
		return f.vdi()
	case VHDX:
		return f.vhdx()
	case VHD:
		return f.vhd()
	}
	return nil, fmt.Errorf("%w: format %q is not taken", ErrImage, format)
}

// detect tells the format by the magic bytes.
func (f *image) detect() (Format, error) {
	head := make([]byte, 512)
	if _, err := f.r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read head: %w", err)
	}
	for _, m := range []struct {
		magic  string
		offset int
		format Format
	}{
		{"QFI\xfb\x00\x00\x00\x02", 0, QCOW2},
		{"QFI\xfb\x00\x00\x00\x03", 0, QCOW2},
		{"QFI\xfb", 0, "qcow of another version"},
		{"KDMV", 0, VMDK},
		{"COWD", 0, "vmdk of version 3"},
		{"# Disk Desc", 0, "vmdk descriptor of other files"},
		{"vhdxfile", 0, VHDX},
		{"conectix", 0, VHD},
		{"\x7f\x10\xda\xbe", vdiSignature, VDI},
		{"QED\x00", 0, "qed"},
		{"WithoutFreeSpace", 0, "parallels"},
		{"WithouFreSpacExt", 0, "parallels"},
		{"LUKS\xba\xbe", 0, "luks"},
	} {
		// What was not read is zeros, and no magic ends in those alone.
		if string(head[m.offset:m.offset+len(m.magic)]) == m.magic {
			return m.format, nil
		}
	}
	// A fixed VHD is a raw image with a footer.
	if f.size > vhdFooter {
		if b, err := f.read(uint64(f.size-vhdFooter), vhdFooter); err == nil && bytes.HasPrefix(b, []byte("conectix")) {
			return VHD, nil
		}
	}
	return Raw, nil
}

// qcow2 reads the header, then every table, for a read through a table that
// points behind the end of the file is answered with zeros by QEMU.
func (f *image) qcow2() (*header, error) {
	h, err := qcow2.ReadHeader(f.r, f.size)
	if err != nil {
		return nil, err
	}
	if err := h.Check(); err != nil {
		return nil, err
	}
	return &header{format: QCOW2, size: h.Size, cluster: h.ClusterSize, backing: h.Backing, backingFormat: Format(h.BackingFormat)}, nil
}

func validPath(path string) bool { return utf8.ValidString(path) }

func be32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
func be64(b []byte, at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func le64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
