package ext4

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Extended attributes: a header, entries that grow from it, values at offsets
// that count from the block's start or, in the inode, from the first entry.
const (
	xattrMagic       = 0xEA020000
	xattrBlockHeader = 32
	xattrBlockCsum   = 16
	xattrEntrySize   = 16 // without the name

	xeNameIndex   = 1
	xeValueOffset = 2
	xeValueInode  = 4
	xeValueSize   = 8

	maxXattrValue = 64 << 10
	maxXattrTotal = 1 << 20

	indexSystem    = 7
	inlineDataName = "data" // of indexSystem: what inline data i_block has no room for
)

// xattr is an attribute as it is on the disk.
type xattr struct {
	index byte // stands for the prefix of its name
	name  string
	value []byte
}

// xattrPrefix is the prefix that an index stands for.
func xattrPrefix(index byte) (string, bool) {
	switch index {
	case 0:
		return "", true
	case 1:
		return "user.", true
	case 2:
		return "system.posix_acl_access", true
	case 3:
		return "system.posix_acl_default", true
	case 4:
		return "trusted.", true
	case 6:
		return "security.", true
	case indexSystem:
		return "system.", true
	default:
		return "", false
	}
}

// xattrs collects an inode's attributes under their full names.
func (f *FS) xattrs(in *inode) (map[string][]byte, error) {
	list, err := f.innerXattrs(in)
	if err != nil {
		return nil, err
	}
	outer, err := f.blockXattrs(in)
	if err != nil {
		return nil, err
	}
	attributes := map[string][]byte{}
	for _, x := range append(list, outer...) {
		if x.index == indexSystem && x.name == inlineDataName {
			continue
		}
		prefix, known := xattrPrefix(x.index)
		if !known {
			return nil, fmt.Errorf("%w: inode %d has an attribute of kind %d", rootfs.ErrUnsupported, in.number, x.index)
		}
		if x.index == 2 || x.index == 3 {
			if x.value, err = aclFromDisk(x.value); err != nil {
				return nil, corrupt("access control list of inode %d: %v", in.number, err)
			}
		}
		attributes[prefix+x.name] = x.value
	}
	return attributes, nil
}

// inlineRest is the part of inline data that i_block has no room for.
func (f *FS) inlineRest(in *inode) ([]byte, error) {
	list, err := f.innerXattrs(in)
	if err != nil {
		return nil, err
	}
	for _, x := range list {
		if x.index == indexSystem && x.name == inlineDataName {
			return x.value, nil
		}
	}
	return nil, nil
}

// innerXattrs reads the attributes behind the inode's fields.
func (f *FS) innerXattrs(in *inode) ([]xattr, error) {
	from := oldInodeSize + in.extraSize()
	if from+4 > len(in.raw) || len(in.raw) == oldInodeSize || binary.LittleEndian.Uint32(in.raw[from:]) != xattrMagic {
		return nil, nil
	}
	area := in.raw[from+4:]
	return f.xattrEntries(in, area, area)
}

// attributeBlock is the block with an inode's attributes, 0 for none.
func (f *FS) attributeBlock(in *inode) uint64 {
	number := uint64(binary.LittleEndian.Uint32(in.raw[inFileACLLo:]))
	if f.sb.incompat&incompat64Bit != 0 {
		number |= uint64(binary.LittleEndian.Uint16(in.raw[inFileACLHi:])) << 32
	}
	return number
}

// blockXattrs reads the attributes in a block of their own.
func (f *FS) blockXattrs(in *inode) ([]xattr, error) {
	le := binary.LittleEndian
	number := f.attributeBlock(in)
	if number == 0 {
		return nil, nil
	}
	raw, err := f.block(number)
	if err != nil {
		return nil, err
	}
	if le.Uint32(raw) != xattrMagic {
		return nil, corrupt("attributes of inode %d have no magic number", in.number)
	}
	if f.sb.has(roCompatMetadataCsum) {
		sum := crc32c(f.sb.seed, le.AppendUint64(nil, number))
		if crc32c(sum, zeroed(raw, xattrBlockCsum, 4)) != le.Uint32(raw[xattrBlockCsum:]) {
			return nil, corrupt("checksum of the attributes of inode %d", in.number)
		}
	}
	return f.xattrEntries(in, raw[xattrBlockHeader:], raw)
}

// xattrEntries reads a list of entries; their values lie in values.
func (f *FS) xattrEntries(in *inode, entries, values []byte) ([]xattr, error) {
	le := binary.LittleEndian
	var list []xattr
	total := 0
	for len(entries) >= 4 && le.Uint32(entries) != 0 {
		if len(entries) < xattrEntrySize || len(entries) < xattrEntrySize+int(entries[0]) {
			return nil, corrupt("an attribute of inode %d is cut off", in.number)
		}
		nameLength := int(entries[0])
		x := xattr{index: entries[xeNameIndex], name: string(entries[xattrEntrySize:][:nameLength])}
		if bytes.IndexByte([]byte(x.name), 0) >= 0 {
			return nil, corrupt("inode %d has an attribute named %q", in.number, x.name)
		}
		var err error
		if x.value, err = f.xattrValue(in, entries, values); err != nil {
			return nil, err
		}
		if total += len(x.value); total > maxXattrTotal {
			return nil, corrupt("attributes of inode %d have more than %d bytes", in.number, maxXattrTotal)
		}
		list = append(list, x)
		entries = entries[min((xattrEntrySize+nameLength+3)&^3, len(entries)):]
	}
	return list, nil
}

// xattrValue reads the value of an entry, which may be an inode's data.
func (f *FS) xattrValue(in *inode, entry, values []byte) ([]byte, error) {
	le := binary.LittleEndian
	offset, number, size := uint64(le.Uint16(entry[xeValueOffset:])), le.Uint32(entry[xeValueInode:]), uint64(le.Uint32(entry[xeValueSize:]))
	if number == 0 {
		if offset+size > uint64(len(values)) {
			return nil, corrupt("an attribute of inode %d has its value outside", in.number)
		}
		return append([]byte{}, values[offset:offset+size]...), nil
	}
	holder, err := f.inode(number)
	if err != nil {
		return nil, err
	}
	if !holder.has(flagEAInode) || holder.has(flagInlineData) || uint64(holder.stat.Size) != size {
		return nil, corrupt("an attribute of inode %d has its value in inode %d", in.number, number)
	}
	return f.readAll(holder, maxXattrValue)
}
