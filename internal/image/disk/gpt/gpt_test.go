package gpt_test

import (
	"bytes"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

const size = 16 << 20

func TestWrittenIsRead(t *testing.T) {
	for _, sectorSize := range []int{512, 4096} {
		want := cloud(t, sectorSize)
		m := written(t, want, size)
		if got, kind, err := gpt.Detect(m, size); got != sectorSize || kind != gpt.GPT || err != nil {
			t.Fatalf("detected %d %v %v", got, kind, err)
		}
		got, err := gpt.Read(m, size, sectorSize)
		if err != nil || got.Damage != nil {
			t.Fatalf("%v, damage %v", err, got.Damage)
		}
		again := written(t, got, size)
		if !bytes.Equal(m, again) {
			t.Error("the table that was read is written with other bytes")
		}
		root := got.Find(want.Partitions[0].GUID)
		if root == nil || got.Offset(root) != 4<<20 || got.Size(root) != 4<<20 || root.Name != want.Partitions[0].Name {
			t.Errorf("found %+v", root)
		}
		if got.Find(gpt.GUID{1}) != nil {
			t.Error("found a partition that is not there")
		}
		if _, err := gpt.Read(m, size, 4096+512-sectorSize); !errors.Is(err, gpt.ErrTable) {
			t.Errorf("read with the other size of sectors: %v", err)
		}
	}
}

func TestOtherToolsAgree(t *testing.T) {
	m := written(t, cloud(t, 512), size)
	if out := run(t, m, "", "sgdisk", "-v"); !strings.Contains(out, "No problems found") || strings.Contains(out, "aution") {
		t.Errorf("sgdisk: %s", out)
	}
	info := run(t, m, "", "sgdisk", "-i", "1")
	for _, want := range []string{
		"4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "11111111-2222-4333-8444-555555555555",
		"First sector: 8192 ", "Last sector: 16383 ", "8000000000000004", "'root ünïcode ",
	} {
		if !strings.Contains(info, want) {
			t.Errorf("sgdisk does not tell %s:\n%s", want, info)
		}
	}
	m = written(t, cloud(t, 4096), size)
	list := run(t, m, "", "fdisk", "-b", "4096", "-x")
	for _, want := range []string{
		`(?m)disk1 +1024 +2047 +1024 +4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709 11111111-2222-4333-8444-555555555555 root ünïcode 𝄞 +LegacyBIOSBootable GUID:63$`,
		`(?m)disk15 +512 `, "Disk identifier: 5CD7E7B1-7A30-4B5C-9D4E-B0A1C2D3E4F5", "First usable LBA: 6\n", "Last usable LBA: 4090\n",
	} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("fdisk does not tell %s:\n%s", want, list)
		}
	}
	if strings.Contains(list, "corrupt") {
		t.Errorf("fdisk: %s", list)
	}
}

func TestTablesOfOtherToolsAreKept(t *testing.T) {
	m := make(memory, size)
	run(t, m, "", "sgdisk", "-o", "-S", "56", "-n", "7:2048:4095", "-t", "7:8300", "-c", "7:data", "-A", "7:set:60", "-n", "2:4096:0")
	table, err := gpt.Read(m, size, 512)
	if err != nil || table.Damage != nil {
		t.Fatalf("%v, damage %v", err, table.Damage)
	}
	p := table.Partitions[1]
	if len(table.Partitions) != 2 || table.Entries != 56 || p.Number != 7 || p.Name != "data" || p.Attributes != 1<<60 || p.Type.String() != gpt.TypeLinux {
		t.Errorf("read %+v", table)
	}
	if again := written(t, table, size); !bytes.Equal(m[512:], again[512:]) {
		t.Error("written with other bytes than sgdisk's")
	}
}

func TestNamesKeepTheirBytes(t *testing.T) {
	table := cloud(t, 512)
	m := written(t, table, size)
	// A lone surrogate, and bytes behind the terminator.
	entry := m[2*512:]
	copy(entry[56:], []byte{'a', 0, 0x00, 0xd8, 0, 0, 'x', 0})
	reseal(m, 512)
	got, err := gpt.Read(m, size, 512)
	if err != nil || got.Partitions[0].Name != "a\ufffd" {
		t.Fatalf("%v, %+v", err, got)
	}
	if again := written(t, got, size); !bytes.Equal(again[1024:1024+128], entry[:128]) {
		t.Error("the name lost bytes")
	}
	got.Partitions[0].Name = "b"
	renamed, err := gpt.Read(written(t, got, size), size, 512)
	if err != nil || renamed.Partitions[0].Name != "b" {
		t.Errorf("%v, %+v", err, renamed)
	}
}

func TestDiskThatGrew(t *testing.T) {
	table := cloud(t, 512)
	m := append(written(t, table, size), make(memory, size)...)
	grown, err := gpt.Read(m, 2*size, 512)
	if err != nil || grown.Damage != nil {
		t.Fatalf("%v, damage %v", err, grown.Damage)
	}
	grown.Partitions[0].Last = grown.LastUsable(2 * size)
	if err := grown.Write(m, 2*size); err != nil {
		t.Fatal(err)
	}
	if out := run(t, m, "", "sgdisk", "-v"); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	if got := grown.MinSize(); got != 2*size {
		t.Errorf("smallest disk has %d bytes, want %d", got, 2*size)
	}
	if got := cloud(t, 512).MinSize(); got != 8<<20+33*512 {
		t.Errorf("smallest disk has %d bytes", got)
	}
}

func TestWhatDoesNotFitIsNotWritten(t *testing.T) {
	for name, damage := range map[string]func(*gpt.Table){
		"overlap":                      func(c *gpt.Table) { c.Partitions[2].Last++ },
		"same GUID":                    func(c *gpt.Table) { c.Partitions[2].GUID = c.Partitions[0].GUID },
		"outside of 34":                func(c *gpt.Table) { c.Partitions[1].First = 33 },
		"outside of 34 to ":            func(c *gpt.Table) { c.Partitions[0].Last = size/512 - 33 },
		"partition 15 has":             func(c *gpt.Table) { c.Partitions[2].First = c.Partitions[2].Last + 1 },
		"no type":                      func(c *gpt.Table) { c.Partitions[2].Type = gpt.GUID{} },
		"number 0 ":                    func(c *gpt.Table) { c.Partitions[0].Number = 0 },
		"number 14 is out of":          func(c *gpt.Table) { c.Partitions[0].Number = 14 },
		"number 129 ":                  func(c *gpt.Table) { c.Partitions[2].Number = 129 },
		"UTF-16":                       func(c *gpt.Table) { c.Partitions[0].Name = strings.Repeat("x", 37) },
		"sectors of 1024":              func(c *gpt.Table) { c.SectorSize = 1024 },
		"room for 1025":                func(c *gpt.Table) { c.Entries = 1025 },
		"fits a disk of 16777216":      func(c *gpt.Table) { c.Entries = -1 },
		"outside of 258 to 32510":      func(c *gpt.Table) { c.Entries = 1024; c.Partitions[1].First = 257 },
		"fits a disk of 16777216 byte": func(c *gpt.Table) { c.Entries = 1 << 30 },
	} {
		table := cloud(t, 512)
		damage(table)
		m := make(memory, size)
		if err := table.Write(m, size); !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(m, make(memory, size)) {
			t.Errorf("%s: something was written", name)
		}
	}
	for _, bad := range []int64{-1, 0, 512, 67 * 512, size + 1} {
		if err := (&gpt.Table{SectorSize: 512}).Write(make(memory, size), bad); !errors.Is(err, gpt.ErrTable) {
			t.Errorf("disk of %d bytes: %v", bad, err)
		}
	}
}

func TestGUIDText(t *testing.T) {
	g := guid(t, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
	if want := [4]byte{0x28, 0x73, 0x2a, 0xc1}; [4]byte(g[:4]) != want || g.String() != gpt.TypeESP {
		t.Errorf("got % x, %s", g, g)
	}
	for _, bad := range []string{"", "c12a7328f81f11d2ba4b00a0c93ec93b", "c12a7328-f81f-11d2-ba4b-00a0c93ec93", "g12a7328-f81f-11d2-ba4b-00a0c93ec93b", "c12a-7328f81f-11d2-ba4b-00a0c93ec93b"} {
		if _, err := gpt.ParseGUID(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if s := newGUID(t, bytes.NewReader(bytes.Repeat([]byte{0xff}, 16))).String(); s != "ffffffff-ffff-4fff-bfff-ffffffffffff" {
		t.Errorf("made %s", s)
	}
	if _, err := gpt.NewGUID(strings.NewReader("short")); err == nil {
		t.Error("made of five bytes")
	}
	if kind := reflect.TypeOf(g).Size(); kind != 16 {
		t.Errorf("%d bytes", kind)
	}
}
