package sim

import (
	"crypto/sha512"
	"encoding/binary"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Offsets of the fields in a report (56860 rev. 1.58, table ATTESTATION_REPORT).
const (
	offsetVersion         = 0x000
	offsetGuestSVN        = 0x004
	offsetPolicy          = 0x008
	offsetFamilyID        = 0x010
	offsetImageID         = 0x020
	offsetVMPL            = 0x030
	offsetSignatureAlgo   = 0x034
	offsetCurrentTCB      = 0x038
	offsetPlatformInfo    = 0x040
	offsetSignerInfo      = 0x048
	offsetReportData      = 0x050
	offsetMeasurement     = 0x090
	offsetHostData        = 0x0C0
	offsetIDKeyDigest     = 0x0E0
	offsetAuthorKeyDigest = 0x110
	offsetReportID        = 0x140
	offsetReportIDMA      = 0x160
	offsetReportedTCB     = 0x180
	offsetCPUID           = 0x188
	offsetChipID          = 0x1A0
	offsetCommittedTCB    = 0x1E0
	offsetCurrent         = 0x1E8 // build, minor, major
	offsetCommitted       = 0x1EC // build, minor, major
	offsetLaunchTCB       = 0x1F0
	offsetLaunchMit       = 0x1F8
	offsetCurrentMit      = 0x200
	offsetSignatureR      = 0x2A0 // 72 bytes, little-endian
	offsetSignatureS      = 0x2E8 // 72 bytes, little-endian

	signatureAlgoP384 = 1 // ECDSA P-384 with SHA-384
)

// ReportTemplate returns a report as the chip's firmware would fill it in for a
// guest at VMPL 0 with the default policy: version 3, on Turin 5. The caller
// changes what it wants and has it signed with VEK.Report.
func ReportTemplate(c Chip) *snp.Report {
	cpuid := CPUID(c.Product)
	tcb := c.TCB.Bytes(c.Product)
	firmware := snp.FirmwareVersion{Major: 1, Minor: 55, Build: 40}
	r := &snp.Report{
		Version: 3, Policy: 0x30000, PlatformInfo: snp.PlatformSMT | snp.PlatformECC, CPUID: &cpuid,
		CurrentTCB: tcb, ReportedTCB: tcb, CommittedTCB: tcb, LaunchTCB: tcb,
		Current: firmware, Committed: firmware, ChipID: c.ID,
	}
	if c.Product == snp.Turin {
		r.Version = 5
	}
	id := sha512.Sum512(append([]byte("simulated report ID "), c.ID[:]...))
	copy(r.ReportID[:], id[:])
	// There is no migration agent.
	for i := range r.ReportIDMA {
		r.ReportIDMA[i] = 0xFF
	}
	return r
}

// EncodeReport returns a report's 1184 bytes without a signature, all reserved
// bytes zero. Only CPUID and the mitigation vectors depend on the version: what
// the template has is written, so wrong combinations can be made.
func EncodeReport(r *snp.Report) []byte {
	out := make([]byte, snp.ReportSize)
	le := binary.LittleEndian
	le.PutUint32(out[offsetVersion:], r.Version)
	le.PutUint32(out[offsetGuestSVN:], r.GuestSVN)
	le.PutUint64(out[offsetPolicy:], r.Policy)
	le.PutUint32(out[offsetVMPL:], r.VMPL)
	le.PutUint32(out[offsetSignatureAlgo:], signatureAlgoP384)
	le.PutUint64(out[offsetPlatformInfo:], uint64(r.PlatformInfo))
	le.PutUint32(out[offsetSignerInfo:], signerInfo(r))
	le.PutUint64(out[offsetLaunchMit:], r.LaunchMitVector)
	le.PutUint64(out[offsetCurrentMit:], r.CurrentMitVector)
	for offset, field := range map[int][]byte{
		offsetFamilyID:        r.FamilyID[:],
		offsetImageID:         r.ImageID[:],
		offsetCurrentTCB:      r.CurrentTCB[:],
		offsetReportData:      r.ReportData[:],
		offsetMeasurement:     r.Measurement[:],
		offsetHostData:        r.HostData[:],
		offsetIDKeyDigest:     r.IDKeyDigest[:],
		offsetAuthorKeyDigest: r.AuthorKeyDigest[:],
		offsetReportID:        r.ReportID[:],
		offsetReportIDMA:      r.ReportIDMA[:],
		offsetReportedTCB:     r.ReportedTCB[:],
		offsetChipID:          r.ChipID[:],
		offsetCommittedTCB:    r.CommittedTCB[:],
		offsetLaunchTCB:       r.LaunchTCB[:],
		offsetCurrent:         {r.Current.Build, r.Current.Minor, r.Current.Major},
		offsetCommitted:       {r.Committed.Build, r.Committed.Minor, r.Committed.Major},
	} {
		copy(out[offset:], field)
	}
	if r.CPUID != nil {
		copy(out[offsetCPUID:], []byte{r.CPUID.Family, r.CPUID.Model, r.CPUID.Stepping})
	}
	return out
}

// signerInfo returns the dword at 0x48: AUTHOR_KEY_EN, MASK_CHIP_KEY and
// SIGNING_KEY.
func signerInfo(r *snp.Report) uint32 {
	info := uint32(r.SigningKey) << 2
	if r.AuthorKeyEn {
		info |= 1 << 0
	}
	if r.MaskChipKey {
		info |= 1 << 1
	}
	return info
}
