package kds_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func TestParseChipList(t *testing.T) {
	chip := strings.Repeat("ab", 64)
	list := "# chips of rack 7\n\n" +
		"Milan," + chip + ",bootloader=3,tee=0,snp=8,microcode=115\r\n" +
		"  Genoa , " + strings.ToUpper(chip) + " , microcode=84, snp=23, tee=0, bootloader=10\n" +
		"Turin,3b42092f69c656d3,fmc=1,bootloader=2,tee=3,snp=4,microcode=71\n" +
		"Turin,3b42092f69c656d3" + strings.Repeat("00", 56) + ",fmc=1,bootloader=2,tee=3,snp=4,microcode=71\n" + // the same
		"Milan," + chip + ",bootloader=3,tee=0,snp=8,microcode=116"
	keys, err := kds.ParseChipList(strings.NewReader(list))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		got = append(got, k.String())
	}
	want := fmt.Sprint([]string{
		"vcek-Milan-" + chip + "-0300000000000873.der",
		"vcek-Genoa-" + chip + "-0a00000000001754.der",
		"vcek-Turin-3b42092f69c656d3-0102030400000047.der",
		"vcek-Milan-" + chip + "-0300000000000874.der",
	})
	if fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseBadChipLists(t *testing.T) {
	chip, tcb := strings.Repeat("ab", 64), "bootloader=3,tee=0,snp=8,microcode=115"
	for name, line := range map[string]string{
		"words":              "hello",
		"no TCB":             "Milan," + chip,
		"other product":      "Rome," + chip + "," + tcb,
		"short chip":         "Milan," + chip[2:] + "," + tcb,
		"odd chip":           "Milan," + chip[1:] + "," + tcb,
		"no hexadecimal":     "Milan," + strings.Repeat("xy", 64) + "," + tcb,
		"long chip on Turin": "Turin," + chip + ",fmc=1," + tcb,
		"hidden chip":        "Milan," + strings.Repeat("00", 64) + "," + tcb,
		"no FMC on Turin":    "Turin,3b42092f69c656d3," + tcb,
		"FMC on Milan":       "Milan," + chip + ",fmc=1," + tcb,
		"component missing":  "Milan," + chip + ",bootloader=3,tee=0,snp=8",
		"component twice":    "Milan," + chip + "," + tcb + ",snp=8",
		"component unknown":  "Milan," + chip + "," + tcb + ",x=8",
		"component too big":  "Milan," + chip + ",bootloader=3,tee=0,snp=8,microcode=256",
		"component negative": "Milan," + chip + ",bootloader=3,tee=0,snp=8,microcode=-1",
		"component hex":      "Milan," + chip + ",bootloader=3,tee=0,snp=8,microcode=0x73",
		"no number":          "Milan," + chip + ",bootloader=3,tee=0,snp=8,microcode",
		"empty component":    "Milan," + chip + "," + tcb + ",",
		"long line":          "#" + strings.Repeat("x", 5000),
	} {
		keys, err := kds.ParseChipList(strings.NewReader("# one\n" + line + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: got %v, %v", name, keys, err)
		}
	}
}

func TestChipListIsBounded(t *testing.T) {
	for limit, list := range map[string]io.Reader{
		"more than 100000 chips": &endless{line: func(i int) string { return fmt.Sprintf("Turin,%016x,fmc=1,bootloader=2,tee=3,snp=4,microcode=71\n", i) }},
		"more than 64 MiB":       &endless{line: func(int) string { return "#" + strings.Repeat("x", 4000) + "\n" }},
	} {
		if _, err := kds.ParseChipList(list); err == nil || !strings.Contains(err.Error(), limit) {
			t.Errorf("got %v, want %s", err, limit)
		}
	}
}

// endless is a reader that never ends.
type endless struct {
	line func(int) string
	rest string
	n    int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.n++
		e.rest = e.line(e.n)
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestFormatTCB(t *testing.T) {
	for _, p := range snp.Products() {
		tcb := snp.TCB{BootLoader: 1, TEE: 2, SNP: 3, Microcode: 255}
		if p == snp.Turin {
			tcb.FMC = 4
		}
		if got, err := kds.ParseTCB(p, kds.FormatTCB(p, tcb)); err != nil || got != tcb {
			t.Errorf("%s: got %v, %v, want %v", p, got, err, tcb)
		}
	}
}

func FuzzParseChipList(f *testing.F) {
	f.Add("Milan," + strings.Repeat("ab", 64) + ",bootloader=3,tee=0,snp=8,microcode=115\n")
	f.Add("# x\n\nTurin,3b42092f69c656d3,fmc=1,bootloader=2,tee=3,snp=4,microcode=71")
	f.Fuzz(func(t *testing.T, list string) {
		keys, err := kds.ParseChipList(strings.NewReader(list))
		if err != nil {
			return
		}
		var again strings.Builder
		for _, k := range keys {
			fmt.Fprintf(&again, "%s,%x,%s\n", k.Product, k.ChipID, kds.FormatTCB(k.Product, k.TCB))
		}
		same, err := kds.ParseChipList(strings.NewReader(again.String()))
		if err != nil || fmt.Sprint(same) != fmt.Sprint(keys) {
			t.Errorf("%q: got %v, then %v, %v", list, keys, same, err)
		}
	})
}
