package ext4_test

import (
	"bufio"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
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
		sameUsed(t, rootfstest.Open(t, image), image)
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

// sameUsed compares the used ranges with the free ones that dumpe2fs prints.
func sameUsed(t *testing.T, volume *ext4.FS, image string) {
	t.Helper()
	size := volume.Size() / int64(volume.BlockSize())
	used := make([]bool, size)
	end := int64(-1)
	for r, err := range volume.Used() {
		if err != nil {
			t.Fatal(err)
		}
		if r.Offset <= end || r.Length <= 0 {
			t.Fatalf("range %+v after byte %d", r, end)
		}
		end = r.Offset + r.Length
		for b := r.Offset / int64(volume.BlockSize()); b < end/int64(volume.BlockSize()); b++ {
			used[b] = true
		}
	}
	free, ratio := 0, 1
	lines := bufio.NewScanner(strings.NewReader(rootfstest.Run(t, "dumpe2fs", []string{image})))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if cluster, found := strings.CutPrefix(lines.Text(), "Cluster size:"); found {
			bytes, err := strconv.Atoi(strings.TrimSpace(cluster))
			if err != nil {
				t.Fatal(err)
			}
			ratio = bytes / volume.BlockSize()
		}
		list, found := strings.CutPrefix(lines.Text(), "  Free blocks: ")
		if !found || list == "" {
			continue
		}
		for _, part := range strings.Split(list, ", ") {
			from, to, isRange := strings.Cut(part, "-")
			if !isRange {
				to = from
			}
			a, err := strconv.Atoi(from)
			b, err2 := strconv.Atoi(to)
			if err != nil || err2 != nil {
				t.Fatalf("dumpe2fs printed %q", part)
			}
			b |= ratio - 1 // it may name the first block of the last cluster
			for ; a <= b; a++ {
				free++
				if used[a] {
					t.Fatalf("block %d is free", a)
				}
			}
		}
	}
	for _, u := range used {
		if !u {
			free--
		}
	}
	if free != 0 || !used[0] {
		t.Errorf("dumpe2fs knows %d more free blocks", free)
	}
}
