package convert

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// TestSeparateUsr is refused where nobody would mount it before init.
func TestSeparateUsr(t *testing.T) {
	tree := tinyTree(t)
	put(t, tree, "etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n/dev/vda1 /usr/ ext4 defaults 0 0\n")
	o, _ := tinyOptions(t, tinyImage(t, tree))
	var wrong *option.Error
	if _, err := Convert(context.Background(), o); !errors.As(err, &wrong) || wrong.Option != "initrd" || !strings.Contains(err.Error(), `mounts "/dev/vda1" on /usr`) {
		t.Errorf("got %v", err)
	}
	found, err := Inspect(context.Background(), o.Input, nil)
	if err != nil || len(found.Problems) != 1 || !strings.Contains(found.Problems[0], "on /usr") {
		t.Errorf("inspection: %+v, %v", found, err)
	}
	put(t, tree, "etc/fstab", "/dev/vda1 / ext4 defaults 0 1\ntmpfs /usr/local/x tmpfs\n")
	o, _ = tinyOptions(t, tinyImage(t, tree))
	if _, err := Convert(context.Background(), o); err != nil {
		t.Errorf("below it: %v", err)
	}
}

// TestExternalJournal refuses a root of which a part is elsewhere, with either initrd.
func TestExternalJournal(t *testing.T) {
	root := rootfstest.Make(t, 8, tinyTree(t))
	f, err := os.OpenFile(root, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var compatible [4]byte
	if _, err := f.ReadAt(compatible[:], 1024+0x5C); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(compatible[:], binary.LittleEndian.Uint32(compatible[:])|4)
	_, err = f.WriteAt(compatible[:], 1024+0x5C)                                       // a journal
	if _, again := f.WriteAt(make([]byte, 4), 1024+0xE0); err != nil || again != nil { // and not in an inode
		t.Fatal(err, again)
	}
	for _, initrd := range []string{bootconf.InitrdMinimal, bootconf.InitrdDistribution} {
		o, _ := tinyOptions(t, tinyDisk(t, root))
		o.Initrd = initrd
		if _, err := Convert(context.Background(), o); !errors.Is(err, rootfs.ErrSeveralDevices) || !strings.Contains(err.Error(), "partition 1: the file system is not on this device alone: its journal is on another one") {
			t.Errorf("%s: %v", initrd, err)
		}
	}
}
