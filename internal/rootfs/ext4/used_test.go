package ext4_test

import (
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/rootfstest"
)

// TestMetaGroups has group descriptors in many places: all of them in their own meta
// group, and, as a file system that has grown, the first of them where they were.
func TestMetaGroups(t *testing.T) {
	for first := range 3 {
		image := rootfstest.Make(t, 48, "", "-t", "ext4", "-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode")
		if first > 0 {
			rootfstest.Debugfs(t, image, "ssv first_meta_bg "+strconv.Itoa(first))
			rootfstest.Run(t, "e2fsck", []string{"-f", "-y", image}, 1) // adds the copies of descriptors
		}
		rootfstest.Clean(t, image)
		sameUsed(t, open(t, image), image)
	}
}

// TestDescriptorsLongerThanTheirGroup keeps room for more descriptors than the group
// has blocks. They do not use the next group's.
func TestDescriptorsLongerThanTheirGroup(t *testing.T) {
	const group = 1024 * 1024
	image := plain(t, []string{"-b", "1024", "-g", "1024", "-O", "uninit_bg,^resize_inode"})
	var used [16]int64
	for r, err := range changed(t, image, bytesAt{1024 + 0xCE: "\xff\xff"}).Used() {
		if err != nil {
			t.Fatal(err)
		}
		for i := range used {
			begin := int64(1024 + i*group)
			used[i] += max(0, min(begin+group, r.Offset+r.Length)-max(begin, r.Offset))
		}
	}
	// Group 3 has a copy of the superblock, group 4 has nothing.
	if used[3] != group || used[4] != 0 {
		t.Errorf("used: %d", used)
	}
}
