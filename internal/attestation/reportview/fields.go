// Package reportview shows the fields of attestation reports to people and
// programs, for the command line and the dashboard. It verifies nothing.
package reportview

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Field is one field of a report. Its value prints as text and as JSON.
type Field struct {
	Name  string
	Value any
}

// Fields returns every field of a report in the order of the ABI (56860
// rev. 1.58, table ATTESTATION_REPORT).
func Fields(r *snp.Report) []Field {
	fields := []Field{
		{"version", r.Version},
		{"guest_svn", r.GuestSVN},
		{"policy", shownPolicy(r.Policy)},
		{"family_id", attest.Bytes16(r.FamilyID)},
		{"image_id", attest.Bytes16(r.ImageID)},
		{"vmpl", r.VMPL},
		{"signature_algo", "ECDSA P-384 with SHA-384"}, // others do not parse
		{"current_tcb", newShownTCB(r, r.CurrentTCB)},
		{"platform_info", shownPlatform(r.PlatformInfo)},
		{"author_key_en", r.AuthorKeyEn},
		{"mask_chip_key", r.MaskChipKey},
		{"signing_key", r.SigningKey.String()},
		{"report_data", attest.Bytes64(r.ReportData)},
		{"measurement", attest.Bytes48(r.Measurement)},
		{"host_data", attest.Bytes32(r.HostData)},
		{"id_key_digest", attest.Bytes48(r.IDKeyDigest)},
		{"author_key_digest", attest.Bytes48(r.AuthorKeyDigest)},
		{"report_id", attest.Bytes32(r.ReportID)},
		{"report_id_ma", attest.Bytes32(r.ReportIDMA)},
		{"reported_tcb", newShownTCB(r, r.ReportedTCB)},
	}
	if r.CPUID != nil {
		fields = append(fields, Field{"cpuid", newShownCPUID(*r.CPUID)})
	}
	fields = append(fields,
		Field{"chip_id", attest.Bytes64(r.ChipID)},
		Field{"committed_tcb", newShownTCB(r, r.CommittedTCB)},
		Field{"current_firmware", r.Current},
		Field{"committed_firmware", r.Committed},
		Field{"launch_tcb", newShownTCB(r, r.LaunchTCB)},
	)
	if r.Version >= 5 {
		fields = append(fields,
			Field{"launch_mit_vector", attest.Bits64(r.LaunchMitVector)},
			Field{"current_mit_vector", attest.Bits64(r.CurrentMitVector)})
	}
	if r.HasAdditions() {
		fields = append(fields, Field{"unknown_fields", "present: this version has fields that are not read here"})
	}
	return append(fields,
		Field{"signature_r", attest.Bytes48(r.SignatureR)},
		Field{"signature_s", attest.Bytes48(r.SignatureS)})
}

// shownPolicy is the policy of a guest.
type shownPolicy idblock.GuestPolicy

// String returns the number and the names of its bits.
func (p shownPolicy) String() string {
	return fmt.Sprintf("%#x %s", uint64(p), idblock.GuestPolicy(p))
}

// MarshalJSON returns the number and each bit.
func (p shownPolicy) MarshalJSON() ([]byte, error) {
	g := idblock.GuestPolicy(p)
	return json.Marshal(map[string]any{
		"raw": attest.Bits64(p), "abi_major": g.ABIMajor(), "abi_minor": g.ABIMinor(),
		"smt": g.Has(idblock.PolicySMT), "migrate_ma": g.Has(idblock.PolicyMigrateMA), "debug": g.Has(idblock.PolicyDebug),
		"single_socket": g.Has(idblock.PolicySingleSocket), "cxl_allow": g.Has(idblock.PolicyCXLAllow),
		"aes_256_xts": g.Has(idblock.PolicyMemAES256XTS), "rapl_dis": g.Has(idblock.PolicyRAPLDis),
		"ciphertext_hiding": g.Has(idblock.PolicyCiphertextHiding), "page_swap_disable": g.Has(idblock.PolicyPageSwapDisable),
	})
}

// shownPlatform is PLATFORM_INFO.
type shownPlatform snp.PlatformInfo

// String returns the number and the names of its bits.
func (p shownPlatform) String() string { return fmt.Sprintf("%#x %s", uint64(p), snp.PlatformInfo(p)) }

// MarshalJSON returns the number and each bit.
func (p shownPlatform) MarshalJSON() ([]byte, error) {
	i := snp.PlatformInfo(p)
	return json.Marshal(map[string]any{
		"raw": attest.Bits64(p), "smt": i.Has(snp.PlatformSMT), "tsme": i.Has(snp.PlatformTSME), "ecc": i.Has(snp.PlatformECC),
		"rapl_disabled": i.Has(snp.PlatformRAPLDisabled), "ciphertext_hiding": i.Has(snp.PlatformCiphertextHiding),
		"alias_check_complete": i.Has(snp.PlatformAliasCheckComplete), "tio": i.Has(snp.PlatformTIO),
		"reserved": attest.Bits64(i.Reserved()),
	})
}

// shownTCB is a TCB version, with its components where the product is known.
type shownTCB struct {
	Raw      string `json:"raw"` // the bytes as the report has them
	*snp.TCB        // nil: not known
}

// newShownTCB decodes a TCB version. Reports before version 3 do not say their
// product, but those of Milan and Genoa have the same layout and Turin makes
// none.
func newShownTCB(r *snp.Report, raw [snp.TCBSize]byte) shownTCB {
	shown := shownTCB{Raw: fmt.Sprintf("%x", raw)}
	product := snp.Milan
	if r.CPUID != nil {
		var err error
		if product, err = r.CPUID.Product(); err != nil {
			return shown
		}
	}
	if tcb, err := snp.ParseTCB(product, raw); err == nil {
		shown.TCB = &tcb
	}
	return shown
}

// String returns the bytes and the components.
func (t shownTCB) String() string {
	if t.TCB == nil {
		return t.Raw + " not decoded: unknown product or reserved bits"
	}
	return t.Raw + " " + t.TCB.String()
}

// shownCPUID is what a report says of its chip since version 3.
type shownCPUID struct {
	Family   uint8  `json:"family"`
	Model    uint8  `json:"model"`
	Stepping uint8  `json:"stepping"`
	Product  string `json:"product"` // empty: not known
}

func newShownCPUID(c snp.CPUID) shownCPUID {
	product, err := c.Product()
	if err != nil {
		product = ""
	}
	return shownCPUID{c.Family, c.Model, c.Stepping, string(product)}
}

// String returns the numbers and the product line.
func (c shownCPUID) String() string {
	product := c.Product
	if product == "" {
		product = "unknown product"
	}
	return "family 0x" + strconv.FormatUint(uint64(c.Family), 16) + " model 0x" + strconv.FormatUint(uint64(c.Model), 16) +
		" stepping 0x" + strconv.FormatUint(uint64(c.Stepping), 16) + " " + product
}
