package rootdisk_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
)

const wanted = "9f0f1f5e-3f6d-4b4e-9a35-0123456789ab"

func TestFind(t *testing.T) {
	for _, sectorSize := range []int{512, 4096} {
		c := newComputer(t)
		c.disk("sda", "11111111-2222-3333-4444-555555555555", 20<<20, 512)
		c.disk("vda", wanted, 20<<20, sectorSize)
		c.attribute("loop0/size", "0")
		c.attribute("sr0/size", "0")
		p, err := c.machine().Find(wanted)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != "vda2" || p.Path != filepath.Join(c.dir, "dev/vda2") || p.Major != 254 || p.Minor != 2 || p.Size != 16<<20 {
			t.Errorf("found %+v", p)
		}
	}
}

func TestNotFound(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(computer)
		want    error
		text    string
	}{
		"no disk":     {func(computer) {}, rootdisk.ErrNotFound, "any of 0 disks"},
		"other disks": {func(c computer) { c.disk("sda", "11111111-2222-3333-4444-555555555555", 20<<20, 512) }, rootdisk.ErrNotFound, "sda"},
		"behind too many": {func(c computer) {
			c.disk("vda", wanted, 20<<20, 512)
			for i := range 256 {
				name := fmt.Sprintf("sd%03d", i)
				c.attribute(name+"/size", "8")
				c.attribute(name+"/queue/logical_block_size", "512")
			}
		}, rootdisk.ErrNotFound, "any of 256 disks"},
		"two disks": {func(c computer) {
			c.disk("sda", wanted, 20<<20, 512)
			c.disk("sdb", wanted, 20<<20, 512)
		}, rootdisk.ErrAmbiguous, "sda and sdb"},
		"no table": {func(c computer) {
			c.disk("sda", wanted, 20<<20, 512)
			if err := os.WriteFile(filepath.Join(c.dir, "dev/sda"), bytes.Repeat([]byte{7}, 20<<20), 0o600); err != nil {
				c.t.Fatal(err)
			}
		}, rootdisk.ErrNotFound, "bad partition table"},
		"device missing": {func(c computer) {
			c.disk("sda", wanted, 20<<20, 512)
			if err := os.Remove(filepath.Join(c.dir, "dev/sda")); err != nil {
				c.t.Fatal(err)
			}
		}, rootdisk.ErrNotFound, "no such file"},
		"kernel sees it elsewhere": {func(c computer) {
			c.disk("sda", wanted, 20<<20, 512)
			c.attribute("sda2/start", "2048")
		}, rootdisk.ErrNotFound, "not where"},
		"kernel sees another size": {func(c computer) {
			c.disk("sda", wanted, 20<<20, 512)
			c.attribute("sda2/size", "8")
		}, rootdisk.ErrNotFound, "not where"},
		"kernel sees no partition": {func(c computer) {
			c.disk("sda", wanted, 20<<20, 512)
			if err := os.RemoveAll(filepath.Join(c.dir, "sys/class/block/sda/sda2")); err != nil {
				c.t.Fatal(err)
			}
		}, rootdisk.ErrNotFound, "does not know partition 2"},
	} {
		c := newComputer(t)
		tc.prepare(c)
		if p, err := c.machine().Find(wanted); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := newComputer(t).machine().Find("../sda"); err == nil {
		t.Error("a GUID that is none was taken")
	}
}

// TestGrow extends the partition of a disk that has grown, once.
func TestGrow(t *testing.T) {
	for _, sectorSize := range []int{512, 4096} {
		c := newComputer(t)
		table := c.disk("vda", wanted, 20<<20, sectorSize)
		path := filepath.Join(c.dir, "dev/vda")
		if err := os.Truncate(path, 50<<20); err != nil {
			t.Fatal(err)
		}
		c.attribute("vda/size", fmt.Sprint(50<<20/512))
		find := func() *rootdisk.Partition {
			p, err := c.machine().Find(wanted)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		reread := func(f *os.File) error {
			after, err := gpt.Read(f, 50<<20, sectorSize)
			if err != nil || after.Damage != nil {
				return fmt.Errorf("%w %w", err, after.Damage)
			}
			c.kernel("vda", after)
			return nil
		}
		if grown, err := find().Grow(reread); err != nil || !grown {
			t.Fatalf("%v, %v", grown, err)
		}
		p := find()
		if end := table.Offset(&table.Partitions[0]) + p.Size; end%(1<<20) != 0 || end > 50<<20-33*512 || end < 48<<20 {
			t.Errorf("it ends at %d", end)
		}
		if grown, err := p.Grow(reread); err != nil || grown {
			t.Errorf("grown again: %v, %v", grown, err)
		}
	}
}

func TestGrowNot(t *testing.T) {
	c := newComputer(t)
	table := c.disk("vda", wanted, 40<<20, 512)
	f, err := os.OpenFile(filepath.Join(c.dir, "dev/vda"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	behind := table.Partitions[0].Last + 1
	table.Partitions = append(table.Partitions, gpt.Partition{Number: 15, Type: table.Partitions[0].Type, GUID: gpt.GUID{2}, First: behind, Last: behind + 7})
	if err := table.Write(f, 40<<20); err != nil {
		t.Fatal(err)
	}
	p, err := c.machine().Find(wanted)
	if err != nil {
		t.Fatal(err)
	}
	never := func(*os.File) error { t.Error("the table was written"); return nil }
	if grown, err := p.Grow(never); err != nil || grown {
		t.Errorf("over its neighbour: %v, %v", grown, err)
	}
	other := newComputer(t)
	other.disk("vda", wanted, 40<<20, 512)
	if p, err = other.machine().Find(wanted); err != nil {
		t.Fatal(err)
	}
	busy := errors.New("busy")
	if _, err := p.Grow(func(*os.File) error { return busy }); !errors.Is(err, busy) {
		t.Errorf("got %v", err)
	}
}

func TestSealedVMK(t *testing.T) {
	image, sealed := [16]byte{1}, []byte("sealed")
	record, err := vmkrecord.Encode(image, sealed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(path, append(make([]byte, 8192), record...), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &rootdisk.Partition{Path: path}
	if got, err := p.SealedVMK(8192, image); err != nil || !bytes.Equal(got, sealed) {
		t.Errorf("%q, %v", got, err)
	}
	for name, tc := range map[string]struct {
		offset int64
		image  [16]byte
		want   error
	}{
		"elsewhere": {4096, image, vmkrecord.ErrRecord}, "another image": {8192, [16]byte{2}, vmkrecord.ErrImage},
	} {
		if _, err := p.SealedVMK(tc.offset, tc.image); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.SealedVMK(8193, image); err == nil {
		t.Error("a partition that ends too early was taken")
	}
}

// TestKernelInTwoMinds is a kernel whose files miss or contradict the partition
// table, as they may while it reads one.
func TestKernelInTwoMinds(t *testing.T) {
	for name, wrong := range map[string]func(computer){
		"no directory":   func(c computer) { c.remove("vda") },
		"no start":       func(c computer) { c.remove("vda2/start") },
		"no size":        func(c computer) { c.remove("vda2/size") },
		"no number":      func(c computer) { c.remove("vda2/dev") },
		"a number of it": func(c computer) { c.attribute("vda2/dev", "vda2") },
		"another start":  func(c computer) { c.attribute("vda2/start", "8") },
		"another size":   func(c computer) { c.attribute("vda2/size", "8") },
		"a negative one": func(c computer) { c.attribute("vda2/size", "-8") },
		"a huge one":     func(c computer) { c.attribute("vda2/size", "99999999999999999") },
	} {
		c := newComputer(t)
		c.disk("vda", wanted, 20<<20, 512)
		wrong(c)
		if _, err := c.machine().Find(wanted); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := newComputer(t).machine().Find("vda2"); err == nil {
		t.Error("a name was taken for a GUID")
	}
	if _, err := (rootdisk.Machine{Sys: "/nothing"}).Find(wanted); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without /sys: %v", err)
	}
}

// TestDiskGoes is a disk that the host takes away between two looks at it.
func TestDiskGoes(t *testing.T) {
	c := newComputer(t)
	c.disk("vda", wanted, 40<<20, 512)
	p, err := c.machine().Find(wanted)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.dir, "dev/vda")); err != nil {
		t.Fatal(err)
	}
	if grown, err := p.Grow(func(*os.File) error { return nil }); grown || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("grown %v, %v", grown, err)
	}
	if _, err := p.SealedVMK(0, [16]byte{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("sealed volume key: %v", err)
	}
	if _, err := c.machine().Find(wanted); !errors.Is(err, rootdisk.ErrNotFound) {
		t.Errorf("found: %v", err)
	}
}

// TestKernelReread asks the kernel about something that has no partitions.
func TestKernelReread(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := rootdisk.KernelReread(f); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("got %v", err)
	}
}
