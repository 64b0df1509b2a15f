package attest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
)

// Fields of the sizes that policies use.
var (
	hex16 = strings.Repeat("1a", 16)
	hex32 = strings.Repeat("2b", 32)
	hex48 = strings.Repeat("3c", 48)
	hex64 = strings.Repeat("4D", 64)
)

// everyField is a policy that sets every rule.
func everyField() string {
	return fmt.Sprintf(`{"version": 1, "min_report_version": 3, "products": ["Turin"], "signing_keys": ["VCEK", "VLEK"],
		"csp_ids": ["CN=csp.example"], "allowed_chips": [%[4]q, "0102030405060708"], "denied_chips": [%[4]q], "vmpls": [0, 1],
		"guest_policy": {"allow_debug": true, "allow_migration_agent": true, "smt": true, "single_socket": false, "cxl": true,
			"aes_256_xts": true, "rapl_disabled": false, "ciphertext_hiding": true, "page_swap_disabled": true,
			"min_abi": {"major": 1, "minor": 55}},
		"min_guest_svn": 7, "measurements": [%[3]q], "id_key_digests": [%[3]q], "author_key": true, "author_key_digests": [%[3]q],
		"family_id": %[1]q, "image_id": %[1]q, "host_data": %[2]q, "report_data": %[4]q,
		"platform": {"smt": true, "tsme": false, "ecc": true, "rapl_disabled": true, "ciphertext_hiding": true,
			"alias_check_complete": true, "tio": false, "known_bits_only": true},
		"min_firmware": {"major": 1, "minor": 55, "build": 40},
		"tcb_floors": {"milan": {"reported": {"snp": 24}}, "genoa": {"committed": {"microcode": 84}},
			"turin": {"reported": {"fmc": 1, "bootloader": 2, "tee": 3, "snp": 4, "microcode": 5},
				"committed": {"fmc": 1}, "launch": {"tee": 1}}},
		"launch_mitigations": "0x1f", "current_mitigations": "0x8000000000000000"}`, hex16, hex32, hex48, hex64)
}

// policyCase is a document and what is wrong with it.
type policyCase struct {
	name, document string
	want           string // part of the error; empty: accepted
	beyondSchema   bool   // a JSON schema cannot tell
}

func policyCases() []policyCase {
	with := func(field string) string { return `{"version": 1, ` + field + `}` }
	return []policyCase{
		{name: "least", document: `{"version": 1}`},
		{name: "every field", document: everyField()},
		{name: "no FMC before Turin", document: with(`"tcb_floors": {"milan": {"launch": {"fmc": 0, "snp": 8}}}`)},

		{name: "empty", document: ``, want: "not a JSON object", beyondSchema: true},
		{name: "cut short", document: `{"version": 1`, want: "EOF", beyondSchema: true},
		{name: "not JSON", document: `version: 1`, want: "not a JSON object", beyondSchema: true},
		{name: "two documents", document: `{"version": 1}{}`, want: "trailing data", beyondSchema: true},
		{name: "a word behind", document: `{"version": 1} x`, want: "trailing data", beyondSchema: true},
		{name: "not UTF-8", document: "{\"version\": 1, \"csp_ids\": [\"\xff\"]}", want: "UTF-8", beyondSchema: true},
		{name: "list", document: `[]`, want: "not a JSON object"},
		{name: "null", document: `null`, want: "not a JSON object"},
		{name: "no version", document: `{}`, want: "version is 0"},
		{name: "later version", document: `{"version": 2}`, want: "version is 2"},
		{name: "unknown field", document: with(`"vmpl": 0`), want: `"vmpl"`},
		{name: "unknown inner field", document: with(`"guest_policy": {"debug": false}`), want: `"guest_policy.debug"`},
		{name: "other case", document: `{"Version": 1}`, want: `"Version"`},
		{name: "other case within", document: with(`"guest_policy": {"Allow_Debug": true}`), want: `"guest_policy.Allow_Debug"`},
		{name: "other case of a product line", document: with(`"tcb_floors": {"Milan": {"reported": {"snp": 24}}}`), want: `unknown field "Milan"`},
		{name: "product line twice, in two cases", document: with(`"tcb_floors": {"milan": {"reported": {"snp": 24}}, "MILAN": {"reported": {"snp": 1}}}`), want: `unknown field "MILAN"`},
		{name: "other case of a floor", document: with(`"tcb_floors": {"milan": {"Reported": {"snp": 24}}}`), want: `"milan.Reported"`},
		{name: "other case of a level", document: with(`"tcb_floors": {"milan": {"reported": {"SNP": 24}}}`), want: `"milan.reported.SNP"`},
		{name: "folded letter", document: with(`"mea\u017furements": []`), want: "unknown field"},
		{name: "field twice", document: `{"version": 1, "version": 1}`, want: "twice", beyondSchema: true},
		{name: "inner field twice", document: with(`"platform": {"smt": true, "smt": false}`), want: "twice", beyondSchema: true},
		{name: "field twice, escaped", document: `{"version": 1, "\u0076ersion": 1}`, want: "twice", beyondSchema: true},
		{name: "null field", document: with(`"measurements": null`), want: "null"},
		{name: "null in a list", document: with(`"vmpls": [null]`), want: "null"},
		{name: "null within", document: with(`"guest_policy": {"smt": null}`), want: "null"},
		{name: "too deep", document: with(`"vmpls": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40)), want: "too deep"},
		{name: "too large", document: `{"version": 1` + strings.Repeat(" ", attest.MaxPolicySize) + `}`, want: "at most", beyondSchema: true},

		{name: "number for a flag", document: with(`"author_key": 1`), want: "author_key"},
		{name: "text for a number", document: with(`"min_guest_svn": "7"`), want: "min_guest_svn"},
		{name: "fraction", document: with(`"min_guest_svn": 7.5`), want: "min_guest_svn"},
		{name: "negative", document: with(`"min_report_version": -1`), want: "min_report_version"},
		{name: "more than 32 bits", document: with(`"min_guest_svn": 4294967296`), want: "min_guest_svn"},
		{name: "more than 8 bits", document: with(`"tcb_floors": {"turin": {"launch": {"fmc": 256}}}`), want: "fmc"},
		{name: "one value for a list", document: with(`"vmpls": 0`), want: "vmpls"},
		{name: "short digest", document: with(`"measurements": ["` + hex48[2:] + `"]`), want: "94 characters"},
		{name: "long digest", document: with(`"id_key_digests": ["` + hex48 + `00"]`), want: "98 characters"},
		{name: "digest of other letters", document: with(`"author_key_digests": ["` + hex48[1:] + `g"]`), want: "hexadecimal"},
		{name: "family ID as UUID", document: with(`"family_id": "00112233-4455-6677-8899-aabbccddeeff"`), want: "36 characters"},
		{name: "short image ID", document: with(`"image_id": "00"`), want: "2 characters"},
		{name: "short host data", document: with(`"host_data": "` + hex16 + `"`), want: "32 characters"},
		{name: "short report data", document: with(`"report_data": "` + hex32 + `"`), want: "64 characters"},
		{name: "chip of other length", document: with(`"denied_chips": ["` + hex16 + `"]`), want: "chip ID"},
		{name: "masked chip", document: with(`"allowed_chips": ["0000000000000000"]`), want: "all zero"},
		{name: "bits without 0x", document: with(`"launch_mitigations": "1f"`), want: "0x"},
		{name: "bits in octal", document: with(`"launch_mitigations": "017"`), want: "0x"},
		{name: "bits as a number", document: with(`"current_mitigations": 3`), want: "current_mitigations"},
		{name: "more than 64 bits", document: with(`"current_mitigations": "0x10000000000000000"`), want: "0x"},
		{name: "unknown product", document: with(`"products": ["Rome"]`), want: "Rome"},
		{name: "unknown product line", document: with(`"tcb_floors": {"rome": {}}`), want: "rome"},
		{name: "unknown key", document: with(`"signing_keys": ["none"]`), want: "none"},
		{name: "VMPL 4", document: with(`"vmpls": [4]`), want: "VMPL 4"},
		{name: "empty CSP ID", document: with(`"csp_ids": [""]`), want: "CSP ID"},
		{name: "no floors", document: with(`"tcb_floors": "none"`)},
		{name: "VLEK of a provider", document: with(`"signing_keys": ["VLEK"], "csp_ids": ["CN=csp.example"]`)},
		{name: "provider without VLEK", document: with(`"csp_ids": ["CN=csp.example"]`), want: "put VLEK into signing_keys", beyondSchema: true},
		{name: "provider with VCEK alone", document: with(`"signing_keys": ["VCEK"], "csp_ids": ["CN=csp.example"]`), want: "put VLEK into signing_keys", beyondSchema: true},
		{name: "another word for no floors", document: with(`"tcb_floors": "off"`), want: "neither"},
		{name: "empty word for no floors", document: with(`"tcb_floors": ""`), want: "neither"},
		{name: "false for no floors", document: with(`"tcb_floors": false`), want: "not a JSON object"},
		{name: "list of floors", document: with(`"tcb_floors": []`), want: "not a JSON object"},
		{name: "empty floors", document: with(`"tcb_floors": {}`), want: "tcb_floors: is empty"},
		{name: "empty floors of a line", document: with(`"tcb_floors": {"genoa": {}}`), want: "the floors of Genoa are empty"},
		{name: "floor of nothing", document: with(`"tcb_floors": {"turin": {"launch": {}}}`), want: "0 throughout"},
		{name: "floor of zeros", document: with(`"tcb_floors": {"milan": {"launch": {"snp": 0, "microcode": 0}}}`), want: "0 throughout", beyondSchema: true},
		{name: "unknown component", document: with(`"tcb_floors": {"milan": {"launch": {"asp": 1}}}`), want: "asp"},
		{name: "Venice", document: with(`"products": ["Venice"]`), want: "Venice is not supported"},
		{name: "FMC on Milan", document: with(`"tcb_floors": {"milan": {"launch": {"fmc": 1}}}`), want: "Milan has no FMC"},
		{name: "FMC on Genoa", document: with(`"tcb_floors": {"genoa": {"reported": {"fmc": 1}}}`), want: "Genoa has no FMC"},
		{name: "no products", document: with(`"products": []`), want: "products is empty"},
		{name: "no signing keys", document: with(`"signing_keys": []`), want: "signing_keys is empty"},
		{name: "no CSP IDs", document: with(`"csp_ids": []`), want: "csp_ids is empty"},
		{name: "no allowed chips", document: with(`"allowed_chips": []`), want: "allowed_chips is empty"},
		{name: "no denied chips", document: with(`"denied_chips": []`), want: "denied_chips is empty"},
		{name: "no VMPLs", document: with(`"vmpls": []`), want: "vmpls is empty"},
		{name: "no measurements", document: with(`"measurements": []`), want: "measurements is empty"},
		{name: "no ID key digests", document: with(`"id_key_digests": []`), want: "id_key_digests is empty"},
		{name: "no author key digests", document: with(`"author_key_digests": []`), want: "author_key_digests is empty"},
	}
}

func TestParsePolicy(t *testing.T) {
	for _, tc := range policyCases() {
		t.Run(tc.name, func(t *testing.T) {
			p, err := attest.ParsePolicy([]byte(tc.document))
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkRoundTrip(t, p)
				return
			}
			if !errors.Is(err, attest.ErrPolicy) || !strings.Contains(err.Error(), tc.want) || p != nil {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// checkRoundTrip writes a policy and reads it again.
func checkRoundTrip(t *testing.T, p *attest.Policy) {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := attest.ParsePolicy(data)
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("written and read: %s, %v", data, err)
	}
}

// TestPolicyExample keeps the example in the documentation true.
func TestPolicyExample(t *testing.T) {
	page, err := os.ReadFile("../../../docs/report-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "```json\n")
	example, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("no example found")
	}
	if _, err := attest.ParsePolicy([]byte(example)); err != nil {
		t.Error(err)
	}
	if err := validateSchema(t, example); err != nil {
		t.Error(err)
	}
}
