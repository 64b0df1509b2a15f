package embed

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

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

// embedded returns a disk that holds a bundle.
func embedded(tb testing.TB, who string) *memory {
	tb.Helper()
	m := blankDisk(tb)
	put(tb, m, release(tb, who), false)
	return m
}

// put embeds a bundle into a disk in memory.
func put(tb testing.TB, m writable, data []byte, update bool) {
	tb.Helper()
	o := &Options{Config: Config{Update: update}, Reader: bytes.NewReader(data), Trust: trust()}
	in, err := o.open()
	if err != nil {
		tb.Fatal(err)
	}
	if err := in.check(); err != nil {
		tb.Fatal(err)
	}
	if _, err := (&embedding{Options: o, incoming: in}).run(tb.Context(), m); err != nil {
		tb.Fatal(err)
	}
}

// partition opens that of a disk for the host, which writes what it likes.
func partition(tb testing.TB, m writable) *slots.Partition {
	tb.Helper()
	p, _, err := openPartition(m)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// forged returns a disk whose active slot holds the files of a good bundle, changed.
func forged(tb testing.TB, good []byte, change func(fstest.MapFS)) *memory {
	tb.Helper()
	files := fstest.MapFS{}
	_, err := trust().Copy(bytes.NewReader(good), func(f bundle.ManifestEntry) (io.WriteCloser, error) {
		files[f.Name] = &fstest.MapFile{}
		return sink{writerTo{files[f.Name]}}, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	change(files)
	m := blankDisk(tb)
	if err := partition(tb, m).Write(slots.A, files); err != nil {
		tb.Fatal(err)
	}
	return m
}

type writerTo struct{ f *fstest.MapFile }

func (w writerTo) Write(p []byte) (int, error) {
	w.f.Data = append(w.f.Data, p...)
	return len(p), nil
}

// TestHostileBundles: files that nobody has signed, in slots that are well laid out.
func TestHostileBundles(t *testing.T) {
	one, two := release(t, "one"), release(t, "two")
	if line, err := launchable(forged(t, one, func(fstest.MapFS) {})); line != "one" || err != nil {
		t.Fatalf("unchanged: %q, %v", line, err)
	}
	set := func(name, data string) func(fstest.MapFS) {
		return func(files fstest.MapFS) { files[name] = &fstest.MapFile{Data: []byte(data)} }
	}
	without := func(name string) func(fstest.MapFS) { return func(files fstest.MapFS) { delete(files, name) } }
	for name, tc := range map[string]struct {
		change func(fstest.MapFS)
		want   error
		text   string
	}{
		"huge manifest":      {set("manifest.json", strings.Repeat(" ", 2<<20)), ErrArtifacts, "1048576 at most"},
		"no manifest":        {without("manifest.json"), ErrArtifacts, "manifest.json is missing"},
		"no signature":       {without("manifest.json.sig"), bundle.ErrUnsigned, "slot A: "},
		"other manifest":     {set("manifest.json", "{}"), bundle.ErrSignature, ""},
		"no kernel":          {without("vmlinuz"), ErrArtifacts, "vmlinuz is missing"},
		"longer kernel":      {set("vmlinuz", strings.Repeat("x", 1<<20)), ErrArtifacts, "its manifest says"},
		"other command line": {set("kernel-params.txt", "two"), bundle.ErrBundle, "kernel-params.txt"},
		"one more file":      {set("extra", ""), ErrArtifacts, "not in the manifest"},
		"nothing":            {func(files fstest.MapFS) { clear(files) }, ErrArtifacts, "slot A is empty"},
	} {
		m := forged(t, one, tc.change)
		line, err := launchable(m)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		put(t, m, two, false)
		if line, err := launchable(m); line != "two" || err != nil {
			t.Errorf("%s, embedded again: %q, %v", name, line, err)
		}
	}
}

// TestHostilePartitions: what was done to the file system itself is refused, and a later
// embed mends it, whatever it is, without touching anything else.
func TestHostilePartitions(t *testing.T) {
	two := release(t, "two")
	for name, commands := range map[string][]string{
		"kernel is a link":   {"rm A/vmlinuz", "symlink A/vmlinuz /etc/shadow"},
		"active leads out":   {"rm artifacts", "symlink artifacts /etc/shadow"},
		"active leads up":    {"rm artifacts", "symlink artifacts ../A"},
		"active is missing":  {"rm artifacts"},
		"no trial":           {"rm trial"},
		"block device":       {"rm A/vmlinuz", "cd A", "mknod vmlinuz b 8 0"},
		"pipe":               {"rm A/initrd.img", "cd A", "mknod initrd.img p"},
		"10 GiB kernel":      {"set_inode_field A/vmlinuz size 10737418240"},
		"blocks of the root": {"set_inode_field A/vmlinuz block[5] 0x0f00"},
		"blocks outside":     {"set_inode_field A/vmlinuz block[5] 0x7fffffff"},
		"one more name":      {"ln A/vmlinuz A/extra"},
		"slot is gone":       {"clri A"},
		"root is gone":       {"clri <2>"},
		"other inode tables": {"set_block_group 0 inode_table 100"},
	} {
		m := embedded(t, "one")
		before := &memory{bytes.Clone(m.b)}
		fs := m.b[artifactsAt<<20 : artifactsEnd<<20]
		clear(fs[1024+0x64 : 1024+0x68]) // debugfs writes to none that is read-only
		image := filepath.Join(t.TempDir(), "fs")
		if err := os.WriteFile(image, fs, 0o600); err != nil {
			t.Fatal(err)
		}
		rootfstest.Debugfs(t, image, commands...)
		changed, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		copy(changed[1024:2048], before.b[artifactsAt<<20+1024:])
		copy(fs, changed)
		if line, err := launchable(m); !errors.Is(err, ErrArtifacts) {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		put(t, m, two, false)
		if line, err := launchable(m); line != "two" || err != nil {
			t.Errorf("%s, embedded again: %q, %v", name, line, err)
		}
		kept(t, m, before)
	}
}

// TestTwoPartitions: nobody can tell which is meant.
func TestTwoPartitions(t *testing.T) {
	m := embedded(t, "one")
	withTable(t, m,
		gpt.Partition{Number: 2, GUID: gpt.GUID{3}, First: artifactsAt * 2048, Last: artifactsEnd*2048 - 1, Name: slots.Label},
		gpt.Partition{Number: 3, GUID: gpt.GUID{4}, First: rootAt * 2048, Last: rootEnd*2048 - 1, Name: slots.Label})
	if _, err := read(m); !errors.Is(err, ErrArtifacts) || !strings.Contains(err.Error(), "partitions 2 and 3") {
		t.Errorf("%v", err)
	}
}

// TestTruncatedDisk reads an image that ends early.
func TestTruncatedDisk(t *testing.T) {
	whole := embedded(t, "one")
	for _, size := range []int{0, 512, 1 << 20, 1<<20 + 2048, 8 << 20, 16 << 20} {
		m := &memory{bytes.Clone(whole.b[:size])}
		if line, err := launchable(m); err == nil {
			t.Errorf("%d bytes: launches %q", size, line)
		}
	}
}

// FuzzRead changes bytes of the partition. Whatever is read, only what was signed
// comes out.
func FuzzRead(f *testing.F) {
	good := embedded(f, "one")
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
