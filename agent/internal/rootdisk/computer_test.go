package rootdisk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// computer is a fake /sys and /dev.
type computer struct {
	t   *testing.T
	dir string
}

func newComputer(t *testing.T) computer {
	t.Helper()
	c := computer{t, t.TempDir()}
	for _, dir := range []string{"sys/class/block", "dev"} {
		if err := os.MkdirAll(filepath.Join(c.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c computer) machine() rootdisk.Machine {
	return rootdisk.Machine{Sys: filepath.Join(c.dir, "sys"), Dev: filepath.Join(c.dir, "dev")}
}

func (c computer) attribute(path, value string) {
	c.t.Helper()
	full := filepath.Join(c.dir, "sys/class/block", path)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(value+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// disk adds a disk of size bytes whose partition 2 has the GUID.
func (c computer) disk(name, guid string, size int64, sectorSize int) *gpt.Table {
	c.t.Helper()
	id, err := gpt.ParseGUID(guid)
	if err != nil {
		c.t.Fatal(err)
	}
	kind, err := gpt.ParseGUID(gpt.TypeLinux)
	if err != nil {
		c.t.Fatal(err)
	}
	first := uint64(1 << 20 / sectorSize)
	table := &gpt.Table{SectorSize: sectorSize, Partitions: []gpt.Partition{
		{Number: 2, Type: kind, GUID: id, First: 2 * first, Last: 18*first - 1},
		{Number: 14, Type: kind, GUID: gpt.GUID{1}, First: first, Last: 2*first - 1},
	}}
	f, err := os.Create(filepath.Join(c.dir, "dev", name))
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Truncate(size), table.Write(f, size)); err != nil {
		c.t.Fatal(err)
	}
	c.attribute(name+"/size", fmt.Sprint(size/512))
	c.attribute(name+"/queue/logical_block_size", fmt.Sprint(sectorSize))
	c.kernel(name, table)
	return table
}

// kernel has the kernel know the partitions of a table.
func (c computer) kernel(name string, table *gpt.Table) {
	for i := range table.Partitions {
		p := &table.Partitions[i]
		part := fmt.Sprintf("%s%d", name, p.Number)
		for _, dir := range []string{part, name + "/" + part} {
			c.attribute(dir+"/partition", fmt.Sprint(p.Number))
			c.attribute(dir+"/start", fmt.Sprint(table.Offset(p)/512))
			c.attribute(dir+"/size", fmt.Sprint(table.Size(p)/512))
			c.attribute(dir+"/dev", fmt.Sprintf("254:%d", p.Number))
		}
	}
}

func (c computer) remove(path string) {
	c.t.Helper()
	if err := os.RemoveAll(filepath.Join(c.dir, "sys/class/block", path)); err != nil {
		c.t.Fatal(err)
	}
}
