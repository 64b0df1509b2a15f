package measure

import (
	"bytes"
	"fmt"
	"io"
)

// ContainerHeadSize is how many bytes of a file CheckRaw wants to see.
const ContainerHeadSize = 512

// containers are formats of disk images: the magic bytes of each, and where they
// are (QEMU, block/*.c and docs/interop/). A guest is launched from what they
// hold, never from their bytes.
var containers = []container{
	{"QFI\xfb", 0, "qcow2"},
	{"KDMV", 0, "VMDK"},
	{"# Disk Desc", 0, "VMDK"},
	{"vhdxfile", 0, "VHDX"},
	{"conectix", 0, "VHD"},
	{"\x7f\x10\xda\xbe", 0x40, "VDI"},
	{"QED\x00", 0, "QED"},
	{"LUKS\xba\xbe", 0, "LUKS"},
}

type container struct {
	magic  string
	offset int
	name   string
}

// CheckRaw refuses the head of a file that is a disk image in a container format
// where the raw bytes of a firmware, kernel or initrd are wanted: their digest
// would be of a guest that nobody can launch. The head may be shorter than
// ContainerHeadSize where the file is. The error wraps ErrContainer.
func CheckRaw(head []byte) error {
	for _, c := range containers {
		if len(head) >= c.offset && bytes.HasPrefix(head[c.offset:], []byte(c.magic)) {
			return fmt.Errorf("%w: it is a %s file; unpack it with \"qemu-img convert -O raw\"", ErrContainer, c.name)
		}
	}
	return nil
}

// RawReader returns a reader of all that r gives, once CheckRaw has let its head
// pass. The error wraps ErrContainer, or is r's.
func RawReader(r io.Reader) (io.Reader, error) {
	head := make([]byte, ContainerHeadSize)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if err := CheckRaw(head[:n]); err != nil {
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(head[:n]), r), nil
}
