package snp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// Reports of each version to change.
const (
	reportV2 = "reports/milan-v2-vcek-120d77b213.bin"
	reportV3 = "reports/milan-v3-vcek-05b7438a3d.bin"
	reportV5 = "reports/turin-v5-vcek-56b3ee5497.bin"
)

func TestParseReportRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		offset     int
		value      byte
		want       error
	}{
		{"version 0", reportV3, 0x000, 0, snp.ErrReportVersion},
		{"version 1", reportV3, 0x000, 1, snp.ErrReportVersion},
		{"mitigation vectors in version 4", reportV5, 0x000, 4, snp.ErrReportFormat},
		{"CPUID in a report that says version 2", reportV3, 0x000, 2, snp.ErrReportFormat},
		{"policy without bit 17", reportV3, 0x00A, 0x01, snp.ErrReportFormat},
		{"policy with bit 26", reportV3, 0x00B, 0x04, snp.ErrReportFormat},
		{"policy with bit 63", reportV3, 0x00F, 0x80, snp.ErrReportFormat},
		{"no signature algorithm", reportV3, 0x034, 0, snp.ErrReportFormat},
		{"unknown signature algorithm", reportV3, 0x034, 2, snp.ErrReportFormat},
		{"reserved SIGNING_KEY", reportV3, 0x048, 2 << 2, snp.ErrReportFormat},
		{"reserved bit behind SIGNING_KEY", reportV3, 0x048, 1 << 5, snp.ErrReportFormat},
		{"reserved bytes behind SIGNING_KEY", reportV3, 0x04C, 1, snp.ErrReportFormat},
		{"CPUID in version 2", reportV2, 0x188, 0x19, snp.ErrReportFormat},
		{"reserved bytes behind CPUID", reportV3, 0x18B, 1, snp.ErrReportFormat},
		{"reserved bytes before CHIP_ID", reportV3, 0x19F, 1, snp.ErrReportFormat},
		{"reserved byte behind CURRENT_MAJOR", reportV3, 0x1EB, 1, snp.ErrReportFormat},
		{"reserved byte behind COMMITTED_MAJOR", reportV3, 0x1EF, 1, snp.ErrReportFormat},
		{"LAUNCH_MIT_VECTOR in version 2", reportV2, 0x1F8, 1, snp.ErrReportFormat},
		{"LAUNCH_MIT_VECTOR in version 3", reportV3, 0x1F8, 1, snp.ErrReportFormat},
		{"CURRENT_MIT_VECTOR in version 3", reportV3, 0x207, 1, snp.ErrReportFormat},
		{"reserved bytes behind the vectors", reportV5, 0x208, 1, snp.ErrReportFormat},
		{"last reserved byte before the signature", reportV5, 0x29F, 1, snp.ErrReportFormat},
		{"padding of R", reportV5, 0x2A0 + 48, 1, snp.ErrReportFormat},
		{"last padding of R", reportV5, 0x2E7, 1, snp.ErrReportFormat},
		{"padding of S", reportV5, 0x2E8 + 48, 1, snp.ErrReportFormat},
		{"last padding of S", reportV5, 0x32F, 1, snp.ErrReportFormat},
		{"reserved bytes behind S", reportV5, 0x330, 1, snp.ErrReportFormat},
		{"last byte", reportV5, 0x49F, 1, snp.ErrReportFormat},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := vectors.MustRead(t, tc.file)
			data[tc.offset] = tc.value
			if _, err := snp.ParseReport(data); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// later makes a report of a later version out of one.
func later(t *testing.T, file string, version uint32) []byte {
	t.Helper()
	data := vectors.MustRead(t, file)
	binary.LittleEndian.PutUint32(data, version)
	return data
}

// TestVersionsByLayout reads versions that keep the layout: 4 is sent by Milan at
// Google Cloud, and what comes after 5 may add fields in reserved bytes.
func TestVersionsByLayout(t *testing.T) {
	for _, tc := range []struct {
		file        string
		version     uint32
		mitigations bool
	}{{reportV3, 4, false}, {reportV5, 6, true}, {reportV5, 1<<24 | 3, true}} {
		data := later(t, tc.file, tc.version)
		before, err := snp.ParseReport(vectors.MustRead(t, tc.file))
		if err != nil {
			t.Fatal(err)
		}
		r, err := snp.ParseReport(data)
		if err != nil {
			t.Fatalf("version %d: %v", tc.version, err)
		}
		if r.Version != tc.version || *r.CPUID != *before.CPUID || r.Measurement != before.Measurement ||
			r.LaunchMitVector != before.LaunchMitVector || r.HasAdditions() {
			t.Errorf("version %d: got %+v", tc.version, r)
		}
	}
}

// TestAddedFields plays both sides of a later version: what it adds under the
// signature is passed over, what contradicts the known layout is refused.
func TestAddedFields(t *testing.T) {
	for _, offset := range []int{0x18B, 0x19F, 0x1EB, 0x1EF, 0x208, 0x29F} {
		data := later(t, reportV5, 6)
		data[offset] = 1
		r, err := snp.ParseReport(data)
		if err != nil {
			t.Errorf("offset %#x: %v", offset, err)
			continue
		}
		if !r.HasAdditions() || !bytes.Equal(r.Bytes(), data) {
			t.Errorf("offset %#x: the added field is lost", offset)
		}
	}
	for name, change := range map[string]func([]byte){
		"another signature algorithm":    func(b []byte) { b[0x34] = 2 },
		"a bit behind SIGNING_KEY":       func(b []byte) { b[0x48] = 1 << 5 },
		"another SIGNING_KEY":            func(b []byte) { b[0x48] = 2 << 2 },
		"bytes beside SIGNER_INFO":       func(b []byte) { b[0x4C] = 1 },
		"a policy bit":                   func(b []byte) { b[0x0B] = 4 },
		"a longer R":                     func(b []byte) { b[0x2A0+48] = 1 },
		"bytes that no signature covers": func(b []byte) { b[0x330] = 1 },
	} {
		data := later(t, reportV5, 6)
		change(data)
		if _, err := snp.ParseReport(data); !errors.Is(err, snp.ErrReportFormat) {
			t.Errorf("%s: got %v, want %v", name, err, snp.ErrReportFormat)
		}
	}
}

func TestParseReportSize(t *testing.T) {
	report := vectors.MustRead(t, reportV3)
	for _, data := range [][]byte{nil, report[:4], report[:snp.SignedSize], report[:len(report)-1], append(bytes.Clone(report), 0)} {
		if _, err := snp.ParseReport(data); !errors.Is(err, snp.ErrReportSize) {
			t.Errorf("%d bytes: got %v, want %v", len(data), err, snp.ErrReportSize)
		}
	}
}

// TestParseNotSigned reads the report of a host that masked the chip key: there
// is one, and internal/attestation/attest says why it proves nothing.
func TestParseNotSigned(t *testing.T) {
	data := vectors.MustRead(t, reportV3)
	data[0x48] = 1<<1 | 7<<2
	r, err := snp.ParseReport(data)
	if err != nil {
		t.Fatal(err)
	}
	if !r.MaskChipKey || r.SigningKey != snp.NotSigned || r.SigningKey.String() != "none" {
		t.Errorf("got MASK_CHIP_KEY %t, %s", r.MaskChipKey, r.SigningKey)
	}
}
