package ext4_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// fuzzShapes are small images that mutations start from. Checksums would hide
// what is behind them, so most have none.
func fuzzShapes() [][]string {
	return [][]string{
		{"-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^has_journal", "-N", "64"},
		{"-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^has_journal,inline_data", "-N", "64"},
		{"-t", "ext2", "-b", "1024", "-I", "128", "-N", "64"},
		{"-t", "ext4", "-b", "1024", "-O", "metadata_csum,^has_journal", "-N", "64"},
		{"-t", "ext4", "-b", "1024", "-O", "bigalloc,meta_bg,^resize_inode,^metadata_csum,^has_journal", "-N", "64"},
	}
}

func fuzzImages(tb testing.TB) [][]byte {
	tb.Helper()
	var images [][]byte
	for _, args := range fuzzShapes() {
		image := rootfstest.Make(tb, 1, "", args...)
		rootfstest.Debugfs(tb, image, "mkdir a", "cd a", "mkdir b", "write fuzz_test.go file", "symlink link ../a/b/../file", "symlink long "+string(bytes.Repeat([]byte("../"), 40))+"a",
			"mknod null c 1 3", "ea_set file user.a value", "ea_set file user.b "+string(bytes.Repeat([]byte("v"), 300)), "ln file b/hard")
		data, err := os.ReadFile(image)
		if err != nil {
			tb.Fatal(err)
		}
		images = append(images, data)
	}
	return images
}

// mutate overwrites bytes of a copy: each change is four bytes of offset and
// two of value.
func mutate(image, changes []byte) []byte {
	image = bytes.Clone(image)
	for ; len(changes) >= 6; changes = changes[6:] {
		at := int(binary.LittleEndian.Uint32(changes) % uint32(len(image)-1))
		copy(image[at:], changes[4:6])
	}
	return image
}

func FuzzReader(f *testing.F) {
	images := fuzzImages(f)
	at := func(offset uint32, value uint16) []byte {
		return binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint32(nil, offset), value)
	}
	for shape := range images {
		f.Add(uint8(shape), []byte{})
		for _, offset := range []uint32{1024 + 0x14, 1024 + 0x18, 1024 + 0x20, 1024 + 0x28, 1024 + 0x58, 1024 + 0x60, 1024 + 0xFE, 1024 + 0x104, 1024 + 0x150, 2048, 2048 + 8, 2048 + 0x12} {
			f.Add(uint8(shape), at(offset, 0xFFFF))
			f.Add(uint8(shape), at(offset, 1))
		}
		// The root's inode, wherever descriptor 0 says that it is.
		table := binary.LittleEndian.Uint32(images[shape][2048+8:]) * 1024
		size := uint32(binary.LittleEndian.Uint16(images[shape][1024+0x58:]))
		for _, field := range []uint32{0, 4, 0x1A, 0x20, 0x22, 0x28, 0x2A, 0x2C, 0x2E, 0x34, 0x38, 0x3C, 0x68, 0x6C, 0x80, 0xA0, 0xA4} {
			for _, inode := range []uint32{1, 11, 12, 13, 14} {
				f.Add(uint8(shape), at(table+inode*size+field, 0x7FFF))
				f.Add(uint8(shape), at(table+inode*size+field, 2))
			}
		}
	}
	f.Fuzz(func(_ *testing.T, shape uint8, changes []byte) {
		readEverything(mutate(images[int(shape)%len(images)], changes))
	})
}

// readEverything asks for all there is, for a while; it must end and not panic.
func readEverything(image []byte) {
	volume, err := ext4.Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		return
	}
	ranges := 0
	for _, err := range volume.Used() {
		if ranges++; err != nil {
			break
		}
	}
	if ranges > len(image)/volume.BlockSize()+1 {
		panic("more used ranges than blocks")
	}
	left := 200
	//nolint:errcheck // errors are welcome
	fs.WalkDir(volume, ".", func(name string, _ fs.DirEntry, _ error) error {
		if left--; left < 0 {
			return fs.SkipAll
		}
		volume.Stat(name)
		volume.ReadLink(name)
		volume.Xattrs(name)
		if file, err := volume.Open(name); err == nil {
			n, err := io.CopyN(io.Discard, file, 1<<20)
			if err == nil && n != 1<<20 || errors.Is(err, io.ErrNoProgress) {
				panic("a read that neither goes on nor ends")
			}
		}
		return nil
	})
}
