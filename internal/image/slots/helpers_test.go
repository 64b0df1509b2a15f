package slots

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// memory is a partition in memory that keeps what is done to it.
type memory struct {
	mu  sync.Mutex
	b   []byte
	ops []op
}

// op is a write or, without data, a Sync.
type op struct {
	at   int64
	data []byte
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.NewReader(m.b).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if off < 0 || off+int64(len(p)) > int64(len(m.b)) {
		return 0, errors.New("write outside of the partition")
	}
	m.ops = append(m.ops, op{off, bytes.Clone(p)})
	return copy(m.b[off:], p), nil
}

func (m *memory) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ops = append(m.ops, op{})
	return nil
}

// made is an empty partition of so many MiB, behind which nothing may be written.
func made(tb testing.TB, mib int64) *memory {
	tb.Helper()
	m := &memory{b: bytes.Repeat([]byte{0xE5}, int(mib<<20))}
	head, err := Make([16]byte{1, 2, 3}, mib<<20)
	if err != nil {
		tb.Fatal(err)
	}
	copy(m.b, head)
	return m
}

func opened(tb testing.TB, m *memory) *Partition {
	tb.Helper()
	p, err := Open(m, int64(len(m.b)))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// tree is a bundle that says who it is, with files of several sizes.
func tree(who string) fstest.MapFS {
	file := func(n int) *fstest.MapFile {
		return &fstest.MapFile{Data: bytes.Repeat([]byte(who+"."), n/(len(who)+1)+1)[:n]}
	}
	return fstest.MapFS{
		"who": {Data: []byte(who)}, "vmlinuz": file(1<<20 + len(who)), "initrd.img": file(300<<10 + 7*len(who)), "empty": {},
		"variants/4x" + who + ".launch-config.json": file(100), "block": file(4096),
	}
}

// holds says who is in a slot, after all of it was compared.
func holds(p *Partition, slot string) (string, error) {
	s, err := p.Slot(slot)
	if err != nil {
		return "", err
	}
	if s.Empty() {
		return "-", nil
	}
	who, err := s.ReadFile("who", 100)
	if err != nil {
		return "", err
	}
	want := tree(string(who))
	if len(want) != len(s.Files) {
		return "", fmt.Errorf("files %v", s.Files)
	}
	for name, file := range want {
		f, err := s.Open(name)
		if err != nil {
			return "", err
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, file.Data) {
			return "", fmt.Errorf("%s is not what was written, or %w", name, err)
		}
	}
	return string(who), nil
}

// both says what is in A and B, and which is active.
func both(tb testing.TB, m *memory) string {
	tb.Helper()
	p := opened(tb, m)
	text := ""
	for _, slot := range []string{A, B} {
		who, err := holds(p, slot)
		if err != nil {
			tb.Fatal(err)
		}
		text += slot + " " + who + ", "
	}
	return text + fmt.Sprintf("%+v", p.State())
}

// clean asks e2fsck and lets debugfs read.
func clean(tb testing.TB, m *memory) string {
	tb.Helper()
	image := filepath.Join(tb.TempDir(), "fs")
	if err := os.WriteFile(image, m.b, 0o600); err != nil {
		tb.Fatal(err)
	}
	rootfstest.Clean(tb, image)
	return image
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
