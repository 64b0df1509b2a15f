package ext4_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// plain makes a file system of 16 MiB without checksums, in which debugfs has run
// the commands.
func plain(t *testing.T, options []string, commands ...string) string {
	t.Helper()
	image := rootfstest.Make(t, 16, "", append([]string{"-t", "ext4", "-O", "^metadata_csum,^has_journal"}, options...)...)
	rootfstest.Debugfs(t, image, commands...)
	return image
}

// bytesAt is what to write where.
type bytesAt map[int]string

func u16(v uint16) string { return string(binary.LittleEndian.AppendUint16(nil, v)) }
func u32(v uint32) string { return string(binary.LittleEndian.AppendUint32(nil, v)) }

// changed opens a copy of an image with other bytes.
func changed(t *testing.T, image string, with bytesAt) *ext4.FS {
	t.Helper()
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for at, b := range with {
		copy(data[at:], b)
	}
	volume, err := ext4.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return volume
}

// inodeAt is where in the image an inode is.
func inodeAt(t *testing.T, image, path string, blockSize int) int {
	t.Helper()
	return ask(t, image, "imap "+path, `located at block (\d+)`, 10)*blockSize + askOffset(t, image, path)
}

// corruptWith fails the test unless the error is one of corruption with the words.
func corruptWith(t *testing.T, err error, words string) {
	t.Helper()
	if !errors.Is(err, rootfs.ErrCorrupt) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %q", err, words)
	}
}

func TestHostileDirectories(t *testing.T) {
	image := plain(t, []string{"-b", "1024"}, "mkdir d", "write hostile_test.go d/a")
	entry := askNumber(t, image, "bmap /d 0")*1024 + 24 // behind "." and ".."
	for words, with := range map[string]bytesAt{
		"is cut off":              {entry + 4: u16(1024 - 24 - 4)},
		"has length 65535":        {entry + 4: "\xff\xff"},
		"16777215 does not exist": {entry: u32(0xffffff), entry + 7: "\x08"},
	} {
		_, err := changed(t, image, with).ReadDir("d")
		corruptWith(t, err, words)
	}
	list, err := changed(t, image, bytesAt{entry + 7: "\x08"}).ReadDir("d")
	if err != nil || len(list) != 1 || !list[0].Type().IsRegular() {
		t.Errorf("an entry of unknown type: %v, %v", list, err)
	}
}

// TestDirectoryBlockOf64KiB has one entry in a block, whose length has no room in
// 16 bits.
func TestDirectoryBlockOf64KiB(t *testing.T) {
	image := plain(t, []string{"-b", "65536"}, "mkdir d")
	at := askNumber(t, image, "bmap /d 0") * 65536
	for _, length := range []string{"\x00\x00", "\xff\xff"} {
		if list, err := changed(t, image, bytesAt{at + 4: length}).ReadDir("d"); err != nil || len(list) != 0 {
			t.Errorf("%q: %v, %v", length, list, err)
		}
	}
}

// TestHugeDirectory names one block of entries over and over.
func TestHugeDirectory(t *testing.T) {
	image := plain(t, []string{"-b", "4096", "-O", "^extent,^64bit"}, "mkdir d", "write /dev/null f", "fallocate f 0 2")
	block := func(i string) int { return askNumber(t, image, "bmap /f "+i) }
	entries, single, double := block("0"), block("1"), block("2")
	at := inodeAt(t, image, "/d", 4096)
	full := strings.Repeat(u32(12)+u16(12)+"\x01\x01x\x00\x00\x00", 4096/12)
	full = full[:len(full)-8] + u16(16) + full[len(full)-6:] + "\x00\x00\x00\x00"
	_, err := changed(t, image, bytesAt{
		entries * 4096: full, single * 4096: strings.Repeat(u32(uint32(entries)), 1024), double * 4096: strings.Repeat(u32(uint32(single)), 1024),
		at + 4: u32(4096 * (12 + 4*1024)), at + 0x28: strings.Repeat(u32(uint32(entries)), 12) + u32(uint32(single)) + u32(uint32(double)),
	}).ReadDir("d")
	corruptWith(t, err, "more than 1048576 entries")
}

// TestLongWay goes nine times through a directory of 64 MiB.
func TestLongWay(t *testing.T) {
	image := plain(t, nil, "mkdir d", "mkdir d/d", "sif d size 67108864", "symlink short d"+strings.Repeat("/d/..", 6)+"/d", "symlink long d"+strings.Repeat("/d/..", 8)+"/d")
	volume := changed(t, image, nil)
	if _, err := volume.Stat("short"); err != nil {
		t.Error(err)
	}
	_, err := volume.Stat("long")
	corruptWith(t, err, "bytes of directories")
	_, err = volume.Stat("d/missing")
	corruptWith(t, err, "has a hole")
}

// TestInodeNeverWritten names one in a group whose inodes nobody has written.
func TestInodeNeverWritten(t *testing.T) {
	image := plain(t, []string{"-b", "1024", "-O", "uninit_bg"}, "mkdir d", "write hostile_test.go d/a")
	perGroup := ask(t, image, "stats", `Inodes per group: +(\d+)`, 10)
	_, err := changed(t, image, bytesAt{askNumber(t, image, "bmap /d 0")*1024 + 24: u32(uint32(perGroup + 5))}).Stat("d/a")
	corruptWith(t, err, "was never written")
}

func TestHostileExtents(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	b := make([]byte, 9*1024)
	for i := 0; i < len(b); i += 2048 {
		copy(b[i:], "data")
	}
	if err := os.WriteFile(source, b, 0o600); err != nil {
		t.Fatal(err)
	}
	image := plain(t, []string{"-b", "1024"}, "write "+source+" tree", "write hostile_test.go root")
	root, tree := inodeAt(t, image, "/root", 1024)+0x28+12, inodeAt(t, image, "/tree", 1024)+0x28+12
	leaf := 1024 * ask(t, image, "stat /tree", `\(ETB\d\):(\d+)`, 10)
	for words, with := range map[string]bytesAt{
		"root overlap":             {root: u32(1<<32 - 1)},
		"root has an empty extent": {root + 4: u16(0)},
		"tree has no magic number": {leaf: u16(0)},
	} {
		name, words, _ := strings.Cut(words, " ")
		_, err := fs.ReadFile(changed(t, image, with), name)
		corruptWith(t, err, words)
	}
	// An index that begins behind a hole.
	f, err := changed(t, image, bytesAt{tree: u32(2), leaf + 12: u32(2) + u16(0x8001)}).Open("tree")
	if err != nil {
		t.Fatal(err)
	}
	got := bytes.Repeat([]byte("x"), 2048)
	if _, err := f.(io.ReaderAt).ReadAt(got, 0); err != nil || !bytes.Equal(got, make([]byte, 2048)) {
		t.Errorf("read %.20q, %v", got, err)
	}
}

// TestBlocksBehindTheMap reads where no pointer of a block map leads.
func TestBlocksBehindTheMap(t *testing.T) {
	f, err := changed(t, plain(t, []string{"-b", "1024", "-O", "^extent,^64bit"}, "write hostile_test.go f", "sif f size 0x4000000000"), nil).Open("f")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1)
	const most = (12 + 256 + 256*256 + 256*256*256) * 1024
	if _, err := f.(io.ReaderAt).ReadAt(p, most-1); err != nil || p[0] != 0 {
		t.Errorf("a hole: %q, %v", p, err)
	}
	_, err = f.(io.ReaderAt).ReadAt(p, most)
	corruptWith(t, err, "too many blocks")
}

// unreadable is a disk with one block that cannot be read.
type unreadable struct {
	*bytes.Reader
	at int64
}

func (u unreadable) ReadAt(p []byte, off int64) (int, error) {
	if off <= u.at && u.at < off+int64(len(p)) {
		return 0, io.ErrNoProgress
	}
	return u.Reader.ReadAt(p, off)
}

func TestUnreadableBlocks(t *testing.T) {
	image := plain(t, []string{"-b", "1024"}, "write hostile_test.go f")
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for words, at := range map[string]int{"read inode 12: read block": inodeAt(t, image, "/f", 1024), "read data of inode 12": askNumber(t, image, "bmap /f 3") * 1024} {
		volume, err := ext4.Open(unreadable{bytes.NewReader(data), int64(at)}, int64(len(data)))
		if err == nil {
			_, err = fs.ReadFile(volume, "f")
		}
		if !errors.Is(err, io.ErrNoProgress) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func TestMisuseOfFiles(t *testing.T) {
	volume := changed(t, plain(t, nil, "write hostile_test.go f"), nil)
	open := func(name string) *ext4.File {
		f, err := volume.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		return f.(*ext4.File)
	}
	if _, err := open("lost+found").ReadAt(make([]byte, 1), 0); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := open("f").ReadAt(make([]byte, 1), -1); err == nil || !strings.Contains(err.Error(), "negative offset -1") {
		t.Errorf("in front of the file: %v", err)
	}
	for offset, whence := range map[int64]int{0: 3, -1: io.SeekStart, -2: io.SeekCurrent} {
		if _, err := open("f").Seek(offset, whence); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("seek %d from %d: %v", offset, whence, err)
		}
	}
}

// TestUsedIsLeft stops asking after the first range, as a loop may.
func TestUsedIsLeft(t *testing.T) {
	volume, all := changed(t, plain(t, []string{"-b", "1024"}), nil), 0
	for _, err := range volume.Used() {
		if err != nil {
			t.Fatal(err)
		}
		all++
	}
	for r, err := range volume.Used() {
		if err != nil || r.Length == 0 {
			t.Errorf("%+v, %v", r, err)
		}
		break
	}
	if all < 2 {
		t.Errorf("%d ranges", all)
	}
}
