package fat_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/fat"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/fat/fattest"
)

// tree is files of about every kind.
func tree() map[string]string {
	files := map[string]string{
		"loader/entries/one.conf": "title One\n", "loader/loader.conf": "default one*\n", "empty": "", "EFI/Linux/a.efi": "MZ",
		"sizes/511": strings.Repeat("x", 511), "sizes/512": strings.Repeat("y", 512), "sizes/513": strings.Repeat("z", 513), "sizes/large": strings.Repeat("0123456789", 5000),
	}
	for i, name := range fattest.Names() {
		files["names/"+name] = strings.Repeat("n", i)
	}
	return files
}

func open(t *testing.T, image []byte) *fat.FS {
	t.Helper()
	volume, err := fat.Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	return volume
}

func TestRead(t *testing.T) {
	for bits, size := range fattest.Sizes() {
		files := tree()
		volume := open(t, fattest.Image(bits, size, files))
		var names []string
		for name, content := range files {
			names = append(names, name)
			if got, err := fs.ReadFile(volume, name); err != nil || string(got) != content {
				t.Errorf("FAT%d: %s: %.20q, %v", bits, name, got, err)
			}
		}
		if err := fstest.TestFS(volume, names...); err != nil {
			t.Errorf("FAT%d: %v", bits, err)
		}
		if got, err := fs.ReadFile(volume, "efi/LINUX/A.EFI"); err != nil || string(got) != "MZ" {
			t.Errorf("FAT%d: in other case: %q, %v", bits, got, err)
		}
		if volume.UUID() != fattest.Serial || volume.Label() != "BOOT" || volume.Type() != rootfs.FAT || volume.Size() != int64(size) {
			t.Errorf("FAT%d: %s, %q, %s, %d", bits, volume.UUID(), volume.Label(), volume.Type(), volume.Size())
		}
		info, err := volume.Lstat("loader/loader.conf")
		if err != nil || !info.ModTime().Equal(time.Date(2025, 6, 7, 12, 34, 56, 0, time.UTC)) {
			t.Errorf("FAT%d: %v, %v", bits, info, err)
		}
		var used int64
		for r, err := range volume.Used() {
			if used += r.Length; err != nil {
				t.Errorf("FAT%d: %v", bits, err)
			}
		}
		if used < 50000 || used > int64(size) {
			t.Errorf("FAT%d: %d bytes are used", bits, used)
		}
		moved, err := rootfs.CopyTree(volume, ".", "boot")
		if err != nil || !slices.ContainsFunc(moved, func(c rootfs.Change) bool { return c.Path == "boot/loader/entries/one.conf" && c.Mode == 0o644 }) {
			t.Errorf("FAT%d: to move: %v, %v", bits, moved, err)
		}
	}
}

// TestVolumesOfOtherPrograms reads what mkfs.vfat and mtools write.
func TestVolumesOfOtherPrograms(t *testing.T) {
	content := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(content, bytes.Repeat([]byte("kernel "), 40000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"-F 12 4096", "-F 16 65536", "-F 32 65536", "-F 32 -s 8 300000", "-F 16 -S 4096 65536"} {
		image := filepath.Join(t.TempDir(), "image")
		words := strings.Fields(args)
		kind := words[:len(words)-1]
		run(t, "mkfs.vfat", append(kind, "-n", "ESP", "-i", "1a2b3c4d", "-C", image, words[len(words)-1])...)
		run(t, "mmd", "-i", image, "::/EFI", "::/EFI/Linux", "::/loader")
		run(t, "mcopy", "-i", image, content, "::/EFI/Linux/debian-6.12.1+deb13-amd64.efi")
		run(t, "mcopy", "-i", image, content, "::/lower.txt")
		file, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		volume, err := fat.Open(file, info.Size())
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		for _, name := range []string{"EFI/Linux/debian-6.12.1+deb13-amd64.efi", "lower.txt"} {
			if got, err := fs.ReadFile(volume, name); err != nil || len(got) != 280000 || !bytes.HasSuffix(got, []byte("kernel ")) {
				t.Errorf("%s: %s: %d bytes, %v", args, name, len(got), err)
			}
		}
		if volume.UUID() != fattest.Serial || volume.Label() != "ESP" {
			t.Errorf("%s: %s %q", args, volume.UUID(), volume.Label())
		}
	}
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is missing: install dosfstools and mtools", program)
	} else if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}

// TestHostileVolumes has volumes that contradict themselves: each is refused before a
// file is read.
func TestHostileVolumes(t *testing.T) {
	const bits, size = 16, 8 << 20
	// Clusters, in the order of the names: the file large has 2 to 4, dir 6, its file 5.
	files := map[string]string{"a-large": strings.Repeat("x", 1300), "b-dir/file": "content"}
	rootAt := rootOf(fattest.Image(bits, size, files))
	for name, spoil := range map[string]func(image []byte){
		"a chain in a circle":            func(b []byte) { fattest.Link(b, bits, 4, 2) },
		"a cluster that is its own next": func(b []byte) { fattest.Link(b, bits, 3, 3) },
		"a directory in a circle":        func(b []byte) { fattest.Link(b, bits, 6, 6) },
		"two files that share a cluster": func(b []byte) { fattest.Link(b, bits, 5, 3) },
		"a chain that leaves the volume": func(b []byte) { fattest.Link(b, bits, 3, 60000) },
		"a chain into free clusters":     func(b []byte) { fattest.Link(b, bits, 3, 0) },
		"a chain into a bad cluster":     func(b []byte) { fattest.Link(b, bits, 3, 0xFFF7) },
		"a size beyond the chain":        func(b []byte) { fattest.Link(b, bits, 2, 0xFFFF) },
		"a name with a slash":            func(b []byte) { copy(b[rootAt:], fattest.Entry("A/B     TXT", 0x20, 0, 0)) },
		"the same name twice": func(b []byte) {
			copy(b[rootAt:], append(fattest.Entry("SAME    TXT", 0x20, 0, 0), fattest.Entry("SAME    TXT", 0x20, 0, 0)...))
		},
		"a directory that is its own child": func(b []byte) { copy(b[dataOf(b)+4*512+64:], fattest.Entry("UP         ", 0x10, 6, 0)) },
		"a directory without clusters":      func(b []byte) { copy(b[rootAt:], fattest.Entry("DIR        ", 0x10, 0, 0)) },
		"no mark":                           func(b []byte) { b[510] = 0 },
		"sectors of no size":                func(b []byte) { b[11], b[12] = 0, 0 },
		"clusters of no size":               func(b []byte) { b[13] = 0 },
		"clusters of three sectors":         func(b []byte) { b[13] = 3 },
		"no table":                          func(b []byte) { b[16] = 0 },
		"a table that is too small":         func(b []byte) { b[22], b[23] = 1, 0 },
		"more bytes than the partition":     func(b []byte) { copy(b[32:], "\xff\xff\xff\xff") },
		"nothing but a table":               func(b []byte) { b[22], b[23] = 0xFF, 0xFF },
	} {
		image := fattest.Image(bits, size, files)
		if _, err := fat.Open(bytes.NewReader(image), size); err != nil {
			t.Fatal(err)
		}
		spoil(image)
		if _, err := fat.Open(bytes.NewReader(image), size); !errors.Is(err, rootfs.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rootOf is where the root directory of an image of fattest lies, and dataOf where
// its clusters begin.
func rootOf(b []byte) int { return (32 + int(b[22]) + int(b[23])<<8) * 512 }
func dataOf(b []byte) int { return rootOf(b) + 512*32 }

// TestBounds has volumes that are sound and larger than what is read.
func TestBounds(t *testing.T) {
	deep := map[string]string{strings.Repeat("d/", 63) + "file": "x"}
	if _, err := fat.Open(bytes.NewReader(fattest.Image(32, 4<<20, deep)), 4<<20); err != nil {
		t.Errorf("64 levels: %v", err)
	}
	deep = map[string]string{strings.Repeat("d/", 64) + "file": "x"}
	if _, err := fat.Open(bytes.NewReader(fattest.Image(32, 4<<20, deep)), 4<<20); !errors.Is(err, rootfs.ErrUnsupported) {
		t.Errorf("65 levels: %v", err)
	}
	image := fattest.Image(32, 4<<20, nil)
	copy(image[32:], "\xff\xff\xff\x00") // 8 GiB of clusters of 512 bytes
	if _, err := fat.Open(bytes.NewReader(image), 1<<40); !errors.Is(err, rootfs.ErrUnsupported) {
		t.Errorf("a large volume: %v", err)
	}
	image[42] = 1
	if _, err := fat.Open(bytes.NewReader(image), 4<<20); err == nil {
		t.Error("another version is taken")
	}
	if _, err := fat.Open(bytes.NewReader(nil), 0); !errors.Is(err, io.EOF) {
		t.Errorf("an empty volume: %v", err)
	}
}

// TestBrokenLongNames has parts of long names that do not belong to the file behind
// them: it has its short name.
func TestBrokenLongNames(t *testing.T) {
	const size = 8 << 20
	short := "LINUX   CON"
	whole := fattest.Long("a name of two parts.conf", short)
	spoiled := slices.Clone(whole)
	spoiled[13]++
	for name, parts := range map[string][]byte{
		"a part is missing": whole[32:], "the last is missing": whole[:32], "another checksum": spoiled,
		"for another name": fattest.Long("name", "OTHER   CON"), "out of order": append(slices.Clone(whole[32:]), whole[:32]...),
	} {
		image := fattest.Image(16, size, nil)
		copy(image[rootOf(image):], append(slices.Clone(parts), fattest.Entry(short, 0x20, 0, 0)...))
		if _, err := open(t, image).Stat("linux.con"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// mutate overwrites bytes of a copy: each change is four bytes of offset and two of
// value.
func mutate(image, changes []byte) []byte {
	image = bytes.Clone(image)
	for ; len(changes) >= 6; changes = changes[6:] {
		at := int(binary.LittleEndian.Uint32(changes) % uint32(len(image)-1))
		copy(image[at:], changes[4:6])
	}
	return image
}

func FuzzFAT(f *testing.F) {
	const size = 40 << 10
	kinds := []int{12, 16, 32}
	var images [][]byte
	for kind, bits := range kinds {
		image := fattest.Image(bits, size, map[string]string{"loader/entries/one.conf": "title One\n", "EFI/Linux/a.efi": strings.Repeat("x", 1200)})
		images = append(images, image)
		table := uint32(32 * 512)
		for _, offset := range []uint32{11, 13, 14, 16, 17, 19, 22, 32, 36, 40, 44, table + 3, table + 4, table + 8, table + 12, uint32(rootOf(image)), uint32(rootOf(image)) + 11, uint32(rootOf(image)) + 58} {
			for _, value := range []uint16{0, 2, 3, 0xFFFF} {
				f.Add(uint8(kind), binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint32(nil, offset), value))
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, changes []byte) {
		image := mutate(images[int(kind)%len(images)], changes)
		volume, err := fat.Open(bytes.NewReader(image), int64(len(image)))
		if err != nil {
			return
		}
		var all int64
		err = fs.WalkDir(volume, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := fs.ReadFile(volume, name)
			all += int64(len(content))
			return err
		})
		if err != nil {
			t.Errorf("a volume that was taken is not read: %v", err)
		}
		if all > int64(len(image)) {
			t.Errorf("files of %d bytes in %d", all, len(image))
		}
		ranges := 0
		for _, err := range volume.Used() {
			if ranges++; err != nil {
				t.Error(err)
			}
		}
		if ranges > len(image)/512+1 {
			t.Errorf("%d used ranges in %d bytes", ranges, len(image))
		}
	})
}
