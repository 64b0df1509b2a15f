package launch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// ErrDisk is a disk image that must not be given to QEMU.
var ErrDisk = errors.New("unusable disk image")

// The formats of disks that are launched.
const (
	Raw   = "raw"
	QCOW2 = "qcow2"
)

// Disk is a disk image with its format.
type Disk struct {
	Path   string // absolute
	Format string // Raw or QCOW2
}

// Layout of the qcow2 header (QEMU, docs/interop/qcow2.txt, "Header"). Numbers are
// big endian.
const (
	qcowMagic           = "QFI\xfb"
	qcowVersion         = 4
	qcowBackingOffset   = 8
	qcowIncompatible    = 72 // since version 3
	qcowHeaderSize      = 80
	qcowExternalData    = 1 << 2
	qcowKnownFeatures   = 1<<0 | 1<<1 | 1<<3 | 1<<4 // dirty, corrupt, compression type, extended L2
	minDiskSize         = 1 << 20
	otherMagicsMaxBytes = 8
	vhdMagic            = "conectix" // of the footer (Microsoft, VHD Image Format Specification)
	vhdFooterSize       = 512
)

// otherMagics begin formats that QEMU knows and that are not launched: taken as
// raw disks they would be nothing, so somebody is mistaken.
func otherMagics() map[string]string {
	return map[string]string{
		"KDMV": "vmdk", "# Disk D": "vmdk", "COWD": "vmdk", "vhdxfile": "vhdx", vhdMagic: "vpc",
		"<<< QEMU": "vdi", "<<< Orac": "vdi", "LUKS\xba\xbe": "luks", "QED\x00": "qed",
	}
}

// OpenDisk finds out the format of an image. It refuses with ErrDisk what makes
// QEMU read other files (a backing file, an external data file), other formats, and
// what is no regular file.
func OpenDisk(path string) (Disk, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return Disk{}, err
	}
	info, err := os.Stat(absolute)
	if err != nil {
		return Disk{}, err
	}
	if !info.Mode().IsRegular() || info.Size() < minDiskSize {
		return Disk{}, fmt.Errorf("%w: %s: want a regular file of at least %s", ErrDisk, path, size.Text(minDiskSize))
	}
	f, err := os.Open(absolute)
	if err != nil {
		return Disk{}, err
	}
	defer f.Close()
	var header [qcowHeaderSize]byte
	if _, err := io.ReadFull(f, header[:]); err != nil {
		return Disk{}, fmt.Errorf("read %s: %w", path, err)
	}
	format, err := detect(header)
	if err == nil && format == Raw {
		err = checkFooter(f, info.Size())
	}
	if err != nil {
		return Disk{}, fmt.Errorf("%w: %s: %w", ErrDisk, path, err)
	}
	return Disk{Path: absolute, Format: format}, nil
}

// checkFooter refuses a fixed VHD, which is a raw disk with a footer that a guest
// would see as its last sector.
func checkFooter(f io.ReaderAt, size int64) error {
	magic := make([]byte, len(vhdMagic))
	if _, err := f.ReadAt(magic, size-vhdFooterSize); err != nil {
		return err
	}
	if string(magic) == vhdMagic {
		return errors.New("it is in format vpc (a fixed VHD), want qcow2 or raw")
	}
	return nil
}

func detect(header [qcowHeaderSize]byte) (string, error) {
	if !bytes.HasPrefix(header[:], []byte(qcowMagic)) {
		for magic, format := range otherMagics() {
			if bytes.HasPrefix(header[:otherMagicsMaxBytes], []byte(magic)) {
				return "", fmt.Errorf("it is in format %s, want qcow2 or raw", format)
			}
		}
		return Raw, nil
	}
	be := binary.BigEndian
	version := be.Uint32(header[qcowVersion:])
	switch {
	case version != 2 && version != 3:
		return "", fmt.Errorf("qcow2 version %d, want 2 or 3", version)
	case be.Uint64(header[qcowBackingOffset:]) != 0:
		return "", errors.New("it has a backing file; make one file of both with \"qemu-img convert\"")
	case version == 3 && be.Uint64(header[qcowIncompatible:])&qcowExternalData != 0:
		return "", errors.New("it keeps its data in another file")
	case version == 3 && be.Uint64(header[qcowIncompatible:])&^qcowKnownFeatures != 0:
		return "", fmt.Errorf("unknown qcow2 features %#x", be.Uint64(header[qcowIncompatible:]))
	}
	return QCOW2, nil
}
