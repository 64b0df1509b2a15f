// Package cpio reads and writes archives of the "new ASCII" kind, newc: what
// the kernel unpacks as an initramfs (Documentation/driver-api/early-userspace/
// buffer-format.rst) and what an RPM package holds.
//
//	header   110 bytes: magic and 13 numbers of 8 hexadecimal digits
//	name     NUL-terminated, header and name padded to 4 bytes
//	content  padded to 4 bytes
//
// An archive ends with an entry of the name TRAILER!!!. The reader takes hostile
// bytes: it bounds names, and holds no content.
package cpio

import "errors"

// Sizes in bytes.
const (
	headerSize = 110
	maxName    = 4096 // PATH_MAX, as the kernel
	maxLink    = 4096
)

const (
	magic        = "070701"
	magicWithCRC = "070702" // the same with a checksum of regular files
	trailer      = "TRAILER!!!"
)

// Types of a file, in the upper bits of a Mode.
const (
	ModeType    = 0o170000
	ModeDir     = 0o040000
	ModeRegular = 0o100000
	ModeSymlink = 0o120000
)

// ErrMalformed is an archive that cannot be read.
var ErrMalformed = errors.New("malformed cpio archive")

// Header describes an entry.
type Header struct {
	Name     string // as it stands in the archive
	Mode     uint32 // type and permissions
	UID, GID uint32
	Links    uint32
	ModTime  uint32 // seconds since 1970
	Size     uint32 // of the content, in bytes
}
