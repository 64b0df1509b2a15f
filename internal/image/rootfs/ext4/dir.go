package ext4

import (
	"bytes"
	"encoding/binary"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// The directory entry: inode, length, length of the name, type, name.
const (
	deRecLen  = 4
	deNameLen = 6
	deType    = 7
	deName    = 8

	maxName = 255

	// A block of a directory with checksums ends in a false entry that holds one.
	deTailSize = 12
	deTailType = 0xDE
)

// Bounds of the work that a directory may cause.
const (
	maxDirSize    = 64 << 20
	maxDirEntries = 1 << 20
)

// entry is a name in a directory.
type entry struct {
	name     string
	inode    uint32
	fileType byte // 0 for unknown
}

// entries gives visit every name but "." and ".." until it returns false. An
// index (htree) is not used: its blocks look empty to those who do not know it.
func (f *FS) entries(in *inode, visit func(entry) bool) error {
	if in.stat.Size > maxDirSize {
		return corrupt("directory %d has %d bytes, more than %d are not read", in.number, in.stat.Size, maxDirSize)
	}
	if in.has(flagInlineData) {
		return f.inlineEntries(in, visit)
	}
	bs := int64(f.sb.blockSize)
	if in.stat.Size%bs != 0 {
		return corrupt("directory %d has %d bytes", in.number, in.stat.Size)
	}
	var place placed
	for block := range uint64(in.stat.Size / bs) {
		if block >= place.at+place.length {
			r, err := f.lookup(in, block)
			if err != nil {
				return err
			}
			place = placed{block, r}
		}
		if place.start == 0 {
			return corrupt("directory %d has a hole", in.number)
		}
		raw, err := f.block(place.start + block - place.at)
		if err != nil {
			return err
		}
		if !f.dirBlockValid(in, raw) {
			return corrupt("checksum of directory %d", in.number)
		}
		if more, err := f.blockEntries(in, raw, visit); err != nil || !more {
			return err
		}
	}
	return nil
}

// inlineEntries reads a small directory: the parent's inode number and entries
// in i_block, further ones in an attribute.
func (f *FS) inlineEntries(in *inode, visit func(entry) bool) error {
	rest, err := f.inlineRest(in)
	if err != nil {
		return err
	}
	if more, err := f.blockEntries(in, in.blockArea()[4:], visit); err != nil || !more {
		return err
	}
	_, err = f.blockEntries(in, rest, visit)
	return err
}

// blockEntries reads a chain of entries that fills raw. It returns false when
// visit did.
func (f *FS) blockEntries(in *inode, raw []byte, visit func(entry) bool) (bool, error) {
	le := binary.LittleEndian
	for len(raw) > 0 {
		if len(raw) < deName {
			return false, corrupt("an entry of directory %d is cut off", in.number)
		}
		number, length, nameLength := le.Uint32(raw), int(le.Uint16(raw[deRecLen:])), int(raw[deNameLen])
		if len(raw) >= 65536 && (length == 0 || length == 65535) { // what 64 KiB is written as
			length = 65536
		}
		fileType := raw[deType]
		if f.sb.incompat&incompatFiletype == 0 {
			nameLength |= int(fileType) << 8
			fileType = 0
		}
		if length < deName || length%4 != 0 || length > len(raw) || nameLength > length-deName {
			return false, corrupt("an entry of directory %d has length %d", in.number, length)
		}
		name := raw[deName : deName+nameLength]
		raw = raw[length:]
		if number == 0 || string(name) == "." || string(name) == ".." {
			continue
		}
		if len(name) == 0 || len(name) > maxName || bytes.ContainsAny(name, "/\x00") {
			return false, corrupt("directory %d has the name %.300q", in.number, name)
		}
		if !visit(entry{string(name), number, fileType}) {
			return false, nil
		}
	}
	return true, nil
}

// find looks a name up; 0 says that there is none.
func (f *FS) find(in *inode, name string) (uint32, error) {
	var found uint32
	err := f.entries(in, func(e entry) bool {
		if e.name == name {
			found = e.inode
		}
		return found == 0
	})
	return found, err
}

// dirBlockValid verifies the checksum of a directory's block.
func (f *FS) dirBlockValid(in *inode, raw []byte) bool {
	if !f.sb.has(roCompatMetadataCsum) {
		return true
	}
	le := binary.LittleEndian
	tail := raw[len(raw)-deTailSize:]
	if le.Uint32(tail) == 0 && le.Uint16(tail[deRecLen:]) == deTailSize && tail[deNameLen] == 0 && tail[deType] == deTailType &&
		crc32c(in.seed, raw[:len(raw)-deTailSize]) == le.Uint32(tail[deName:]) {
		return true
	}
	return in.has(flagIndexed) && indexBlockValid(in, raw)
}

// indexBlockValid verifies the checksum of a block of an index. Its entries
// start behind one false entry, or behind "." and ".." and a header in the root;
// it may end in what looks like the false entry of other blocks.
func indexBlockValid(in *inode, raw []byte) bool {
	const (
		nodeEntries, rootEntries = 8, 32
		entrySize                = 8
		tailSize                 = 8 // 4 reserved bytes and the checksum
	)
	le := binary.LittleEndian
	at := nodeEntries
	if le.Uint16(raw[deRecLen:]) == deTailSize {
		at = rootEntries
	}
	limit, count := int(le.Uint16(raw[at:])), int(le.Uint16(raw[at+2:]))
	tail := at + limit*entrySize
	if count > limit || tail+tailSize > len(raw) {
		return false
	}
	sum := crc32c(in.seed, raw[:at+count*entrySize])
	sum = crc32c(sum, raw[tail:tail+4])
	return crc32c32(sum, 0) == le.Uint32(raw[tail+4:])
}

// modeOf translates the type in an entry to that of an inode, 0 for unknown.
func modeOf(fileType byte) uint32 {
	types := [...]uint32{0, rootfs.ModeRegular, rootfs.ModeDir, rootfs.ModeChar, rootfs.ModeBlock, rootfs.ModeFIFO, rootfs.ModeSocket, rootfs.ModeSymlink}
	if int(fileType) >= len(types) {
		return 0
	}
	return types[fileType]
}
