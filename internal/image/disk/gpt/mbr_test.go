package gpt_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// sfdisk's script: three primary partitions, an extended one of two logical.
const script = `label: dos
label-id: 0xdeadbeef
start=2048, size=4096, type=83, bootable
start=6144, size=2048, type=ef
start=8192, size=20480, type=5
start=30720, size=1024, type=82
start=10240, size=2048, type=83
start=14336, size=4096, type=fd
`

func mbr(tb testing.TB) memory {
	tb.Helper()
	m := make(memory, size)
	run(tb, m, script, "sfdisk", "-q")
	return m
}

func TestMBR(t *testing.T) {
	m := mbr(t)
	if sectorSize, kind, err := gpt.Detect(m, size); sectorSize != 512 || kind != gpt.Master || err != nil {
		t.Fatalf("detected %d %v %v", sectorSize, kind, err)
	}
	got, err := gpt.ReadMBR(m, size)
	if err != nil {
		t.Fatal(err)
	}
	want := []gpt.MBRPartition{
		{Number: 1, Type: 0x83, Active: true, First: 2048, Last: 6143},
		{Number: 2, Type: 0xef, First: 6144, Last: 8191},
		{Number: 4, Type: 0x82, First: 30720, Last: 31743},
		{Number: 5, Type: 0x83, First: 10240, Last: 12287},
		{Number: 6, Type: 0xfd, First: 14336, Last: 18431},
	}
	if got.DiskID != 0xdeadbeef || len(got.Partitions) != len(want) {
		t.Fatalf("read %+v", got)
	}
	for i, p := range got.Partitions {
		if p != want[i] {
			t.Errorf("partition %+v, want %+v", p, want[i])
		}
	}
	table, err := got.ToGPT(strings.NewReader(strings.Repeat("0123456789abcde", 16)))
	if err != nil {
		t.Fatal(err)
	}
	out := written(t, table, size)
	if text := run(t, out, "", "sgdisk", "-v", "-p"); !strings.Contains(text, "No problems found") || !strings.Contains(text, "FD00") {
		t.Errorf("sgdisk: %s", text)
	}
}

func TestTypesOfMBR(t *testing.T) {
	for want, kinds := range map[string][]byte{
		gpt.TypeLinux: {0x83}, gpt.TypeSwap: {0x82}, gpt.TypeESP: {0xef}, gpt.TypeLVM: {0x8e}, gpt.TypeRAID: {0xfd},
		gpt.TypeBasicData: {0x01, 0x04, 0x06, 0x07, 0x0b, 0x0c, 0x0e}, gpt.TypeXBOOTLDR: {0xea},
	} {
		for _, kind := range kinds {
			m := &gpt.MBR{Partitions: []gpt.MBRPartition{{Number: 1, Type: kind, First: 2048, Last: 4095}}}
			table, err := m.ToGPT(strings.NewReader(strings.Repeat("x", 64)))
			if err != nil || table.Partitions[0].Type.String() != want {
				t.Errorf("0x%02x: %+v, %v; want %s", kind, table, err, want)
			}
		}
	}
}

func TestTypesWithoutCounterpartAreRefused(t *testing.T) {
	m := &gpt.MBR{Partitions: []gpt.MBRPartition{{Number: 1, Type: 0xa5, First: 2048, Last: 4095}}}
	if _, err := m.ToGPT(strings.NewReader(strings.Repeat("x", 64))); !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), "0xa5") {
		t.Errorf("got %v", err)
	}
	if _, err := m.ToGPT(strings.NewReader("x")); err == nil {
		t.Error("made of too little randomness")
	}
}

// mbrEntry returns where an entry of the boot record in the given sector is.
func mbrEntry(sector, i int) int { return sector*512 + 446 + 16*i }

func TestHostileMBR(t *testing.T) {
	m := mbr(t)
	ebr := 8192 // the first record of the extended partition
	for name, damage := range map[string]func(memory){
		"no master boot record":              func(m memory) { m[510] = 0 },
		"no master":                          func(m memory) { m[446] = 0x12 },
		"belongs to a GPT":                   func(m memory) { m[mbrEntry(0, 0)+4] = 0xee },
		"more than one extended":             func(m memory) { m[mbrEntry(0, 0)+4] = 0x0f },
		"partition 1 has sectors 0":          put32(mbrEntry(0, 0)+8, 0),
		"partition 1 has sectors 2048":       put32(mbrEntry(0, 0)+12, 0),
		"outside of 1 to 32767":              put32(mbrEntry(0, 3)+12, 0xffffffff),
		"partitions 1 and 2 overlap":         put32(mbrEntry(0, 0)+12, 4097),
		"partitions 2 and 128 overlap":       put32(mbrEntry(0, 1)+12, 2049),
		"no boot record of partition 5":      func(m memory) { clear(m[ebr*512 : ebr*512+512]) },
		"more than 124 logical":              put32(mbrEntry(ebr, 1)+8, 0),
		"of partition 6 is in sector 429497": put32(mbrEntry(ebr, 1)+8, 0xffffffff),
		"of partition 6 is in sector 28672":  put32(mbrEntry(ebr, 1)+8, 20480),
		"partition 5 has sectors 8192":       put32(mbrEntry(ebr, 0)+8, 0),
		"partition 5 has sectors 10240 to 4": put32(mbrEntry(ebr, 0)+12, 0xffffffff),
		"partitions 5 and 6 overlap":         put32(mbrEntry(ebr, 0)+12, 4097),
	} {
		hostile := append(memory{}, m...)
		damage(hostile)
		if _, err := gpt.ReadMBR(hostile, size); !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMBRWithoutDisk gives a record to read where the disk is said to end before it.
func TestMBRWithoutDisk(t *testing.T) {
	m := mbr(t)
	m[mbrEntry(0, 2)+4] = 0 // no extended partition
	for size, want := range map[int64]string{-1: "a disk of 0 sectors", 511: "a disk of 0 sectors", 512: "a disk of 1 sectors", 1024: "outside of 1 to 1"} {
		if _, err := gpt.ReadMBR(m, size); !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), want) {
			t.Errorf("a disk of %d bytes: %v", size, err)
		}
	}
}

func TestDetect(t *testing.T) {
	both := written(t, cloud(t, 512), size)
	large := written(t, &gpt.Table{SectorSize: 4096}, size)
	// Entries 1 to 24 of the small table end where the large header is.
	copy(both[4096:4096+512], large[4096:])
	copy(both[3*4096:6*4096], large[2*4096:])
	binary.LittleEndian.PutUint64(both[4096+40:], 7)
	binary.LittleEndian.PutUint64(both[4096+72:], 3)
	reseal(both, 4096)
	reseal(both, 512)
	stale := mbr(t)
	copy(stale[512:34*512], written(t, cloud(t, 512), size)[512:])
	naked := written(t, cloud(t, 512), size)
	clear(naked[:512])
	for name, c := range map[string]struct {
		m          memory
		sectorSize int
		kind       gpt.Kind
		bad        bool
	}{
		"zeros":                   {m: make(memory, size)},
		"tiny":                    {m: make(memory, 100)},
		"GPT behind an MBR":       {m: stale, sectorSize: 512, kind: gpt.Master},
		"GPT without MBR":         {m: naked, sectorSize: 512, kind: gpt.GPT},
		"GPT of both sizes":       {m: both, bad: true},
		"protective MBR, no GPT":  {m: append(written(t, cloud(t, 512), size)[:512:512], make(memory, size)...), bad: true},
		"boot sector, no entries": {m: append(append(make(memory, 510), 0x55, 0xaa), make(memory, size)...)},
	} {
		sectorSize, kind, err := gpt.Detect(c.m, int64(len(c.m)))
		if sectorSize != c.sectorSize || kind != c.kind || errors.Is(err, gpt.ErrTable) != c.bad {
			t.Errorf("%s: %d %v %v", name, sectorSize, kind, err)
		}
	}
}
