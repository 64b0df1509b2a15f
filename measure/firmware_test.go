package measure_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Where s1_hashoff_123.fd keeps its tables: the footer entry, the metadata
// entry in front of it, and the metadata itself.
const (
	footerAt        = -32 - 18
	metadataEntryAt = footerAt - 22
	metadataAt      = -0x600
	firstSectionAt  = metadataAt + 16
)

// broken returns a good firmware with bytes replaced at an offset from its end.
func broken(tb testing.TB, offset int, with ...byte) []byte {
	data := vectors.MustRead(tb, "measure/inputs/synth/s1_hashoff_123.fd")
	copy(data[len(data)+offset:], with)
	return data
}

func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func TestParseFirmwareRefuses(t *testing.T) {
	const section = 12 // bytes of a section descriptor
	for _, tc := range []struct {
		name string
		data []byte
		want error
		says string
	}{
		{"empty", nil, measure.ErrFirmwareSize, "0 bytes"},
		{"half a page", make([]byte, 2048), measure.ErrFirmwareSize, "2048 bytes"},
		{"too large", make([]byte, measure.MaxFirmwareSize+measure.PageSize), measure.ErrFirmwareSize, "16 MiB"},
		{"zeros", make([]byte, 4096), measure.ErrNoFooter, "X64 OVMF"},
		{"footer GUID", broken(t, footerAt+2, 0xFF), measure.ErrNoFooter, "96b582de-"},
		{"table smaller than its footer", broken(t, footerAt, 17, 0), measure.ErrBadFooter, "17 bytes"},
		{"table larger than the file", broken(t, footerAt, 0xFF, 0xFF), measure.ErrBadFooter, "65535 bytes"},
		{"entry smaller than its header", broken(t, metadataEntryAt+4, 17, 0), measure.ErrBadFooter, "17 bytes"},
		{"entry larger than the table", broken(t, metadataEntryAt+4, 0xFF, 0xFF), measure.ErrBadFooter, "65535 bytes"},
		{"no metadata entry", broken(t, metadataEntryAt+6, 0xFF), measure.ErrNoMetadata, "cannot start an SEV-SNP guest"},
		{"metadata behind the end", broken(t, metadataEntryAt, le32(8)...), measure.ErrBadMetadata, "0x8 bytes before"},
		{"metadata before the start", broken(t, metadataEntryAt, le32(1<<31)...), measure.ErrBadMetadata, "0x80000000 bytes before"},
		{"metadata signature", broken(t, metadataAt, 'X'), measure.ErrBadMetadata, `signature "XSEV"`},
		{"metadata length", broken(t, metadataAt+4, le32(1<<30)...), measure.ErrBadMetadata, "header claims 1073741824"},
		{"metadata version", broken(t, metadataAt+8, le32(2)...), measure.ErrBadMetadata, "version 2"},
		{"more sections than bytes", broken(t, metadataAt+12, le32(8)...), measure.ErrBadMetadata, "8 sections need 112 bytes"},
		{"sections past any file", broken(t, metadataAt+12, le32(0xFFFFFFFF)...), measure.ErrBadMetadata, "4294967295 sections"},
		{"unknown section", broken(t, firstSectionAt+8, le32(7)...), measure.ErrUnknownSection, "section 0"},
		{"unaligned address", broken(t, firstSectionAt, le32(0x800010)...), measure.ErrBadMetadata, "not whole pages"},
		{"unaligned size", broken(t, firstSectionAt+4, le32(0x10)...), measure.ErrBadMetadata, "not whole pages"},
		{"overlap", broken(t, firstSectionAt+4, le32(0xB000)...), measure.ErrBadMetadata, "SNP_SEC_MEM at 0x800000 overlaps SNP_SEC_MEM at 0x80a000"},
		{"into the firmware", broken(t, firstSectionAt, le32(0xFFFF0000)...), measure.ErrBadMetadata, "reaches into the firmware at 0xffff0000"},
		{"past 4 GiB", broken(t, firstSectionAt, append(le32(0x900000), le32(0xFFFFF000)...)...), measure.ErrBadMetadata, "reaches into the firmware"},
		{"two secrets pages", broken(t, firstSectionAt+2*section+4, le32(0x2000)...), measure.ErrBadMetadata, "SNP_SECRETS at 0x80d000 has 0x2000 bytes, want one page"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := measure.ParseFirmware(tc.data)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v\nwant %v that says %q", err, tc.want, tc.says)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	const hashEntryAt = metadataEntryAt - 26 // the place of the hashes table
	// The last two sections: memory, which makes room, and SNP_KERNEL_HASHES.
	twoPages := slices.Concat(le32(0x812000), le32(0xE000), le32(1), le32(0x810000), le32(0x2000))
	svsmBehind := vectors.MustRead(t, "measure/inputs/fw/svsm.bin")
	info := []byte("\x12\xa6\x89\xa7\x97\x05\x4b\x4c\xa4\x9f\xcb\xb1\xfe\x9d\x1d\xdd") // SVSM_INFO_GUID
	copy(svsmBehind[bytes.LastIndex(svsmBehind, info)-6:], le32(uint32(len(svsmBehind))))
	good := parse(t, broken(t, 0))
	suffix := parse(t, vectors.MustRead(t, "measure/inputs/fw/ovmf_OvmfX64_suffix.bin"))
	svsm := parse(t, vectors.MustRead(t, "measure/inputs/fw/svsm.bin"))
	kernel, digest := &measure.KernelHashes{}, &measure.Digest{}
	for _, tc := range []struct {
		name   string
		config measure.Config
		want   error
		says   string
	}{
		{"no firmware", measure.Config{}, measure.ErrConfig, "no firmware"},
		{"kernel without hashes section", measure.Config{Firmware: suffix, Kernel: kernel}, measure.ErrNoKernelHashes, "AmdSev build of OVMF"},
		{"kernel without hashes place", measure.Config{Firmware: parse(t, broken(t, hashEntryAt, le32(0)...)), Kernel: kernel}, measure.ErrNoKernelHashes, "names no place"},
		{"hashes outside their section", measure.Config{Firmware: parse(t, broken(t, hashEntryAt, le32(0x80D000)...)), Kernel: kernel}, measure.ErrBadMetadata, "does not fit the SNP_KERNEL_HASHES section"},
		{"hashes past their section", measure.Config{Firmware: parse(t, broken(t, hashEntryAt, le32(0x810F51)...)), Kernel: kernel}, measure.ErrBadMetadata, "at 0x810f51 does not fit"},
		{"hashes in two pages", measure.Config{Firmware: parse(t, broken(t, firstSectionAt+5*12, twoPages...)), Kernel: kernel}, measure.ErrBadMetadata, "SNP_KERNEL_HASHES at 0x810000 has 0x2000 bytes, want one page"},
		{"no reset vector", measure.Config{Firmware: parse(t, broken(t, hashEntryAt-26-22+6, 0xFF))}, measure.ErrNoResetVector, "SEV-ES"},
		{"SVSM under EC2", measure.Config{VMM: measure.EC2, Firmware: good, SVSM: svsm, SVSMVarsSize: 4096}, measure.ErrConfig, "needs QEMU, not ec2"},
		{"SVSM with kernel", measure.Config{Firmware: good, SVSM: svsm, SVSMVarsSize: 4096, Kernel: kernel}, measure.ErrConfig, "together with an SVSM"},
		{"SVSM with firmware digest", measure.Config{Firmware: good, SVSM: svsm, SVSMVarsSize: 4096, FirmwareDigest: digest}, measure.ErrConfig, "firmware digest"},
		{"SVSM without variables", measure.Config{Firmware: good, SVSM: svsm}, measure.ErrConfig, "whole pages"},
		{"SVSM without room", measure.Config{Firmware: good, SVSM: svsm, SVSMVarsSize: 0xFFFFF000}, measure.ErrConfig, "no room"},
		{"variables without SVSM", measure.Config{Firmware: good, SVSMVarsSize: 4096}, measure.ErrConfig, "without an SVSM"},
		{"SVSM that starts behind itself", measure.Config{Firmware: good, SVSM: parse(t, svsmBehind), SVSMVarsSize: 4096}, measure.ErrBadFooter, "SVSM starts at offset"},
		{"firmware as SVSM", measure.Config{Firmware: good, SVSM: good, SVSMVarsSize: 4096}, measure.ErrBadFooter, "COCONUT-SVSM"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := measure.New(tc.config)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v\nwant %v that says %q", err, tc.want, tc.says)
			}
		})
	}
}

func parse(tb testing.TB, data []byte) *measure.Firmware {
	tb.Helper()
	f, err := measure.ParseFirmware(data)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func TestSectionsKeepTableOrder(t *testing.T) {
	f := parse(t, vectors.MustRead(t, "measure/inputs/synth/s2_order_shuffled.fd"))
	want := []measure.SectionType{
		measure.SectionSNPKernelHashes, measure.SectionCPUID, measure.SectionSNPSecMem,
		measure.SectionSNPSecrets, measure.SectionSNPSecMem,
	}
	for i, s := range f.Sections() {
		if s.Type != want[i] {
			t.Errorf("section %d: got %s, want %s", i, s.Type, want[i])
		}
	}
}

// FuzzParseFirmware feeds hostile firmware through everything that reads it.
func FuzzParseFirmware(f *testing.F) {
	f.Add(vectors.MustRead(f, "measure/inputs/synth/s3_onepage.fd"))
	f.Add(vectors.MustRead(f, "measure/inputs/fw/ovmf_AmdSev_suffix.bin"))
	f.Add(vectors.MustRead(f, "measure/inputs/synth/n2_meta_version2.fd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The tables lie at the end: let the fuzzer forget about page size.
		if short := len(data) % measure.PageSize; short != 0 {
			data = append(make([]byte, measure.PageSize-short), data...)
		}
		firmware, err := measure.ParseFirmware(data)
		if err != nil {
			return
		}
		var pages uint64
		for _, s := range firmware.Sections() {
			pages += uint64(s.Size) / measure.PageSize
		}
		if pages > 4096 {
			return // valid, but slow to measure
		}
		for _, vmm := range []measure.VMM{measure.QEMU, measure.EC2, measure.GCE} {
			launch, err := measure.New(measure.Config{VMM: vmm, Firmware: firmware, Kernel: &measure.KernelHashes{}})
			if err != nil {
				continue
			}
			if _, err := measure.Explain(launch, measure.VCPUs{Count: 2}); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestParseFirmwareAllocatesLittle gives a small file that claims 1 GiB of
// sections: a parser that believes it would allocate for them.
func TestParseFirmwareAllocatesLittle(t *testing.T) {
	data := broken(t, metadataAt+4, append(append(le32(1<<30), le32(1)...), le32(89_000_000)...)...)
	bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := measure.ParseFirmware(data); !errors.Is(err, measure.ErrBadMetadata) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if bytes > 64<<10 {
		t.Errorf("allocates %d bytes", bytes)
	}
}

// FuzzFirmwareTables fuzzes what lies behind a good footer: the table in front
// of it and the SNP metadata.
func FuzzFirmwareTables(f *testing.F) {
	good := broken(f, 0)
	end := len(good)
	f.Add(good[end+footerAt-140:end+footerAt], good[end+metadataAt:end+metadataAt+16+7*12])
	f.Fuzz(func(t *testing.T, table, metadata []byte) {
		if len(table) > 0x400 || len(metadata) > 0x180 {
			return
		}
		data := make([]byte, 2*measure.PageSize)
		copy(data, good[end-len(data):])
		end := len(data)
		copy(data[end+footerAt:], binary.LittleEndian.AppendUint16(nil, uint16(len(table)+18)))
		copy(data[end+footerAt-len(table):], table)
		copy(data[end+metadataAt:], metadata)
		firmware, err := measure.ParseFirmware(data)
		if err != nil {
			return
		}
		if _, err := firmware.KernelHashesGPA(); err == nil && len(firmware.Sections()) == 0 {
			t.Error("a place for hashes without a section")
		}
	})
}
