package artifacts

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

const (
	mib      = 1 << 20
	diskSize = 64 * mib
)

// computer is a fake /sys and /dev.
type computer struct {
	t   *testing.T
	dir string
}

func (c computer) machine() Machine {
	return Machine{Sys: filepath.Join(c.dir, "sys"), Dev: filepath.Join(c.dir, "dev")}
}

func (c computer) put(path, value string) {
	c.t.Helper()
	full := filepath.Join(c.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(value), 0o600)); err != nil {
		c.t.Fatal(err)
	}
}

// part is a partition of whole MiB.
func part(number, first, end int, name string) gpt.Partition {
	return gpt.Partition{Number: number, Type: gpt.GUID{1}, GUID: gpt.GUID{2, byte(number)}, First: uint64(first * mib), Last: uint64(end*mib) - 1, Name: name}
}

// disk adds a disk of noise on which slots were laid out at each of some places, in MiB.
func (c computer) disk(name string, sectorSize int, slotsAt []int, partitions ...gpt.Partition) {
	c.t.Helper()
	table := c.table(sectorSize, partitions)
	image := memory(bytes.Repeat([]byte("noise of the guest"), diskSize/18+1)[:diskSize])
	for _, at := range slotsAt {
		head, err := slots.Make([16]byte{byte(at)}, 16*mib)
		if err != nil {
			c.t.Fatal(err)
		}
		copy(image[at*mib:], head)
	}
	if err := table.Write(image, diskSize); err != nil {
		c.t.Fatal(err)
	}
	c.put("dev/"+name, string(image))
	c.put("sys/class/block/"+name+"/size", fmt.Sprint(diskSize/sector))
	c.put("sys/class/block/"+name+"/queue/logical_block_size", fmt.Sprintln(sectorSize))
	for i := range table.Partitions {
		p := &table.Partitions[i]
		dir := fmt.Sprintf("sys/class/block/%s/%s%d/", name, name, p.Number)
		c.put(dir+"partition", fmt.Sprintln(p.Number))
		c.put(dir+"start", fmt.Sprintln(table.Offset(p)/sector))
		c.put(dir+"size", fmt.Sprintln(table.Size(p)/sector))
	}
}

// table makes a table of partitions given in bytes.
func (c computer) table(sectorSize int, partitions []gpt.Partition) *gpt.Table {
	table := &gpt.Table{SectorSize: sectorSize}
	for _, p := range partitions {
		p.First /= uint64(sectorSize)
		p.Last = (p.Last+1)/uint64(sectorSize) - 1
		table.Partitions = append(table.Partitions, p)
	}
	return table
}

// retable writes another table, of which the kernel does not know.
func (c computer) retable(name string, sectorSize int, partitions ...gpt.Partition) {
	c.t.Helper()
	path := filepath.Join(c.dir, "dev", name)
	image, err := os.ReadFile(path)
	if err == nil {
		err = errors.Join(c.table(sectorSize, partitions).Write(memory(image), diskSize), os.WriteFile(path, image, 0o600))
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

func (c computer) read(name string) []byte {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, "dev", name))
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// good is a computer as it should be, with another disk beside it.
func good(t *testing.T, sectorSize int) computer {
	c := computer{t, t.TempDir()}
	c.disk("vda", sectorSize, []int{2}, part(1, 20, 60, "root"), part(2, 2, 18, slots.Label), part(15, 1, 2, "esp"))
	c.disk("vdb", 512, []int{2}, part(2, 2, 18, slots.Label))
	return c
}

// TestOpen writes to the slots and changes nothing else.
func TestOpen(t *testing.T) {
	for _, sectorSize := range []int{512, 4096} {
		c := good(t, sectorSize)
		before, other := c.read("vda"), c.read("vdb")
		p, closer, err := c.machine().Open(Root{"vda1"})
		if err != nil {
			t.Fatal(err)
		}
		tree := fstest.MapFS{"vmlinuz": {Data: bytes.Repeat([]byte("k"), 3*mib)}}
		if err := errors.Join(p.Write(slots.B, tree), p.Switch(slots.B, true), p.Confirm(), closer.Close()); err != nil {
			t.Fatal(err)
		}
		after := c.read("vda")
		if bytes.Equal(after, before) || !bytes.Equal(after[:2*mib], before[:2*mib]) || !bytes.Equal(after[18*mib:], before[18*mib:]) || !bytes.Equal(c.read("vdb"), other) {
			t.Error("something beside the partition was written, or nothing")
		}
		p, closer, err = c.machine().Open(Root{"vda1"})
		if err != nil || p.State() != (slots.State{Active: slots.B}) {
			t.Errorf("opened again: %+v, %v", p, err)
		}
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestHostile plays the host: it changes tables under the running agent, and adds disks.
// Nothing is opened, so that nothing can be written.
func TestHostile(t *testing.T) {
	root := part(1, 20, 60, "root")
	for name, tc := range map[string]struct {
		change func(c computer)
		want   error
		text   string
	}{
		"no partition":    {func(c computer) { c.retable("vda", 512, root) }, ErrNone, ""},
		"on another disk": {func(c computer) { c.retable("vda", 512, root, part(2, 2, 18, "else")) }, ErrNone, ""},
		"same name twice": {func(c computer) {
			c.retable("vda", 512, root, part(2, 2, 18, slots.Label), part(3, 61, 62, slots.Label))
		}, ErrTable, "both named"},
		"root is it":          {func(c computer) { c.retable("vda", 512, part(1, 20, 60, slots.Label)) }, ErrTable, "touches partition"},
		"root moved away":     {func(c computer) { c.retable("vda", 512, part(1, 50, 60, "root"), part(2, 20, 36, slots.Label)) }, ErrTable, "not where the kernel has it"},
		"root forgotten":      {func(c computer) { c.retable("vda", 512, part(2, 20, 36, slots.Label)) }, ErrTable, "touches partition"},
		"begins in the root":  {func(c computer) { c.retable("vda", 512, part(2, 59, 62, slots.Label)) }, ErrTable, "touches partition"},
		"ends in the root":    {func(c computer) { c.retable("vda", 512, part(2, 10, 21, slots.Label)) }, ErrTable, "touches partition"},
		"around the root":     {func(c computer) { c.retable("vda", 512, part(2, 19, 61, slots.Label)) }, ErrTable, "touches partition"},
		"under another one":   {func(c computer) { c.retable("vda", 512, root, part(2, 1, 17, slots.Label)) }, ErrTable, "touches partition"},
		"no slots in it":      {func(c computer) { c.retable("vda", 512, root, part(3, 60, 61, slots.Label)) }, slots.ErrLayout, ""},
		"of another size":     {func(c computer) { c.disk("vda", 512, []int{2}, root, part(2, 2, 19, slots.Label)) }, slots.ErrLayout, ""},
		"table is noise":      {func(c computer) { c.put("dev/vda", strings.Repeat("x", diskSize)) }, gpt.ErrTable, ""},
		"disk is shorter now": {func(c computer) { c.put("sys/class/block/vda/size", "64") }, gpt.ErrTable, ""},
		"odd sectors":         {func(c computer) { c.put("sys/class/block/vda/queue/logical_block_size", "1024") }, gpt.ErrTable, ""},
	} {
		c := good(t, 512)
		tc.change(c)
		p, _, err := c.machine().Open(Root{"vda1"})
		if p != nil || !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "..", "vdc1", "../vda1", "vda", "size"} {
		if p, _, err := good(t, 512).machine().Open(Root{name}); p != nil || err == nil {
			t.Errorf("root %q: %v", name, err)
		}
	}
}
