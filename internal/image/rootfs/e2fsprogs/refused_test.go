package e2fsprogs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

func TestRefused(t *testing.T) {
	image := rootfstest.Make(t, 32, smallTree(t), "-t", "ext4")
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []rootfs.Change{
		{Kind: rootfs.WriteFile, Path: "a\nrm /etc/fstab"},
		{Kind: rootfs.WriteFile, Path: "a\r"},
		{Kind: rootfs.WriteFile, Path: "a\x00b"},
		{Kind: rootfs.WriteFile, Path: "a\nb/c"},
		{Kind: rootfs.Symlink, Path: "a", Target: "b\nrm /etc/fstab"},
		{Kind: rootfs.Symlink, Path: "a"},
		{Kind: rootfs.Symlink, Path: "a", Target: strings.Repeat("x", 5000)},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"user.x\n": nil}},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"-f": nil}},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"other.x": nil}},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"user.x": make([]byte, 1025)}},
		{Kind: rootfs.WriteFile, Path: strings.Repeat("n", 256)},
		{Kind: rootfs.WriteFile, Path: strings.Repeat("\"d/", 2000) + "f"},
		{Kind: rootfs.WriteFile, Path: "../a"},
		{Kind: rootfs.WriteFile, Path: "etc/../a"},
		{Kind: rootfs.WriteFile, Path: "etc/"},
		{Kind: rootfs.WriteFile, Path: ""},
		{Kind: rootfs.WriteFile, Path: "/"},
		{Kind: rootfs.WriteFile, Path: "etc"},
		{Kind: rootfs.WriteFile, Path: "etc/fstab/x"},
		{Kind: rootfs.WriteFile, Path: "loop/x"},
		{Kind: rootfs.WriteFile, Path: "a", Mode: 0o100644},
		{Kind: rootfs.WriteFile, Path: "a", ModTime: time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Kind: rootfs.WriteFile, Path: "a", Source: "/"},
		{Kind: rootfs.MakeDir, Path: "etc/fstab"},
		{Kind: rootfs.MakeNode, Path: "a", Mode: rootfs.ModeSocket},
		{Kind: rootfs.HardLink, Path: "a", Target: "etc"},
		{Kind: rootfs.HardLink, Path: "a", Target: "missing"},
		{Kind: rootfs.HardLink, Path: "etc/fstab", Target: "etc/fstab"},
		{Kind: rootfs.Remove, Path: "."},
		{Path: "a"},
	} {
		if err := e2fsprogs.Apply(t.Context(), image, 0, []rootfs.Change{c}); !errors.Is(err, rootfs.ErrChange) {
			t.Errorf("%.200q: %v", fmt.Sprint(c), err)
		}
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was touched (%v)", err)
	}
}

func TestFull(t *testing.T) {
	image := rootfstest.Make(t, 4, smallTree(t), "-t", "ext4", "-N", "64")
	big := rootfs.Change{Kind: rootfs.WriteFile, Path: "big", Content: bytes.Repeat([]byte("x"), 8<<20)}
	if err := e2fsprogs.Apply(t.Context(), image, 0, []rootfs.Change{big}); !errors.Is(err, rootfs.ErrFull) {
		t.Errorf("no blocks: %v", err)
	}
	image = rootfstest.Make(t, 4, smallTree(t), "-t", "ext4", "-N", "64")
	var many []rootfs.Change
	for i := range 100 {
		many = append(many, rootfs.Change{Kind: rootfs.WriteFile, Path: fmt.Sprint(i)})
	}
	if err := e2fsprogs.Apply(t.Context(), image, 0, many); !errors.Is(err, rootfs.ErrFull) {
		t.Errorf("no inodes: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	image := rootfstest.Make(t, 16, "", "-t", "ext4")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e2fsprogs.Apply(ctx, image, 0, []rootfs.Change{{Kind: rootfs.WriteFile, Path: "a"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestMissingProgram(t *testing.T) {
	if _, err := e2fsprogs.Program("no-such-program"); !errors.Is(err, rootfs.ErrProgram) || !strings.Contains(err.Error(), "e2fsprogs") {
		t.Error(err)
	}
}
