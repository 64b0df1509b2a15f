package qemu

import (
	"bytes"
	"fmt"
	"strings"
)

// Hosted sparse extent header, "Virtual Disk Format 5.0": offsets in bytes,
// little endian, counts in sectors of 512 bytes.
const (
	vmdkCapacity         = 12
	vmdkDescriptorOffset = 28
	vmdkDescriptorSize   = 36
	vmdkHeader           = 512

	maxDescriptor  = 2048 // sectors
	qemuDescriptor = 20   // sectors that QEMU reads, whatever the header says
)

// vmdk takes a single sparse file. One whose capacity is 0 is a descriptor in
// disguise, which QEMU would follow to other files.
func (f *image) vmdk() (*header, error) {
	b, err := f.read(0, vmdkHeader)
	if err != nil {
		return nil, err
	}
	if string(b[:4]) != "KDMV" {
		return nil, fmt.Errorf("%w: it is not a sparse extent of a vmdk", ErrImage)
	}
	capacity := le64(b, vmdkCapacity)
	if capacity == 0 || capacity > maxSize/512 {
		return nil, fmt.Errorf("%w: vmdk of %d sectors, want 1 to %d", ErrImage, capacity, int64(maxSize/512))
	}
	offset, sectors := le64(b, vmdkDescriptorOffset), le64(b, vmdkDescriptorSize)
	if offset != 1 || sectors < 1 || sectors > maxDescriptor {
		return nil, fmt.Errorf("%w: vmdk descriptor of %d sectors at sector %d, want it at 1", ErrImage, sectors, offset)
	}
	text, err := f.read(offset*512, int(sectors)*512)
	if err != nil {
		return nil, fmt.Errorf("vmdk descriptor: %w", err)
	}
	if err := checkDescriptor(string(text)); err != nil {
		return nil, err
	}
	around, err := f.read(512, int(min(qemuDescriptor*512, f.size-512)))
	if err != nil {
		return nil, fmt.Errorf("vmdk descriptor: %w", err)
	}
	if bytes.Contains(around, []byte("parentFileNameHint")) {
		return nil, fmt.Errorf("%w: the vmdk has a parent", ErrImage)
	}
	return &header{format: VMDK, size: int64(capacity) * 512}, nil
}

// checkDescriptor refuses a vmdk that is made of more than its own file.
func checkDescriptor(text string) error {
	text, _, _ = strings.Cut(text, "\x00")
	extents, kind := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "createtype":
			kind = value
		case name == "parentcid" && !strings.EqualFold(value, "ffffffff"):
			return fmt.Errorf("%w: the vmdk has a parent", ErrImage)
		case strings.HasPrefix(name, "rw ") || strings.HasPrefix(name, "rdonly ") || strings.HasPrefix(name, "noaccess "):
			extents++
		}
	}
	if kind != "monolithicSparse" && kind != "streamOptimized" {
		return fmt.Errorf("%w: vmdk of type %q, want monolithicSparse or streamOptimized", ErrImage, kind)
	}
	if extents != 1 {
		return fmt.Errorf("%w: vmdk of %d extents, want its own alone", ErrImage, extents)
	}
	return nil
}
