package kmod_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

// TestSameBytes builds the initrd twice, from trees that were written in another order,
// at another time and elsewhere, on machines of another size, zone and umask. Whoever
// has the same inputs can recompute it.
func TestSameBytes(t *testing.T) {
	var first []byte
	for i, place := range []struct {
		zone  string
		procs int
		at    time.Time
		mode  os.FileMode
		names []string
	}{
		{"UTC", 1, time.Unix(0, 0), 0o644, []string{"virtio_net", "dm_mod", "ext4"}},
		{"Pacific/Auckland", 4, time.Now(), 0o600, []string{"ext4", "virtio_net", "dm_mod"}},
	} {
		t.Setenv("TZ", place.zone)
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(place.procs))
		dir := filepath.Join(t.TempDir(), place.zone)
		tree := filepath.Join(dir, "lib/modules", release)
		for _, name := range place.names {
			writeTree(t, tree, "kernel/"+name+".ko", string(built(name, "")))
		}
		writeTree(t, tree, "modules.builtin", "kernel/dm_crypt.ko\nkernel/xts.ko\nkernel/aes_generic.ko\nkernel/sev_guest.ko\n")
		writeTree(t, tree, "modules.dep", "kernel/virtio_net.ko:\nkernel/dm_mod.ko:\nkernel/ext4.ko:\n")
		for _, name := range place.names {
			path := filepath.Join(tree, "kernel", name+".ko")
			if err := os.Chmod(path, place.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, place.at, place.at); err != nil {
				t.Fatal(err)
			}
		}
		root, err := kmod.Open(os.DirFS(dir), release)
		if err != nil {
			t.Fatal(err)
		}
		closure, err := root.Closure(append(kmod.ForAgent(), kmod.ForRoot("ext4")...))
		if err != nil {
			t.Fatal(err)
		}
		if len(closure.Modules) != 3 {
			t.Fatalf("%d modules", len(closure.Modules))
		}
		s := initrd.Segment{Agent: bytes.Repeat([]byte("agent"), 1<<18), Config: []byte("{}\n"), Modules: closure.Modules}
		for _, how := range initrd.Compressions() {
			var b bytes.Buffer
			if err := initrd.Write(&b, s, how); err != nil {
				t.Fatal(err)
			}
			first = append(first, b.Bytes()...)
		}
		if i == 1 && !bytes.Equal(first[:len(first)/2], first[len(first)/2:]) {
			t.Error("other bytes in another place")
		}
	}
}

// writeTree writes a file of a tree.
func writeTree(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}
