// Package fattest makes FAT volumes for tests, without any program.
package fattest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// Serial is the serial number of every volume, as fstab has it.
const Serial = "1A2B-3C4D"

const (
	sector   = 512
	reserved = 32
	rootSize = 512 * 32 // of FAT12 and FAT16
)

// volume is one that grows.
type volume struct {
	bits  int
	image []byte
	table int // offset
	root  int
	data  int
	next  uint32 // cluster
}

// Make writes a volume with files, by their paths, to a file and returns its path.
// bits are 12, 16 or 32; clusters are sectors.
func Make(tb testing.TB, bits int, size int, files map[string]string) string {
	tb.Helper()
	out := filepath.Join(tb.TempDir(), "fat.img")
	if err := os.WriteFile(out, Image(bits, size, files), 0o600); err != nil {
		tb.Fatal(err)
	}
	return out
}

// Image is what Make writes.
func Image(bits int, size int, files map[string]string) []byte {
	v := &volume{bits: bits, image: make([]byte, size), next: 2, table: reserved * sector}
	tableSectors := (size/sector*bits/8 + sector) / sector
	v.root = v.table + tableSectors*sector
	v.data = v.root
	b := v.image
	copy(b, "\xeb\x3c\x90fattest ")
	binary.LittleEndian.PutUint16(b[11:], sector)
	b[13], b[16], b[21], b[510], b[511] = 1, 1, 0xF8, 0x55, 0xAA
	binary.LittleEndian.PutUint16(b[14:], reserved)
	binary.LittleEndian.PutUint32(b[32:], uint32(size/sector))
	extended := 38
	if bits == 32 {
		extended = 66
		binary.LittleEndian.PutUint32(b[36:], uint32(tableSectors))
	} else {
		v.data += rootSize
		binary.LittleEndian.PutUint16(b[17:], rootSize/32)
		binary.LittleEndian.PutUint16(b[22:], uint16(tableSectors))
	}
	b[extended] = 0x29
	binary.LittleEndian.PutUint32(b[extended+1:], 0x1A2B3C4D)
	copy(b[extended+5:], fmt.Sprintf("%-11s%-8s", "BOOT", fmt.Sprintf("FAT%d", bits)))
	v.link(0, 0x0FFFFFF8)
	v.link(1, 0x0FFFFFFF)
	root := v.dir(files, ".", 0)
	if bits == 32 {
		binary.LittleEndian.PutUint32(b[44:], v.store(root))
	} else {
		copy(b[v.root:v.data], root)
	}
	return b
}

// dir makes the entries of a directory, and stores all that is below it.
func (v *volume) dir(files map[string]string, at string, parent uint32) (data []byte) {
	below := map[string]bool{}
	for name := range files {
		for ; name != "."; name = path.Dir(name) {
			if path.Dir(name) == at {
				below[path.Base(name)] = true
			}
		}
	}
	for i, name := range slices.Sorted(maps.Keys(below)) {
		content, isFile := files[path.Join(at, name)]
		attributes, first, size := byte(0x20), uint32(0), len(content)
		switch {
		case !isFile:
			attributes, first = 0x10, v.store(append(Entry(".          ", 0x10, 0, 0), append(Entry("..         ", 0x10, parent, 0), v.dir(files, path.Join(at, name), 0)...)...))
		case size > 0:
			first = v.store([]byte(content))
		}
		short := fmt.Sprintf("F%07dTXT", i)
		data = append(data, Long(name, short)...)
		data = append(data, Entry(short, attributes, first, size)...)
	}
	return data
}

// Entry is a directory entry with a name of eleven characters.
func Entry(short string, attributes byte, first uint32, size int) []byte {
	e := make([]byte, 32)
	copy(e, short)
	e[11] = attributes
	binary.LittleEndian.PutUint16(e[20:], uint16(first>>16))
	binary.LittleEndian.PutUint16(e[22:], 12<<11|34<<5|28)
	binary.LittleEndian.PutUint16(e[24:], 45<<9|6<<5|7) // 2025-06-07 12:34:56
	binary.LittleEndian.PutUint16(e[26:], uint16(first))
	binary.LittleEndian.PutUint32(e[28:], uint32(size))
	return e
}

// Long is the parts of a long name for a short one.
func Long(name, short string) (data []byte) {
	var sum byte
	for _, c := range []byte(short) {
		sum = sum>>1 | sum<<7
		sum += c
	}
	chars := utf16.Encode([]rune(name))
	if len(chars)%13 != 0 {
		chars = append(chars, 0)
	}
	for len(chars)%13 != 0 {
		chars = append(chars, 0xFFFF)
	}
	for part := len(chars) / 13; part > 0; part-- {
		e := make([]byte, 32)
		if e[0] = byte(part); part == len(chars)/13 {
			e[0] |= 0x40
		}
		e[11], e[13] = 0x0F, sum
		for i, c := range chars[(part-1)*13 : part*13] {
			binary.LittleEndian.PutUint16(e[[]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}[i]:], c)
		}
		data = append(data, e...)
	}
	return data
}

// store puts bytes into clusters of their own and returns the first.
func (v *volume) store(content []byte) uint32 {
	first := v.next
	count := max(1, (len(content)+sector-1)/sector)
	copy(v.image[v.data+int(first-2)*sector:], content)
	for i := range uint32(count) {
		v.link(first+i, first+i+1)
	}
	v.link(first+uint32(count)-1, 0x0FFFFFFF)
	v.next += uint32(count)
	return first
}

func (v *volume) link(cluster, next uint32) { Link(v.image, v.bits, cluster, next) }

// Link sets what the table of an image has for a cluster.
func Link(image []byte, bits int, cluster, next uint32) {
	entries := image[reserved*sector:]
	switch bits {
	case 12:
		at := cluster + cluster/2
		if cluster&1 != 0 {
			entries[at] = entries[at]&0xF | byte(next<<4)
			entries[at+1] = byte(next >> 4)
		} else {
			entries[at] = byte(next)
			entries[at+1] = entries[at+1]&0xF0 | byte(next>>8)&0xF
		}
	case 16:
		binary.LittleEndian.PutUint16(entries[2*cluster:], uint16(next))
	default:
		binary.LittleEndian.PutUint32(entries[4*cluster:], next)
	}
}

// Sizes are volumes that each kind is told by: FAT12 has fewer than 4085 clusters.
func Sizes() map[int]int { return map[int]int{12: 1 << 20, 16: 8 << 20, 32: 4 << 20} }

// Names that programs trip over.
func Names() []string {
	return []string{"a", "UPPER", "with space.conf", strings.Repeat("long", 60), "exactly-13.cc", "ünï-cødé", "..a", "smile😀"}
}
