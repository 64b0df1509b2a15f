package snp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-sev-guest/abi"
)

// Sizes in bytes (56860 rev. 1.58, table ATTESTATION_REPORT).
const (
	ReportSize     = abi.ReportSize     // a whole report
	SignedSize     = 0x2A0              // the part that the signature covers
	ReportDataSize = abi.ReportDataSize // REPORT_DATA
	ReportIDSize   = abi.ReportIDSize   // REPORT_ID
	ChipIDSize     = abi.ChipIDSize     // CHIP_ID
)

// Offsets of what go-sev-guest does not keep (same table).
const (
	offsetCurrentTCB   = 0x038
	offsetSignerInfo   = 0x048
	offsetReportedTCB  = 0x180
	offsetCPUID        = 0x188
	offsetCommittedTCB = 0x1E0
	offsetLaunchTCB    = 0x1F0
	offsetSignature    = SignedSize
	offsetSignatureR   = offsetSignature
	offsetSignatureS   = offsetSignature + 0x48
	signatureFieldSize = 0x48 // bytes kept for R and for S
	scalarSize         = 48   // bytes that a P-384 number needs
)

// Versions of the report (VERSION). Each adds fields in bytes that the one
// before reserves, and moves none; version 4 adds none to 3.
const (
	versionOldest      = 2 // the first of SEV-SNP's released firmware
	versionCPUID       = 3 // adds CPUID
	versionMitigations = 5 // adds the mitigation vectors
	versionNewest      = versionMitigations
)

// additionsAt are the signed bytes that the newest layout reserves, offset and
// end: where later versions add their fields. What is reserved beside
// SIGNER_INFO, which says how the report is signed, is not among them, nor is
// what no signature covers.
var additionsAt = [][2]int{{0x18B, 0x1A0}, {0x1EB, 0x1EC}, {0x1EF, 0x1F0}, {0x208, SignedSize}}

// Errors of ParseReport.
var (
	ErrReportSize    = errors.New("wrong report size")
	ErrReportVersion = errors.New("unknown report version")
	ErrReportFormat  = errors.New("malformed report")
)

// SigningKey says which kind of key signed a report (SIGNING_KEY).
type SigningKey uint8

// The kinds of keys that sign reports.
const (
	SignedByVCEK SigningKey = 0
	SignedByVLEK SigningKey = 1
	NotSigned    SigningKey = 7 // the host masked the chip key
)

// String returns the name of the key's certificate, or "none".
func (k SigningKey) String() string {
	switch k {
	case SignedByVCEK:
		return "VCEK"
	case SignedByVLEK:
		return "VLEK"
	case NotSigned:
		return "none"
	}
	return fmt.Sprintf("SIGNING_KEY %d", uint8(k))
}

// FirmwareVersion is a version of the SEV-SNP firmware.
type FirmwareVersion struct {
	Major uint8 `json:"major"`
	Minor uint8 `json:"minor"`
	Build uint8 `json:"build"`
}

// String returns MAJOR.MINOR.BUILD.
func (v FirmwareVersion) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Build) }

// Report is an attestation report (56860 rev. 1.58, table ATTESTATION_REPORT).
// TCB versions are kept as they are: their layout depends on the product.
type Report struct {
	Version          uint32
	GuestSVN         uint32
	Policy           uint64
	FamilyID         [16]byte
	ImageID          [16]byte
	VMPL             uint32
	CurrentTCB       [TCBSize]byte
	PlatformInfo     PlatformInfo
	AuthorKeyEn      bool
	MaskChipKey      bool
	SigningKey       SigningKey
	ReportData       [ReportDataSize]byte
	Measurement      [48]byte
	HostData         [32]byte
	IDKeyDigest      [48]byte
	AuthorKeyDigest  [48]byte
	ReportID         [ReportIDSize]byte
	ReportIDMA       [ReportIDSize]byte
	ReportedTCB      [TCBSize]byte
	CPUID            *CPUID // nil before version 3
	ChipID           [ChipIDSize]byte
	CommittedTCB     [TCBSize]byte
	Current          FirmwareVersion
	Committed        FirmwareVersion
	LaunchTCB        [TCBSize]byte
	LaunchMitVector  uint64 // zero before version 5
	CurrentMitVector uint64 // zero before version 5

	// SignatureR and SignatureS are big-endian.
	SignatureR, SignatureS [scalarSize]byte

	raw [ReportSize]byte
}

// Signed returns the bytes that the signature covers.
func (r *Report) Signed() []byte { return r.raw[:SignedSize] }

// Bytes returns the report as it was parsed.
func (r *Report) Bytes() []byte { return r.raw[:] }

// ParseReport reads a report strictly: exact size, version 2 or later, known
// signature algorithm, every bit zero that the version's layout reserves. Of
// versions later than 5 it reads the fields of version 5 and passes over what
// they add in reserved bytes under the signature; their other reserved bits have
// to be zero too. It checks no signature. The error wraps ErrReportSize,
// ErrReportVersion or ErrReportFormat.
func ParseReport(data []byte) (*Report, error) {
	if len(data) != ReportSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrReportSize, len(data), ReportSize)
	}
	version := binary.LittleEndian.Uint32(data)
	if version < versionOldest {
		return nil, fmt.Errorf("%w: %d, want %d or later", ErrReportVersion, version, versionOldest)
	}
	r, err := parseFields(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReportFormat, err)
	}
	return r, nil
}

// parseFields lets go-sev-guest read the fields and check the reserved ones,
// and adds what it leaves open.
func parseFields(data []byte) (*Report, error) {
	p, err := abi.ReportToProto(withoutAdditions(data))
	if err != nil {
		return nil, err
	}
	if p.SignatureAlgo != abi.SignEcdsaP384Sha384 {
		return nil, fmt.Errorf("signature algorithm %d, want %d (ECDSA P-384 with SHA-384)", p.SignatureAlgo, abi.SignEcdsaP384Sha384)
	}
	if p.Version < versionMitigations && (p.LaunchMitVector != 0 || p.CurrentMitVector != 0) {
		return nil, fmt.Errorf("mitigation vectors in a version %d report: %w", p.Version, errReserved)
	}
	signer, err := abi.ParseSignerInfo(binary.LittleEndian.Uint32(data[offsetSignerInfo:]))
	if err != nil {
		return nil, err
	}
	r := &Report{
		Version: p.Version, GuestSVN: p.GuestSvn, Policy: p.Policy, VMPL: p.Vmpl,
		FamilyID: [16]byte(p.FamilyId), ImageID: [16]byte(p.ImageId),
		CurrentTCB:   [TCBSize]byte(data[offsetCurrentTCB:]),
		PlatformInfo: PlatformInfo(p.PlatformInfo),
		AuthorKeyEn:  signer.AuthorKeyEn, MaskChipKey: signer.MaskChipKey, SigningKey: SigningKey(signer.SigningKey),
		ReportData: [ReportDataSize]byte(p.ReportData), Measurement: [48]byte(p.Measurement), HostData: [32]byte(p.HostData),
		IDKeyDigest: [48]byte(p.IdKeyDigest), AuthorKeyDigest: [48]byte(p.AuthorKeyDigest),
		ReportID: [ReportIDSize]byte(p.ReportId), ReportIDMA: [ReportIDSize]byte(p.ReportIdMa),
		ReportedTCB:     [TCBSize]byte(data[offsetReportedTCB:]),
		ChipID:          [ChipIDSize]byte(p.ChipId),
		CommittedTCB:    [TCBSize]byte(data[offsetCommittedTCB:]),
		Current:         FirmwareVersion{uint8(p.CurrentMajor), uint8(p.CurrentMinor), uint8(p.CurrentBuild)},
		Committed:       FirmwareVersion{uint8(p.CommittedMajor), uint8(p.CommittedMinor), uint8(p.CommittedBuild)},
		LaunchTCB:       [TCBSize]byte(data[offsetLaunchTCB:]),
		LaunchMitVector: p.LaunchMitVector, CurrentMitVector: p.CurrentMitVector,
		raw: [ReportSize]byte(data),
	}
	if r.Version >= versionCPUID {
		r.CPUID = &CPUID{Family: data[offsetCPUID], Model: data[offsetCPUID+1], Stepping: data[offsetCPUID+2]}
	}
	return r, r.parseSignature(data)
}

// withoutAdditions returns the report with the bytes zero in which versions later
// than the newest known one add fields.
func withoutAdditions(data []byte) []byte {
	if binary.LittleEndian.Uint32(data) <= versionNewest {
		return data
	}
	known := bytes.Clone(data)
	for _, added := range additionsAt {
		clear(known[added[0]:added[1]])
	}
	return known
}

// HasAdditions reports whether a version later than 5 says something in fields
// that are not known here.
func (r *Report) HasAdditions() bool {
	return !bytes.Equal(withoutAdditions(r.raw[:]), r.raw[:])
}

// parseSignature wants R and S to leave the rest of their fields zero.
// internal/attestation/attest checks their range.
func (r *Report) parseSignature(data []byte) error {
	for _, n := range []struct {
		field []byte
		out   *[scalarSize]byte
	}{
		{data[offsetSignatureR:offsetSignatureS], &r.SignatureR},
		{data[offsetSignatureS : offsetSignatureS+signatureFieldSize], &r.SignatureS},
	} {
		copy(n.out[:], n.field)
		slices.Reverse(n.out[:])
		if slices.ContainsFunc(n.field[scalarSize:], func(b byte) bool { return b != 0 }) {
			return fmt.Errorf("signature: %w", errReserved)
		}
	}
	return nil
}
