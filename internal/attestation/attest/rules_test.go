package attest_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// sample returns a genuine report, of Turin and version 5, that meets everyField
// but for its CSP ID.
func sample() *attest.Verified {
	v := &attest.Verified{
		Report: &snp.Report{
			Version: 5, GuestSVN: 7, Policy: uint64(idblock.DefaultPolicy) | 1<<21 | 1<<22 | 1<<24 | 1<<25 | 1<<8 | 55,
			PlatformInfo: snp.PlatformSMT | snp.PlatformECC | snp.PlatformRAPLDisabled | snp.PlatformCiphertextHiding | snp.PlatformAliasCheckComplete,
			AuthorKeyEn:  true, Committed: snp.FirmwareVersion{Major: 1, Minor: 55, Build: 40},
			LaunchMitVector: 0x1F, CurrentMitVector: 1 << 63,
		},
		Product: snp.Turin, SigningKey: snp.SignedByVCEK,
		ReportedTCB:  snp.TCB{FMC: 1, BootLoader: 2, TEE: 3, SNP: 4, Microcode: 5},
		CommittedTCB: snp.TCB{FMC: 1}, LaunchTCB: snp.TCB{TEE: 1},
	}
	copy(v.Report.ChipID[:], []byte{1, 2, 3, 4, 5, 6, 7, 8})
	for _, field := range []struct {
		out   []byte
		value byte
	}{
		{v.Report.FamilyID[:], 0x1A}, {v.Report.ImageID[:], 0x1A}, {v.Report.HostData[:], 0x2B}, {v.Report.ReportData[:], 0x4D},
		{v.Report.Measurement[:], 0x3C}, {v.Report.IDKeyDigest[:], 0x3C}, {v.Report.AuthorKeyDigest[:], 0x3C},
	} {
		for i := range field.out {
			field.out[i] = field.value
		}
	}
	return v
}

// current is the sample on a chip with the firmware of late 2026.
func current() *attest.Verified {
	v := sample()
	v.ReportedTCB = snp.TCB{FMC: 1, BootLoader: 3, TEE: 2, SNP: 5, Microcode: 97}
	v.CommittedTCB, v.LaunchTCB = v.ReportedTCB, v.ReportedTCB
	return v
}

func mustPolicy(t *testing.T, document string) *attest.Policy {
	t.Helper()
	p, err := attest.ParsePolicy([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ruleCase changes the sample so that one rule fails.
type ruleCase struct {
	name     string // the rule
	change   func(*attest.Verified)
	expected string
	found    string
}

// ruleCases has everyField in mind, without csp_ids.
func ruleCases() []ruleCase {
	policyBit := func(bit int) func(*attest.Verified) { return func(v *attest.Verified) { v.Report.Policy ^= 1 << bit } }
	platformBit := func(bit snp.PlatformInfo) func(*attest.Verified) {
		return func(v *attest.Verified) { v.Report.PlatformInfo ^= bit }
	}
	return []ruleCase{
		{"min_report_version", func(v *attest.Verified) { v.Report.Version = 2 }, "at least 3", "2"},
		{"products", func(v *attest.Verified) { v.Product = snp.Genoa }, "Turin", "Genoa"},
		{"signing_keys", func(v *attest.Verified) { v.SigningKey = snp.NotSigned }, "VCEK or VLEK", "none"},
		{"allowed_chips", func(v *attest.Verified) { v.Report.ChipID[7]++ }, hexLower64 + " or 0102030405060708", "0102030405060709"},
		{"allowed_chips", func(v *attest.Verified) { v.Report.ChipID = [64]byte{} }, hexLower64 + " or 0102030405060708", "masked by the host"},
		{"denied_chips", func(v *attest.Verified) { v.Report.ChipID, v.Product = v.Report.ReportData, snp.Genoa }, "not " + hexLower64, hexLower64},
		{"denied_chips", func(v *attest.Verified) { v.Report.ChipID = [64]byte{} }, "not " + hexLower64, "masked by the host"},
		{"vmpls", func(v *attest.Verified) { v.Report.VMPL = 2 }, "0 or 1", "2"},
		{"guest_policy.smt", policyBit(16), "true", "false"},
		{"guest_policy.single_socket", policyBit(20), "false", "true"},
		{"guest_policy.cxl", policyBit(21), "true", "false"},
		{"guest_policy.aes_256_xts", policyBit(22), "true", "false"},
		{"guest_policy.rapl_disabled", policyBit(23), "false", "true"},
		{"guest_policy.ciphertext_hiding", policyBit(24), "true", "false"},
		{"guest_policy.page_swap_disabled", policyBit(25), "true", "false"},
		{"guest_policy.min_abi", func(v *attest.Verified) { v.Report.Policy-- }, "at least 1.55", "1.54"},
		{"guest_policy.min_abi", func(v *attest.Verified) { v.Report.Policy = v.Report.Policy&^0xFFFF | 0xFF }, "at least 1.55", "0.255"},
		{"min_guest_svn", func(v *attest.Verified) { v.Report.GuestSVN-- }, "at least 7", "6"},
		{"measurements", func(v *attest.Verified) { v.Report.Measurement[47]++ }, hex48, hex48[:94] + "3d"},
		{"id_key_digests", func(v *attest.Verified) { v.Report.IDKeyDigest[47]++ }, hex48, hex48[:94] + "3d"},
		{"author_key", func(v *attest.Verified) { v.Report.AuthorKeyEn = false }, "true", "false"},
		{"author_key_digests", func(v *attest.Verified) { v.Report.AuthorKeyDigest[47]++ }, hex48, hex48[:94] + "3d"},
		{"family_id", func(v *attest.Verified) { v.Report.FamilyID[15]++ }, hex16, hex16[:30] + "1b"},
		{"image_id", func(v *attest.Verified) { v.Report.ImageID[15]++ }, hex16, hex16[:30] + "1b"},
		{"host_data", func(v *attest.Verified) { v.Report.HostData[31]++ }, hex32, hex32[:62] + "2c"},
		{"report_data", func(v *attest.Verified) { v.Report.ReportData[63]++ }, hexLower64, hexLower64[:126] + "4e"},
		{"platform.smt", platformBit(snp.PlatformSMT), "true", "false"},
		{"platform.tsme", platformBit(snp.PlatformTSME), "false", "true"},
		{"platform.ecc", platformBit(snp.PlatformECC), "true", "false"},
		{"platform.rapl_disabled", platformBit(snp.PlatformRAPLDisabled), "true", "false"},
		{"platform.ciphertext_hiding", platformBit(snp.PlatformCiphertextHiding), "true", "false"},
		{"platform.alias_check_complete", platformBit(snp.PlatformAliasCheckComplete), "true", "false"},
		{"platform.tio", platformBit(snp.PlatformTIO), "false", "true"},
		{"platform.known_bits_only", platformBit(1 << 6), "no unknown bits", "0x40"},
		{"platform.known_bits_only", platformBit(1 << 63), "no unknown bits", "0x8000000000000000"},
		{"min_firmware", func(v *attest.Verified) { v.Report.Committed.Build-- }, "at least 1.55.40", "1.55.39"},
		{"min_firmware", func(v *attest.Verified) {
			v.Report.Committed = snp.FirmwareVersion{Major: 1, Minor: 54, Build: 255}
		}, "at least 1.55.40", "1.54.255"},
		{"launch_mitigations", func(v *attest.Verified) { v.Report.LaunchMitVector = 0xFFEF }, "all bits of 0x1f", "0xffef"},
		{"current_mitigations", func(v *attest.Verified) { v.Report.CurrentMitVector = 1 }, "all bits of 0x8000000000000000", "0x1"},
		{"tcb_floors.reported", func(v *attest.Verified) { v.ReportedTCB.FMC-- }, reportedFloor, "fmc=0 bootloader=2 tee=3 snp=4 microcode=5 (too low: fmc)"},
		{"tcb_floors.reported", func(v *attest.Verified) { v.ReportedTCB.BootLoader-- }, reportedFloor, "fmc=1 bootloader=1 tee=3 snp=4 microcode=5 (too low: bootloader)"},
		{"tcb_floors.reported", func(v *attest.Verified) { v.ReportedTCB.TEE-- }, reportedFloor, "fmc=1 bootloader=2 tee=2 snp=4 microcode=5 (too low: tee)"},
		{"tcb_floors.reported", func(v *attest.Verified) {
			v.ReportedTCB = snp.TCB{FMC: 9, BootLoader: 9, TEE: 9, SNP: 3, Microcode: 255}
		},
			reportedFloor, "fmc=9 bootloader=9 tee=9 snp=3 microcode=255 (too low: snp)"},
		{"tcb_floors.reported", func(v *attest.Verified) { v.ReportedTCB.SNP, v.ReportedTCB.Microcode = 0, 0 },
			reportedFloor, "fmc=1 bootloader=2 tee=3 snp=0 microcode=0 (too low: snp, microcode)"},
		{"tcb_floors.committed", func(v *attest.Verified) { v.CommittedTCB.FMC-- },
			"at least fmc=1 bootloader=0 tee=0 snp=0 microcode=0", "fmc=0 bootloader=0 tee=0 snp=0 microcode=0 (too low: fmc)"},
		{"tcb_floors.launch", func(v *attest.Verified) { v.LaunchTCB.TEE-- },
			"at least fmc=0 bootloader=0 tee=1 snp=0 microcode=0", "fmc=0 bootloader=0 tee=0 snp=0 microcode=0 (too low: tee)"},
	}
}

const reportedFloor = "at least fmc=1 bootloader=2 tee=3 snp=4 microcode=5"

var hexLower64 = strings.ToLower(hex64)

func TestRules(t *testing.T) {
	p := mustPolicy(t, everyField())
	p.CSPIDs = nil
	good := attest.Evaluate(sample(), p)
	if !good.Acceptable() {
		t.Fatalf("the sample is not acceptable: %+v", good.Failed())
	}
	tested := map[string]bool{"guest_policy.debug": true, "guest_policy.migration_agent": true} // by TestDefaults
	for _, tc := range ruleCases() {
		t.Run(tc.name, func(t *testing.T) {
			v := sample()
			tc.change(v)
			want := attest.Result{Name: tc.name, Verdict: attest.Fail, Expected: tc.expected, Found: tc.found}
			results := attest.Evaluate(v, p)
			if !slices.Contains(results.Failed(), want) || results.Acceptable() {
				t.Errorf("got %+v, want %+v among them", results.Failed(), want)
			}
			tested[tc.name] = true
		})
	}
	for _, result := range good {
		if !tested[result.Name] {
			t.Errorf("no test violates %s", result.Name)
		}
	}
}

// TestDefaults holds what the policy asks when it says nothing.
func TestDefaults(t *testing.T) {
	least := mustPolicy(t, `{"version": 1}`)
	const floor, found = "at least fmc=1 bootloader=1 tee=1 snp=4 microcode=81", "fmc=1 bootloader=3 tee=2 snp=5 microcode=97"
	want := attest.Results{
		{"signing_keys", attest.Pass, "VCEK", "VCEK"},
		{"vmpls", attest.Pass, "0", "0"},
		{"guest_policy.debug", attest.Pass, "false", "false"},
		{"guest_policy.migration_agent", attest.Pass, "false", "false"},
		{"tcb_floors.reported", attest.Pass, floor, found},
		{"tcb_floors.committed", attest.Pass, floor, found},
		{"tcb_floors.launch", attest.Pass, floor, found},
	}
	if got := attest.Evaluate(current(), least); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, tc := range []struct {
		name   string
		change func(*attest.Verified)
		lift   string // the field that allows it
	}{
		{"signing_keys", func(v *attest.Verified) { v.SigningKey = snp.SignedByVLEK }, `"signing_keys": ["VLEK"]`},
		{"vmpls", func(v *attest.Verified) { v.Report.VMPL = 1 }, `"vmpls": [1]`},
		{"guest_policy.debug", func(v *attest.Verified) { v.Report.Policy |= 1 << 19 }, `"guest_policy": {"allow_debug": true}`},
		{"guest_policy.migration_agent", func(v *attest.Verified) { v.Report.Policy |= 1 << 18 }, `"guest_policy": {"allow_migration_agent": true}`},
	} {
		v := current()
		tc.change(v)
		failed := attest.Evaluate(v, least).Failed()
		if len(failed) != 1 || failed[0].Name != tc.name {
			t.Errorf("%s: got %+v", tc.name, failed)
		}
		if failed := attest.Evaluate(v, &attest.Policy{}).Failed(); len(failed) != 1 || failed[0].Name != tc.name {
			t.Errorf("%s: got %+v of a zero policy", tc.name, failed)
		}
		lifted := attest.Evaluate(v, mustPolicy(t, `{"version": 1, `+tc.lift+`}`))
		if !lifted.Acceptable() || len(lifted) != len(want) {
			t.Errorf("%s: got %+v where it is allowed", tc.name, lifted)
		}
	}
	if (attest.Results{}).Acceptable() {
		t.Error("no results are acceptable")
	}
}

func TestCSPRule(t *testing.T) {
	p := mustPolicy(t, `{"version": 1, "csp_ids": ["a", "b"], "signing_keys": ["VCEK", "VLEK"]}`)
	for _, tc := range []struct {
		name  string
		key   snp.SigningKey
		cspID string
		ok    bool
		found string
	}{
		{"listed", snp.SignedByVLEK, "b", true, `"b"`},
		{"another", snp.SignedByVLEK, "c", false, `"c"`},
		{"with escapes", snp.SignedByVLEK, "\x1b[31m", false, `"\x1b[31m"`},
		{"VCEK", snp.SignedByVCEK, "", false, "none: signed by a VCEK"},
	} {
		v := sample()
		v.SigningKey, v.CSPID = tc.key, tc.cspID
		want := attest.Result{Name: "csp_ids", Verdict: attest.Fail, Expected: `"a" or "b"`, Found: tc.found}
		if tc.ok {
			want.Verdict = attest.Pass
		}
		if got := attest.Evaluate(v, p); got[1] != want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got[1], want)
		}
	}
}

// TestFloorsOfAnotherProduct wants no way past floors that were set for other
// product lines.
func TestFloorsOfAnotherProduct(t *testing.T) {
	v := sample()
	for _, tc := range []struct {
		document string
		failed   []string
	}{
		{`{"version": 1, "tcb_floors": {"milan": {"reported": {"snp": 1}}}}`, []string{"tcb_floors.reported"}},
		{`{"version": 1, "tcb_floors": {"genoa": {"launch": {"snp": 1}}, "turin": {"reported": {"snp": 1}}}}`, []string{"tcb_floors.launch"}},
		{`{"version": 1, "tcb_floors": {"turin": {"reported": {"snp": 1}, "committed": {"fmc": 1}, "launch": {"tee": 1}}}}`, nil},
		{`{"version": 1, "tcb_floors": "none"}`, nil},
	} {
		var names []string
		for _, result := range attest.Evaluate(v, mustPolicy(t, tc.document)).Failed() {
			names = append(names, result.Name)
		}
		if !slices.Equal(names, tc.failed) {
			t.Errorf("%s: got %v, want %v", tc.document, names, tc.failed)
		}
	}
	// A floor that no chip of the line can reach fails, should it get this far.
	p := &attest.Policy{TCBFloors: attest.TCBFloors{Milan: &attest.ProductFloors{Reported: &snp.TCB{FMC: 1}}}}
	v.Product, v.ReportedTCB = snp.Milan, snp.TCB{BootLoader: 255, TEE: 255, SNP: 255, Microcode: 255}
	if attest.Evaluate(v, p).Acceptable() {
		t.Error("a report of Milan reaches an FMC level")
	}
}

func TestMitigationsBeforeVersion5(t *testing.T) {
	v := sample()
	v.Report.Version, v.Report.LaunchMitVector = 3, 0
	got := attest.Evaluate(v, mustPolicy(t, `{"version": 1, "tcb_floors": "none", "launch_mitigations": "0x1"}`)).Failed()
	want := attest.Results{{"launch_mitigations", attest.Fail, "all bits of 0x1", "none in a version 3 report"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEmptyListsInCode(t *testing.T) {
	for name, p := range map[string]*attest.Policy{
		"measurements":  {Measurements: []attest.Bytes48{}},
		"allowed_chips": {AllowedChips: []attest.ChipID{}},
		"csp_ids":       {CSPIDs: []string{}},
	} {
		failed := attest.Evaluate(current(), p).Failed()
		if len(failed) != 1 || failed[0].Name != name {
			t.Errorf("%s: an empty list allows something: %+v", name, failed)
		}
	}
}

func TestLongLists(t *testing.T) {
	p := &attest.Policy{Measurements: make([]attest.Bytes48, 5)}
	if got := attest.Evaluate(current(), p).Failed(); len(got) != 1 || got[0].Expected != "one of 5 values" {
		t.Errorf("got %+v", got)
	}
}
