//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// Files on further partitions would be lost, so the image is refused.
func TestFurtherPartitions(t *testing.T) {
	data := part{number: 3, kind: "8302", guid: bootGUID, name: "data", mib: 8}
	dir := t.TempDir()
	write(t, dir, "u/letter", "dear")
	data.content = mkfs(t, dir, 8, "-U", bootUUID, "-L", "DATA")
	xfs := filepath.Join(t.TempDir(), "xfs")
	write(t, filepath.Dir(xfs), "xfs", "XFSB")
	truncate(t, xfs, 8<<20)
	for name, test := range map[string]struct {
		fstab string
		other string // content of the partition
		words []string
	}{
		"home by UUID":          {"UUID=" + bootUUID + " /home ext4 defaults 0 2", data.content, []string{`partition 3 (ext4) on "/home"`}},
		"var by label":          {"LABEL=DATA /var auto", data.content, []string{`partition 3 (ext4) on "/var"`}},
		"srv by PARTUUID":       {"PARTUUID=" + strings.ToUpper(bootGUID) + " /srv auto", data.content, []string{`partition 3 (ext4) on "/srv"`}},
		"opt by PARTLABEL":      {"/dev/disk/by-partlabel/data /opt auto nofail", data.content, []string{`partition 3 (ext4) on "/opt"`}},
		"home by device":        {"/dev/sda3 /home ext4", data.content, []string{`partition 3 (ext4) on "/home"`}},
		"var, of some xfs":      {"UUID=0000 /var xfs", xfs, []string{`"/var"`, "may be partition 3 (xfs)"}},
		"var, of a known xfs":   {"PARTLABEL=data /var xfs", xfs, []string{`partition 3 (xfs) on "/var"`}},
		"root, by another name": {"LABEL=" + rootLabel + " /mnt ext4", data.content, []string{`"/mnt"`, "means the root"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := oddTree(t)
			write(t, dir, "etc/fstab", "PARTUUID="+rootGUID+" / ext4 defaults 0 1\n"+test.fstab+"\n")
			other := data
			other.content = test.other
			notTaken(t, gptDisk(t, rootPart(t, dir), other), append(test.words, "fstab mounts"))
		})
	}
	t.Run("usr", func(t *testing.T) {
		dir := oddTree(t)
		write(t, dir, "etc/fstab", "PARTUUID="+rootGUID+" / ext4 defaults 0 1\nLABEL=USR /usr ext4 defaults 0 2\n")
		usr := mkfs(t, filepath.Join(dir, "usr"), 32, "-U", bootUUID, "-L", "USR")
		remove(t, filepath.Join(dir, "usr"))
		mkdir(t, filepath.Join(dir, "usr"))
		root := rootPart(t, dir)
		notTaken(t, gptDisk(t, root, part{number: 3, kind: "8314", mib: 32, content: usr}), []string{`partition 3 (ext4) on "/usr"`})
	})
	t.Run("of another disk", func(t *testing.T) {
		dir := oddTree(t)
		write(t, dir, "etc/fstab", "PARTUUID="+rootGUID+" / ext4 defaults 0 1\n/dev/vdb1 /mnt auto nofail\nUUID=0000-0000 /media/x vfat noauto\n")
		root := rootPart(t, dir)
		l := layout{raw: gptDisk(t, root, data), root: root.content}
		verify(t, convertOdd(t, l.raw), l)
	})
}
