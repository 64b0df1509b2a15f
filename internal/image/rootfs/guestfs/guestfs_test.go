package guestfs_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/guestfs"
)

func TestMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := guestfs.Apply(t.Context(), filepath.Join(t.TempDir(), "image"), "", nil)
	if !errors.Is(err, rootfs.ErrProgram) || !strings.Contains(err.Error(), "libguestfs-tools") {
		t.Error(err)
	}
}
