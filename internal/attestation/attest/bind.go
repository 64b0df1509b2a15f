package attest

import (
	"bytes"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// checkMasks refuses what no certificate can make genuine: reports of hosts that
// masked the chip key (56860 rev. 1.58, section 7.3: then the firmware does not
// sign), and reports under a VCEK of hosts that masked the chip ID.
func checkMasks(r *snp.Report) error {
	if r.MaskChipKey || r.SigningKey == snp.NotSigned {
		return &Refusal{Reason: ReasonChipKeyMasked, Subject: "MASK_CHIP_KEY"}
	}
	if r.SigningKey == snp.SignedByVCEK && r.ChipID == ([snp.ChipIDSize]byte{}) {
		return &Refusal{Reason: ReasonChipIDMasked, Subject: "CHIP_ID"}
	}
	return nil
}

// bind checks that the certificate with these extensions belongs to the report,
// and decodes the report's TCB versions.
func (v *Verified) bind(e *snp.Extensions) error {
	if v.Report.SigningKey != v.SigningKey {
		return &Refusal{
			Reason: ReasonSigningKey, Subject: "SIGNING_KEY",
			Found: v.Report.SigningKey.String(), Expected: v.SigningKey.String(),
		}
	}
	if err := v.bindProduct(); err != nil {
		return err
	}
	if err := v.decodeTCBs(); err != nil {
		return err
	}
	if v.SigningKey == snp.SignedByVCEK {
		if err := v.bindChip(e.HardwareID); err != nil {
			return err
		}
	}
	if v.ReportedTCB != e.TCB {
		return &Refusal{Reason: ReasonTCB, Subject: "REPORTED_TCB", Found: v.ReportedTCB.String(), Expected: e.TCB.String()}
	}
	return nil
}

// bindProduct compares the product line that the chip signed with the
// certificate's. Reports before version 3 do not say it, but Turin never made
// one.
func (v *Verified) bindProduct() error {
	if v.Report.CPUID == nil {
		if v.Product == snp.Turin {
			return &Refusal{
				Reason: ReasonProduct, Subject: "VERSION",
				Found: fmt.Sprintf("version %d with a certificate of Turin", v.Report.Version), Expected: "version 3 or later",
			}
		}
		return nil
	}
	product, err := v.Report.CPUID.Product()
	if err != nil {
		return &Refusal{Reason: ReasonProduct, Subject: "CPUID", Err: err}
	}
	if product != v.Product {
		return &Refusal{Reason: ReasonProduct, Subject: "CPUID", Found: string(product), Expected: string(v.Product)}
	}
	return nil
}

// decodeTCBs reads the report's four TCB versions in the product's layout.
func (v *Verified) decodeTCBs() error {
	for _, t := range []struct {
		name string
		raw  [snp.TCBSize]byte
		out  *snp.TCB
	}{
		{"CURRENT_TCB", v.Report.CurrentTCB, &v.CurrentTCB},
		{"REPORTED_TCB", v.Report.ReportedTCB, &v.ReportedTCB},
		{"COMMITTED_TCB", v.Report.CommittedTCB, &v.CommittedTCB},
		{"LAUNCH_TCB", v.Report.LaunchTCB, &v.LaunchTCB},
	} {
		var err error
		if *t.out, err = snp.ParseTCB(v.Product, t.raw); err != nil {
			return &Refusal{Reason: ReasonTCBReserved, Subject: t.name, Err: err}
		}
	}
	return nil
}

// bindChip compares CHIP_ID with the VCEK's hardware ID. Where that is shorter,
// on Turin, the rest of CHIP_ID is zero. A VLEK belongs to no chip, and hosts
// that use one mask CHIP_ID.
func (v *Verified) bindChip(hardwareID []byte) error {
	var want [snp.ChipIDSize]byte
	copy(want[:], hardwareID)
	if !bytes.Equal(v.Report.ChipID[:], want[:]) {
		return &Refusal{
			Reason: ReasonChipID, Subject: "CHIP_ID",
			Found: fmt.Sprintf("%x", v.Report.ChipID), Expected: fmt.Sprintf("%x", want),
		}
	}
	return nil
}
