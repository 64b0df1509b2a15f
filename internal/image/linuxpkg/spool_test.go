package linuxpkg_test

import (
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
)

// The files of a set are a file system in every way.
func TestFiles(t *testing.T) {
	set := open(t, pkgtest.Deb(t, "linux-image", "1", ".gz", pkgtest.Kernel(release, "./")...))
	if err := fstest.TestFS(set.FS, "boot/vmlinuz-"+release, "boot/config-"+release, "lib/modules/"+release+"/kernel/crypto/xts.ko"); err != nil {
		t.Error(err)
	}
}
