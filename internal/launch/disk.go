package launch

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// The formats of disks that are launched.
const (
	Raw   = string(qemu.Raw)
	QCOW2 = string(qemu.QCOW2)
)

// Disk is a disk image with its format.
type Disk struct {
	Path    string // absolute
	Format  string // Raw or QCOW2
	Backing *Disk  // golden image that it is an overlay on, which is only read; nil for none
}

// diskCache is the cache mode of QEMU and libvirt in which a guest's flush reaches the
// host's disk before it is acknowledged. Under "unsafe" it need not, and a power cut
// during a re-encryption would then lose the disk.
const diskCache = "writeback"

// minDiskSize is the smallest disk in bytes: a converted image has more.
const minDiskSize = 1 << 20

// OpenDisk finds out the formats of a guest's disk. It refuses with qemu.ErrImage what
// makes QEMU read files that nobody has named (a header's backing file, an external
// data file), other formats, and what is no regular file.
func OpenDisk(files qemu.Files) (Disk, error) {
	source, err := files.Probe()
	if err != nil {
		return Disk{}, err
	}
	if source.VirtualSize < minDiskSize {
		return Disk{}, fmt.Errorf("image %s: %w: want a disk of at least %s", files.Image, qemu.ErrImage, size.Text(minDiskSize))
	}
	d := Disk{Path: source.Path, Format: string(source.Format)}
	if b := source.Backing; b != nil {
		d.Backing = &Disk{Path: b.Path, Format: string(b.Format)}
	}
	return d, nil
}

// options describe the disk to QEMU with nothing left for the image to say.
func (d Disk) options() string {
	o := fmt.Sprintf("driver=%s,file.driver=file,file.filename=%s", d.Format, escape(d.Path))
	if b := d.Backing; b != nil {
		o += fmt.Sprintf(",backing.driver=%s,backing.read-only=on,backing.file.driver=file,backing.file.filename=%s", b.Format, escape(b.Path))
	}
	return o
}
