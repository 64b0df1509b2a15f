package embed

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// hostileDisk returns a disk whose partition holds a good bundle that a host has
// then changed: files before mke2fs runs, the file system by debugfs, or its bytes.
func hostileDisk(tb testing.TB, good []byte, files func(tree string), commands []string, spoil func(fs []byte)) *memory {
	tb.Helper()
	tree := tb.TempDir()
	a := filepath.Join(tree, SlotA)
	for _, dir := range []string{a, filepath.Join(tree, SlotB)} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := bundle.Extract(bytes.NewReader(good), a, identity()); err != nil {
		tb.Fatal(err)
	}
	if err := os.Symlink(SlotA, filepath.Join(tree, link)); err != nil {
		tb.Fatal(err)
	}
	if files != nil {
		files(tree)
	}
	image := rootfstest.Make(tb, 10, tree, "-t", "ext4", "-L", label, "-O", "^has_journal,^metadata_csum")
	if len(commands) > 0 {
		rootfstest.Debugfs(tb, image, commands...)
	}
	fs, err := os.ReadFile(image)
	if err != nil {
		tb.Fatal(err)
	}
	if spoil != nil {
		spoil(fs)
	}
	return withPartition(tb, fs)
}

// withPartition puts a file system behind the root of a blank disk.
func withPartition(tb testing.TB, fs []byte) *memory {
	tb.Helper()
	m := blankDisk(tb)
	offset := m.Size()
	m.b = append(append(m.b, fs...), make([]byte, 1<<20)...)
	table, err := gpt.Read(m, m.Size(), 512)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := point(table, nil, area{offset, int64(len(fs)), m.Size()}, gpt.GUID{9}); err != nil {
		tb.Fatal(err)
	}
	if err := table.Write(m, m.Size()); err != nil {
		tb.Fatal(err)
	}
	copy(m.b, "boot code")
	return m
}

// launchable reads the active bundle as launch and export do.
func launchable(m *memory) (string, error) {
	a, err := read(m)
	if err != nil {
		return "", err
	}
	s, err := a.Active()
	if err != nil {
		return "", err
	}
	return cmdlineOf(s)
}

func TestHostilePartitions(t *testing.T) {
	one, two := release(t, "one"), release(t, "two")
	if line, err := launchable(hostileDisk(t, one, nil, nil, nil)); line != "one" || err != nil {
		t.Fatalf("unchanged: %q, %v", line, err)
	}
	replace := func(name string, with func(path string) error) func(string) {
		return func(tree string) {
			path := filepath.Join(tree, filepath.FromSlash(name))
			if err := errors.Join(os.RemoveAll(path), with(path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	toShadow := func(path string) error { return os.Symlink("/etc/shadow", path) }
	write := func(data string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(data), 0o600) }
	}
	for name, tc := range map[string]struct {
		files    func(string)
		commands []string
		spoil    func([]byte)
		want     error
		text     string
	}{
		"kernel is a link":        {replace("A/vmlinuz", toShadow), nil, nil, ErrArtifacts, `/A/"vmlinuz" is a symbolic link`},
		"slot is a link":          {replace("A", toShadow), nil, nil, ErrArtifacts, "/A is a symbolic link"},
		"variants is a link":      {replace("A/variants", toShadow), nil, nil, ErrArtifacts, "is a symbolic link"},
		"active leads out":        {replace(link, toShadow), nil, nil, ErrArtifacts, `/artifacts leads to "/etc/shadow"`},
		"active leads up":         {replace(link, func(p string) error { return os.Symlink("../A", p) }), nil, nil, ErrArtifacts, `leads to "../A"`},
		"active is a file":        {replace(link, write("A")), nil, nil, ErrArtifacts, "want a symbolic link"},
		"active is missing":       {replace(link, func(string) error { return nil }), nil, nil, ErrArtifacts, "has no link /artifacts"},
		"active is empty":         {replace(link, func(p string) error { return os.Symlink("B", p) }), nil, nil, ErrArtifacts, "slot B is empty"},
		"block device":            {nil, []string{"rm A/vmlinuz", "cd A", "mknod vmlinuz b 8 0"}, nil, ErrArtifacts, "is a device"},
		"character device":        {nil, []string{"rm A/initrd.img", "cd A", "mknod initrd.img c 1 5"}, nil, ErrArtifacts, "is a device"},
		"pipe":                    {nil, []string{"rm A/initrd.img", "cd A", "mknod initrd.img p"}, nil, ErrArtifacts, "is a pipe"},
		"10 GiB kernel":           {replace("A/vmlinuz", func(p string) error { return errors.Join(write("")(p), os.Truncate(p, 10<<30)) }), nil, nil, ErrArtifacts, "has 10737418240 bytes"},
		"3 GiB kernel":            {replace("A/vmlinuz", func(p string) error { return errors.Join(write("")(p), os.Truncate(p, 3<<30)) }), nil, nil, ErrArtifacts, "its manifest says"},
		"huge manifest":           {replace("A/manifest.json", func(p string) error { return errors.Join(write("")(p), os.Truncate(p, 2<<20)) }), nil, nil, ErrArtifacts, "at most 1048576"},
		"no manifest":             {replace("A/manifest.json", func(string) error { return nil }), nil, nil, ErrArtifacts, "manifest.json is missing"},
		"no signature":            {replace("A/manifest.json.sig", func(string) error { return nil }), nil, nil, bundle.ErrUnsigned, "slot A: "},
		"other manifest":          {replace("A/manifest.json", write("{}")), nil, nil, bundle.ErrSignature, ""},
		"no kernel":               {replace("A/vmlinuz", func(string) error { return nil }), nil, nil, ErrArtifacts, "vmlinuz is missing"},
		"other command line":      {replace("A/kernel-params.txt", write("two")), nil, nil, bundle.ErrBundle, "kernel-params.txt"},
		"one more file":           {replace("A/extra", write("")), nil, nil, ErrArtifacts, "not in the manifest"},
		"directories in another":  {replace("A/x/y", func(p string) error { return os.MkdirAll(p, 0o700) }), nil, nil, ErrArtifacts, "is a directory"},
		"a name that leads out":   {replace("A/UP-ETC", write("")), nil, rename("UP-ETC", "../etc"), ErrArtifacts, "has the name"},
		"slot is a file":          {replace("B", write("")), nil, nil, ErrArtifacts, "/B is a file"},
		"superblock says nothing": {nil, nil, func(fs []byte) { clear(fs[1024:2048]) }, ErrArtifacts, "no ext4 superblock"},
		"root is gone":            {nil, []string{"clri <2>"}, nil, ErrArtifacts, ""},
		"journal to be replayed":  {nil, []string{"set_super_value feature_incompat 0x2c6"}, nil, ErrArtifacts, ""},
		"blocks outside":          {nil, []string{"set_inode_field A/vmlinuz flags 0", "set_inode_field A/vmlinuz block[0] 0x7fffffff"}, nil, ErrArtifacts, ""},
	} {
		m := hostileDisk(t, one, tc.files, tc.commands, tc.spoil)
		line, err := launchable(m)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		// A later embed mends it, whatever it is.
		start, ops := recorded(t, m, two, false)
		for _, o := range ops {
			o.apply(start)
		}
		if line, err := launchable(start); line != "two" || err != nil {
			t.Errorf("%s, embedded again: %q, %v", name, line, err)
		}
	}
}

// rename changes a name of six bytes in the directories of a file system.
func rename(from, to string) func([]byte) {
	return func(fs []byte) {
		if bytes.Count(fs, []byte(from)) == 0 {
			panic("no such name")
		}
		copy(fs, bytes.ReplaceAll(fs, []byte(from), []byte(to)))
	}
}

// TestTwoPartitions: nobody can tell which is meant.
func TestTwoPartitions(t *testing.T) {
	m := hostileDisk(t, release(t, "one"), nil, nil, nil)
	a, err := read(m)
	if err != nil {
		t.Fatal(err)
	}
	table, err := gpt.Read(m, m.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	twin := m.Size()
	m.b = append(append(m.b, m.b[a.Offset:a.Offset+a.Size]...), make([]byte, 1<<20)...)
	if _, err := point(table, nil, area{twin, a.Size, m.Size()}, gpt.GUID{8}); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(m, m.Size()); err != nil {
		t.Fatal(err)
	}
	if _, err := read(m); !errors.Is(err, ErrArtifacts) || !strings.Contains(err.Error(), "partitions 2 and 3") {
		t.Errorf("%v", err)
	}
}

// TestTruncatedDisk reads an image that ends early.
func TestTruncatedDisk(t *testing.T) {
	whole := hostileDisk(t, release(t, "one"), nil, nil, nil)
	for _, size := range []int{0, 512, 1 << 20, 8 << 20, 8<<20 + 2048, 9 << 20, 17 << 20} {
		m := &memory{bytes.Clone(whole.b[:size])}
		if line, err := launchable(m); err == nil {
			t.Errorf("%d bytes: launches %q", size, line)
		}
	}
}

// FuzzRead changes bytes of the partition. Whatever is read, only what was signed
// comes out.
func FuzzRead(f *testing.F) {
	good := hostileDisk(f, release(f, "one"), nil, nil, nil)
	a, err := read(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(1024), []byte{0})
	f.Add(uint32(4096), bytes.Repeat([]byte{0xff}, 64))
	f.Add(uint32(1<<16), []byte("../../etc/shadow"))
	f.Fuzz(func(t *testing.T, at uint32, with []byte) {
		m := &memory{bytes.Clone(good.b)}
		fs := m.b[a.Offset:][:a.Size]
		copy(fs[int64(at)%a.Size:], with)
		if line, err := launchable(m); err == nil && line != "one" {
			t.Errorf("launches %q", line)
		}
	})
}
