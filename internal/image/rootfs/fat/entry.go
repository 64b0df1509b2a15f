package fat

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// A directory entry, by its offsets, and the parts of a long name that come before
// it, last part first.
const (
	entrySize = 32

	dirAttributes  = 11
	dirLowerCase   = 12 // of Windows NT: 8 for the name, 16 for the extension
	dirClusterHigh = 20
	dirTime        = 22
	dirDate        = 24
	dirClusterLow  = 26
	dirSize        = 28

	attrLabel     = 0x08
	attrDirectory = 0x10
	attrLongName  = 0x0F // of the low six bits

	longOrder     = 0 // 0x40 for the last part
	longType      = 12
	longChecksum  = 13
	longLast      = 0x40
	maxLongParts  = 20
	charsLongPart = 13

	entryDeleted = 0xE5
	entryEnd     = 0x00
	entryE5      = 0x05 // stands for a name that starts with 0xE5
)

// found is one file of a directory.
type found struct {
	name    string
	dir     bool
	first   uint32
	size    int64
	modTime time.Time
}

// parseDir lists a directory's files; label is that of the volume, which the root
// has.
func parseDir(data []byte, wide bool) (files []found, label string, err error) {
	var long longName
	for ; len(data) >= entrySize && data[0] != entryEnd; data = data[entrySize:] {
		e := data[:entrySize]
		attributes := e[dirAttributes]
		switch {
		case e[0] == entryDeleted:
			long = longName{}
			continue
		case attributes&0x3F == attrLongName:
			long.add(e)
			continue
		case attributes&attrLabel != 0:
			label, long = fatLabel(e[:11]), longName{}
			continue
		}
		name := long.of(e)
		long = longName{}
		if name == "." || name == ".." {
			continue
		}
		if !validName(name) {
			return nil, "", corrupt("a file named %.64q", name)
		}
		f := found{
			name: name, dir: attributes&attrDirectory != 0, modTime: timeOf(e),
			first: uint32(binary.LittleEndian.Uint16(e[dirClusterLow:])), size: int64(binary.LittleEndian.Uint32(e[dirSize:])),
		}
		if wide {
			f.first |= uint32(binary.LittleEndian.Uint16(e[dirClusterHigh:])) << 16
		}
		files = append(files, f)
	}
	return files, label, nil
}

// longName gathers the parts of a long name. One that is not whole is none.
type longName struct {
	parts    [][]byte // in the order of the directory
	left     int      // parts that are to come
	checksum byte
}

func (l *longName) add(e []byte) {
	order := int(e[longOrder])
	switch {
	case order&longLast != 0:
		*l = longName{left: order &^ longLast, checksum: e[longChecksum]}
	case l.left == 0 || order != l.left || e[longChecksum] != l.checksum:
		*l = longName{}
		return
	}
	if l.left == 0 || l.left > maxLongParts || e[longType] != 0 {
		*l = longName{}
		return
	}
	l.parts = append(l.parts, e)
	l.left--
}

// of returns the name of a file's entry: the long one where it belongs to it.
func (l *longName) of(e []byte) string {
	if len(l.parts) == 0 || l.left != 0 || l.checksum != checksum(e[:11]) {
		return shortName(e)
	}
	var chars []uint16
	for _, part := range slices.Backward(l.parts) {
		for _, field := range [][]byte{part[1:11], part[14:26], part[28:32]} {
			for ; len(field) > 0; field = field[2:] {
				c := binary.LittleEndian.Uint16(field)
				if c == 0 {
					return string(utf16.Decode(chars))
				}
				chars = append(chars, c)
			}
		}
	}
	return string(utf16.Decode(chars))
}

// checksum is what ties the parts of a long name to the short one.
func checksum(short []byte) (sum byte) {
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// shortName reads a name of eight characters and three.
func shortName(e []byte) string {
	field := slices.Clone(e[:11])
	if field[0] == entryE5 {
		field[0] = 0xE5
	}
	name, extension := strings.TrimRight(shortText(field[:8]), " "), strings.TrimRight(shortText(field[8:]), " ")
	if e[dirLowerCase]&8 != 0 {
		name = strings.ToLower(name)
	}
	if e[dirLowerCase]&16 != 0 {
		extension = strings.ToLower(extension)
	}
	if extension == "" {
		return name
	}
	return name + "." + extension
}

// shortText reads characters of a code page that nothing names: those of ASCII, and
// one for each other byte.
func shortText(field []byte) string {
	var b strings.Builder
	for _, c := range field {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// validName says whether a name is one that the format allows.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || strings.ContainsRune(`"*/:<>?\|`, c) })
}

// timeOf reads when a file was written. FAT knows no time zones.
func timeOf(e []byte) time.Time {
	clock, day := int(binary.LittleEndian.Uint16(e[dirTime:])), int(binary.LittleEndian.Uint16(e[dirDate:]))
	if day == 0 {
		return time.Unix(0, 0).UTC()
	}
	return time.Date(1980+day>>9, time.Month(day>>5&15), day&31, clock>>11, clock>>5&63, clock&31*2, 0, time.UTC)
}
