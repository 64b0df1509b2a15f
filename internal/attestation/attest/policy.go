package attest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// PolicyVersion is the version of the policy document's format.
const PolicyVersion = 1

// ErrPolicy is a policy that means nothing or that no report can meet.
var ErrPolicy = errors.New("invalid report policy")

// Policy says which genuine reports are acceptable. A field that is not set asks
// for nothing, with five exceptions that have to be lifted in so many words: the
// report is signed by a VCEK, comes from VMPL 0 and reaches ShippedFloors, and the
// guest's policy allows neither debugging nor a migration agent. docs/report-policy.md explains the document and each field.
type Policy struct {
	Version int `json:"version"` // PolicyVersion

	MinReportVersion uint32        `json:"min_report_version,omitempty"`
	Products         []snp.Product `json:"products,omitempty"`
	SigningKeys      []string      `json:"signing_keys,omitempty"` // "VCEK", "VLEK"; nil: VCEK
	CSPIDs           []string      `json:"csp_ids,omitempty"`      // a VCEK has none and fails
	AllowedChips     []ChipID      `json:"allowed_chips,omitempty"`
	DeniedChips      []ChipID      `json:"denied_chips,omitempty"` // a masked chip ID fails

	VMPLs       []uint32         `json:"vmpls,omitempty"` // nil: VMPL 0
	GuestPolicy GuestPolicyRules `json:"guest_policy,omitzero"`
	MinGuestSVN uint32           `json:"min_guest_svn,omitempty"`

	Measurements     []Bytes48 `json:"measurements,omitempty"`
	IDKeyDigests     []Bytes48 `json:"id_key_digests,omitempty"`
	AuthorKey        *bool     `json:"author_key,omitempty"` // AUTHOR_KEY_EN
	AuthorKeyDigests []Bytes48 `json:"author_key_digests,omitempty"`
	FamilyID         *Bytes16  `json:"family_id,omitempty"`
	ImageID          *Bytes16  `json:"image_id,omitempty"`
	HostData         *Bytes32  `json:"host_data,omitempty"`
	ReportData       *Bytes64  `json:"report_data,omitempty"`

	Platform           PlatformRules       `json:"platform,omitzero"`
	MinFirmware        snp.FirmwareVersion `json:"min_firmware,omitzero"` // committed, never rolled back
	TCBFloors          TCBFloors           `json:"tcb_floors,omitzero"`
	LaunchMitigations  Bits64              `json:"launch_mitigations,omitempty"`  // bits that are needed
	CurrentMitigations Bits64              `json:"current_mitigations,omitempty"` // bits that are needed
}

// GuestPolicyRules judge the policy that the guest was launched with. A bit that
// is nil may be either.
type GuestPolicyRules struct {
	AllowDebug          bool `json:"allow_debug,omitempty"`
	AllowMigrationAgent bool `json:"allow_migration_agent,omitempty"`

	SMT              *bool      `json:"smt,omitempty"`
	SingleSocket     *bool      `json:"single_socket,omitempty"`
	CXL              *bool      `json:"cxl,omitempty"`
	MemAES256XTS     *bool      `json:"aes_256_xts,omitempty"`
	RAPLDisabled     *bool      `json:"rapl_disabled,omitempty"`
	CiphertextHiding *bool      `json:"ciphertext_hiding,omitempty"`
	PageSwapDisabled *bool      `json:"page_swap_disabled,omitempty"`
	MinABI           ABIVersion `json:"min_abi,omitzero"`
}

// ABIVersion is a version of the firmware ABI.
type ABIVersion struct {
	Major uint8 `json:"major"`
	Minor uint8 `json:"minor"`
}

// String returns MAJOR.MINOR.
func (v ABIVersion) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// PlatformRules judge PLATFORM_INFO. A bit that is nil may be either. Bits that
// have no name here are passed over unless KnownBitsOnly is set: Turin's
// firmware sets one that the ABI calls reserved.
type PlatformRules struct {
	SMT                *bool `json:"smt,omitempty"`
	TSME               *bool `json:"tsme,omitempty"`
	ECC                *bool `json:"ecc,omitempty"`
	RAPLDisabled       *bool `json:"rapl_disabled,omitempty"`
	CiphertextHiding   *bool `json:"ciphertext_hiding,omitempty"`
	AliasCheckComplete *bool `json:"alias_check_complete,omitempty"`
	TIO                *bool `json:"tio,omitempty"`
	KnownBitsOnly      bool  `json:"known_bits_only,omitempty"`
}

// Validate refuses a policy that cannot mean what it says. The error wraps
// ErrPolicy.
func (p *Policy) Validate() error {
	for _, check := range []func() error{p.checkVersion, p.checkLists, p.checkValues, p.TCBFloors.check} {
		if err := check(); err != nil {
			return fmt.Errorf("%w: %w", ErrPolicy, err)
		}
	}
	return nil
}

func (p *Policy) checkVersion() error {
	if p.Version != PolicyVersion {
		return fmt.Errorf("version is %d, want %d", p.Version, PolicyVersion)
	}
	return nil
}

// checkLists refuses empty lists: they would allow nothing, or seem to.
func (p *Policy) checkLists() error {
	for name, empty := range map[string]bool{
		"products":           p.Products != nil && len(p.Products) == 0,
		"signing_keys":       p.SigningKeys != nil && len(p.SigningKeys) == 0,
		"csp_ids":            p.CSPIDs != nil && len(p.CSPIDs) == 0,
		"allowed_chips":      p.AllowedChips != nil && len(p.AllowedChips) == 0,
		"denied_chips":       p.DeniedChips != nil && len(p.DeniedChips) == 0,
		"vmpls":              p.VMPLs != nil && len(p.VMPLs) == 0,
		"measurements":       p.Measurements != nil && len(p.Measurements) == 0,
		"id_key_digests":     p.IDKeyDigests != nil && len(p.IDKeyDigests) == 0,
		"author_key_digests": p.AuthorKeyDigests != nil && len(p.AuthorKeyDigests) == 0,
	} {
		if empty {
			return fmt.Errorf("%s is empty; leave it out to ask for nothing", name)
		}
	}
	return nil
}

// checkValues refuses values that no report has.
func (p *Policy) checkValues() error {
	for _, product := range p.Products {
		if _, err := snp.ParseProduct(string(product)); err != nil {
			return fmt.Errorf("products: %w", err)
		}
	}
	for _, key := range p.SigningKeys {
		if key != snp.SignedByVCEK.String() && key != snp.SignedByVLEK.String() {
			return fmt.Errorf("signing_keys: unknown key %q, want VCEK or VLEK", key)
		}
	}
	if slices.Contains(p.CSPIDs, "") {
		return errors.New("csp_ids: a CSP ID is empty")
	}
	if p.CSPIDs != nil && !slices.Contains(p.SigningKeys, snp.SignedByVLEK.String()) {
		return errors.New("csp_ids: only a VLEK belongs to a provider; put VLEK into signing_keys")
	}
	for _, vmpl := range p.VMPLs {
		if vmpl > 3 {
			return fmt.Errorf("vmpls: there is no VMPL %d", vmpl)
		}
	}
	return nil
}
