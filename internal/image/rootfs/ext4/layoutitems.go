package ext4

import (
	"encoding/binary"
	"path"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

const (
	inlineExtents = 4 // that fit an inode
	extentSpare   = extentWritten - 1

	// MaxFile bounds the files of new file systems, in bytes: what an inode has room to
	// map.
	MaxFile = inlineExtents * extentWritten * newBlockSize
	// MaxSpare is MaxFile for spare files.
	MaxSpare = inlineExtents * extentSpare * newBlockSize

	deDirectory = 2
	deRegular   = 1
	deLink      = 7
)

// extents is how many extents the contents take.
func (it *item) extents() uint64 { return (it.blocks + it.extent() - 1) / it.extent() }

// extent is how many blocks an extent has at most.
func (it *item) extent() uint64 {
	if it.Spare {
		return extentSpare
	}
	return extentWritten
}

// inodeSeed is where the checksums of what belongs to an inode begin.
func inodeSeed(seed, number uint32) uint32 { return crc32c32(crc32c32(seed, number), 0) }

// inodeAt returns where an inode is: the tables of all groups lie one after the other,
// each in whole blocks.
func (l *layout) inodeAt(number uint32) int64 {
	return int64(l.tables()*newBlockSize) + int64(number-1)*InodeSize
}

// writeItem writes an inode and what it leads to in the front.
func (l *layout) writeItem(it *item) {
	raw, le := l.head[l.inodeAt(it.number):][:InodeSize], binary.LittleEndian
	mode, links, size, sectors := uint32(rootfs.ModeRegular|0o644), 1, it.Size, it.blocks*(newBlockSize/512)
	switch {
	case it.Dir:
		mode, links, size = rootfs.ModeDir|0o755, 2, int64(it.blocks)*newBlockSize
		for _, c := range it.children {
			if c.Dir {
				links++
			}
		}
		copy(l.head[it.start*newBlockSize:], it.directory(l.seed))
	case it.Target != "":
		mode, size = rootfs.ModeSymlink|0o777, int64(len(it.Target))
		copy(raw[inBlock:], it.Target)
	}
	le.PutUint16(raw[inMode:], uint16(mode))
	le.PutUint32(raw[inSizeLo:], uint32(size))
	le.PutUint32(raw[inSizeHi:], uint32(size>>32))
	le.PutUint16(raw[inLinks:], uint16(links))
	le.PutUint32(raw[inBlocksLo:], uint32(sectors))
	le.PutUint16(raw[inBlocksHi:], uint16(sectors>>32))
	if it.Target == "" {
		le.PutUint32(raw[inFlags:], flagExtents)
		it.putExtents(raw[inBlock:])
	}
	l.seal(raw, it.number)
}

func (l *layout) seal(raw []byte, number uint32) {
	le := binary.LittleEndian
	le.PutUint16(raw[inExtraSize:], newExtraSize)
	sum := crc32c(inodeSeed(l.seed, number), raw)
	le.PutUint16(raw[inChecksumLo:], uint16(sum))
	le.PutUint16(raw[inChecksumHi:], uint16(sum>>16))
}

// putExtents writes the map: the contents in pieces as long as extents can be.
func (it *item) putExtents(raw []byte) {
	le := binary.LittleEndian
	for i, v := range []uint16{extentMagic, uint16(it.extents()), inlineExtents, 0} {
		le.PutUint16(raw[2*i:], v)
	}
	for i := range it.extents() {
		entry, at := raw[extentSize*(1+i):], i*it.extent()
		length := min(it.extent(), it.blocks-at)
		if it.Spare {
			length += extentWritten // allocated, never written
		}
		le.PutUint32(entry, uint32(at))
		le.PutUint16(entry[4:], uint16(length))
		le.PutUint32(entry[8:], uint32(it.start+at))
	}
}

// directory returns the blocks of a directory, each with its checksum, the last ones
// without a name where it has room for more.
func (it *item) directory(seed uint32) []byte {
	type name struct {
		text   string
		number uint32
		kind   byte
	}
	names := []name{{".", it.number, deDirectory}, {"..", it.parent.number, deDirectory}}
	for _, c := range it.children {
		kind := byte(deRegular)
		if c.Dir {
			kind = deDirectory
		} else if c.Target != "" {
			kind = deLink
		}
		names = append(names, name{path.Base(c.Path), c.number, kind})
	}
	const room = newBlockSize - deTailSize
	le := binary.LittleEndian
	var out, block []byte
	last := 0 // where the block's last entry begins
	end := func() {
		le.PutUint16(block[last+deRecLen:], uint16(room-last))
		block = append(block, make([]byte, newBlockSize-len(block))...)
		le.PutUint16(block[room+deRecLen:], deTailSize)
		block[room+deType] = deTailType
		le.PutUint32(block[room+deName:], crc32c(inodeSeed(seed, it.number), block[:room]))
		out, block = append(out, block...), nil
	}
	for _, n := range names {
		length := int(roundUp(uint64(deName+len(n.text)), 4))
		if len(block)+length > room {
			end()
		}
		last = len(block)
		entry := make([]byte, length)
		le.PutUint32(entry, n.number)
		le.PutUint16(entry[deRecLen:], uint16(length))
		entry[deNameLen], entry[deType] = byte(len(n.text)), n.kind
		copy(entry[deName:], n.text)
		block = append(block, entry...)
	}
	for end(); int64(len(out)) < it.Size; end() {
		block, last = make([]byte, deName), 0
	}
	return out
}
