package gpt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// reseal makes the checksums of the primary table right again.
func reseal(m memory, sectorSize int) {
	h := m[sectorSize:]
	length := uint64(binary.LittleEndian.Uint32(h[80:])) * uint64(binary.LittleEndian.Uint32(h[84:]))
	from := binary.LittleEndian.Uint64(h[72:]) * uint64(sectorSize)
	if from < uint64(len(m)) && length <= uint64(len(m))-from {
		binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(m[from:from+length]))
	}
	clear(h[16:20])
	sum := h[:min(int(binary.LittleEndian.Uint32(h[12:])), sectorSize)]
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(sum))
}

func put32(at int, v uint32) func(memory) {
	return func(m memory) { binary.LittleEndian.PutUint32(m[at:], v) }
}

func put64(at int, v uint64) func(memory) {
	return func(m memory) { binary.LittleEndian.PutUint64(m[at:], v) }
}

const (
	headerAt = 512
	firstAt  = 1024          // entry 1
	thirdAt  = 1024 + 14*128 // entry 15
	backupAt = size - 512    // header of the backup
	arrayAt  = size - 33*512 // entries of the backup
)

func TestTablesThatMakeNoSenseAreRefused(t *testing.T) {
	for name, damage := range map[string]func(memory){
		"no GPT header":               func(m memory) { m[headerAt] = 'X' },
		"revision":                    put32(headerAt+8, 0x00020000),
		"header of 91 bytes":          put32(headerAt+12, 91),
		"header of 4294967295 bytes":  put32(headerAt+12, 0xffffffff),
		"says that it is in sector 2": put64(headerAt+24, 2),
		"usable sectors are 1 ":       put64(headerAt+40, 1),
		"usable sectors are 34 to 33": put64(headerAt+48, 33),
		"34 to 32768 on a disk":       put64(headerAt+48, size/512),
		"34 to 18446744073709551615":  put64(headerAt+48, 1<<64-1),
		"entries in sector 1 are":     put64(headerAt+72, 1),
		"entries in sector 3 are":     put64(headerAt+72, 3),
		"entries in sector 32767 are": put64(headerAt+72, size/512-1),
		"entries in sector 9223":      put64(headerAt+72, 1<<63),
		"room for 0 ":                 put32(headerAt+80, 0),
		"room for 4294967295 ":        put32(headerAt+80, 0xffffffff),
		"entries of 64 bytes":         put32(headerAt+84, 64),
		"entries of 129 bytes":        put32(headerAt+84, 129),
		"entries of 8192 bytes":       put32(headerAt+84, 8192),
		"15 and 1 overlap":            put64(thirdAt+40, 8192),
		"sectors 33 to":               put64(firstAt+32, 33),
		"to 32735, outside":           put64(firstAt+40, size/512-33),
		"to 18446744073709551615, ":   put64(firstAt+40, 1<<64-1),
		"8192 to 8191, outside":       put64(firstAt+40, 8191),
		"the same GUID":               func(m memory) { copy(m[thirdAt+16:thirdAt+32], m[firstAt+16:]) },
	} {
		m := written(t, cloud(t, 512), size)
		m[backupAt] = 'X' // no second opinion
		damage(m)
		reseal(m, 512)
		_, err := gpt.Read(m, size, 512)
		if !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneWholeCopyIsEnough(t *testing.T) {
	flip := func(places ...int) func(memory) {
		return func(m memory) {
			for _, at := range places {
				m[at] ^= 1
			}
		}
	}
	for name, damage := range map[string]func(memory){
		"header in sector 1 is wrong":            flip(headerAt + 56),
		"entries in sector 2 is wrong":           flip(firstAt + 3*128),
		"backup GPT is damaged: bad partition t": flip(backupAt + 56),
		"entries in sector 32735 is wrong":       flip(arrayAt),
		"should be in sector 32768":              func(m memory) { put64(headerAt+32, size/512)(m); reseal(m, 512) },
		"are not the same":                       func(m memory) { put64(firstAt+48, 0)(m); reseal(m, 512) },
	} {
		m := written(t, cloud(t, 512), size)
		damage(m)
		table, err := gpt.Read(m, size, 512)
		if err != nil || table.Damage == nil || !strings.Contains(table.Damage.Error(), name) || len(table.Partitions) != 3 {
			t.Errorf("%s: %v, %+v", name, err, table)
			continue
		}
		if !strings.Contains(table.Damage.Error(), `"sgdisk -e DISK"`) {
			t.Errorf("%s: no word on how to repair it: %v", name, table.Damage)
		}
		// What it says helps.
		run(t, m, "", "sgdisk", "-e")
		if table, err = gpt.Read(m, size, 512); err != nil || table.Damage != nil || len(table.Partitions) != 3 {
			t.Errorf("%s, repaired: %v, %+v", name, err, table)
		}
	}
	for name, places := range map[string][]int{
		"headers": {headerAt + 56, backupAt + 56},
		"entries": {firstAt, arrayAt},
	} {
		m := written(t, cloud(t, 512), size)
		flip(places...)(m)
		if _, err := gpt.Read(m, size, 512); !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), "and its backup") {
			t.Errorf("both %s: %v", name, err)
		}
		if _, _, err := gpt.Detect(m, size); !errors.Is(err, gpt.ErrTable) {
			t.Errorf("both %s: detected, %v", name, err)
		}
	}
}

// TestDamageIsToldOfTheRightSectors has no header that is whole; the signature
// alone says how large the sectors are.
func TestDamageIsToldOfTheRightSectors(t *testing.T) {
	for sectorSize, want := range map[int]string{512: "no whole GPT: ", 4096: "no whole GPT, with sectors of 4096 bytes: "} {
		m := written(t, cloud(t, sectorSize), size)
		m[sectorSize+56] ^= 1
		m[size-sectorSize+56] ^= 1
		if _, _, err := gpt.Detect(m, size); !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "checksum of the GPT header in sector 1 ") {
			t.Errorf("sectors of %d bytes: %v", sectorSize, err)
		}
	}
}

// power cuts the writing of a table short.
type power struct {
	memory
	writes int
	synced []int
}

func (p *power) WriteAt(b []byte, off int64) (int, error) {
	if p.writes == 0 {
		return 0, io.ErrShortWrite
	}
	p.writes--
	return p.memory.WriteAt(b, off)
}

func (p *power) Sync() error {
	p.synced = append(p.synced, p.writes)
	return nil
}

func TestPowerCutLeavesATable(t *testing.T) {
	before := written(t, cloud(t, 512), size)
	after := cloud(t, 512)
	after.Partitions[0].Last++
	for writes := range 5 {
		p := &power{memory: slices.Clone(before), writes: writes}
		if err := after.Write(p, size); !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("%d writes: %v", writes, err)
		}
		if _, err := gpt.Read(p, size, 512); err != nil {
			t.Errorf("after %d writes: %v", writes, err)
		}
	}
	p := &power{memory: slices.Clone(before), writes: 5}
	if err := after.Write(p, size); err != nil || !slices.Equal(p.synced, []int{3, 1}) {
		t.Errorf("synced with %v writes left, %v", p.synced, err)
	}
}

func TestUnreadableDisks(t *testing.T) {
	m := written(t, cloud(t, 512), size)
	if _, err := gpt.Read(m[:700], size, 512); !errors.Is(err, io.EOF) {
		t.Errorf("short disk: %v", err)
	}
	if _, err := gpt.Read(m, size, 1024); !errors.Is(err, gpt.ErrTable) {
		t.Errorf("sectors of 1024 bytes: %v", err)
	}
	for _, small := range []int64{-512, 0, 511, 2047} {
		if _, err := gpt.Read(m, small, 512); !errors.Is(err, gpt.ErrTable) {
			t.Errorf("disk of %d bytes: %v", small, err)
		}
		if _, err := gpt.ReadMBR(bytes.NewReader(nil), small); err == nil {
			t.Errorf("disk of %d bytes has an MBR", small)
		}
	}
	if _, _, err := gpt.Detect(bytes.NewReader(nil), size); !errors.Is(err, io.EOF) {
		t.Errorf("empty disk: %v", err)
	}
}
