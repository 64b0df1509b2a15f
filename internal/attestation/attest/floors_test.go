package attest_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// TestOldChipsUnlockNothing gives reports of chips with firmware from before
// AMD-SB-3019, down to none at all, to a policy that says nothing of TCBs.
func TestOldChipsUnlockNothing(t *testing.T) {
	least := mustPolicy(t, `{"version": 1}`)
	for _, tc := range []struct {
		product snp.Product
		tcb     snp.TCB
		low     string // empty: acceptable
	}{
		{snp.Milan, snp.TCB{}, "bootloader, snp, microcode"},
		{snp.Milan, snp.TCB{BootLoader: 4, SNP: 23, Microcode: 219}, "snp"},
		{snp.Milan, snp.TCB{BootLoader: 4, SNP: 24, Microcode: 218}, "microcode"},
		{snp.Milan, snp.TCB{BootLoader: 4, SNP: 24, Microcode: 219}, ""},
		{snp.Genoa, snp.TCB{BootLoader: 9, SNP: 23, Microcode: 84}, "bootloader"},
		{snp.Genoa, snp.TCB{BootLoader: 10, SNP: 22, Microcode: 255}, "snp"},
		{snp.Genoa, snp.TCB{BootLoader: 10, SNP: 23, Microcode: 84}, ""},
		{snp.Turin, snp.TCB{FMC: 0, BootLoader: 1, TEE: 1, SNP: 4, Microcode: 81}, "fmc"},
		{snp.Turin, snp.TCB{FMC: 1, BootLoader: 1, TEE: 1, SNP: 3, Microcode: 81}, "snp"},
		{snp.Turin, snp.TCB{FMC: 1, BootLoader: 1, TEE: 1, SNP: 4, Microcode: 81}, ""},
	} {
		for name, of := range map[string]func(*attest.Verified) *snp.TCB{
			"reported":  func(v *attest.Verified) *snp.TCB { return &v.ReportedTCB },
			"committed": func(v *attest.Verified) *snp.TCB { return &v.CommittedTCB },
			"launch":    func(v *attest.Verified) *snp.TCB { return &v.LaunchTCB },
		} {
			v := sample()
			full := snp.TCB{BootLoader: 255, TEE: 255, SNP: 255, Microcode: 255, FMC: 255}
			v.Product, v.ReportedTCB, v.CommittedTCB, v.LaunchTCB = tc.product, full, full, full
			*of(v) = tc.tcb
			failed := attest.Evaluate(v, least).Failed()
			if tc.low == "" && len(failed) == 0 {
				continue
			}
			if len(failed) != 1 || failed[0].Name != "tcb_floors."+name || !strings.HasSuffix(failed[0].Found, "(too low: "+tc.low+")") {
				t.Errorf("%s, %s %v: got %+v", tc.product, name, tc.tcb, failed)
			}
			if failed := attest.Evaluate(v, mustPolicy(t, `{"version": 1, "tcb_floors": "none"}`)).Failed(); len(failed) != 0 {
				t.Errorf("%s, %s: got %+v without floors", tc.product, name, failed)
			}
		}
	}
}

// TestShippedFloors wants the data file to have a date, and for every product line
// a floor that a policy could have, with the bulletins that it is of.
func TestShippedFloors(t *testing.T) {
	shipped := attest.ShippedFloors()
	if !regexp.MustCompile(`^20\d\d-\d\d-\d\d$`).MatchString(shipped.Date) {
		t.Errorf("date %q", shipped.Date)
	}
	var products []snp.Product
	for _, line := range shipped.Lines {
		products = append(products, line.Product)
		if !strings.Contains(strings.Join(line.Sources, " "), "AMD-SB-") {
			t.Errorf("%s: no bulletin among %q", line.Product, line.Sources)
		}
	}
	if !slices.Equal(products, snp.Products()) {
		t.Errorf("floors of %v", products)
	}
	p := attest.Policy{Version: attest.PolicyVersion, TCBFloors: shipped.For(nil)}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if p.TCBFloors.None = true; p.Validate() == nil {
		t.Error("both floors and none are taken")
	}
}

// TestComplete wants a completed policy to say what it asked without a word, and
// to be read as the same.
func TestComplete(t *testing.T) {
	for _, document := range []string{
		`{"version": 1}`, everyField(), `{"version": 1, "products": ["Genoa", "Turin"]}`, `{"version": 1, "tcb_floors": "none"}`,
		`{"version": 1, "signing_keys": ["VLEK"], "csp_ids": ["CN=csp.example"]}`,
	} {
		p, was := mustPolicy(t, document), mustPolicy(t, document)
		p.Complete()
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{`"products":["`, `"signing_keys":["`, `"tcb_floors":`} {
			if !strings.Contains(string(written), field) {
				t.Errorf("%s: no %s in %s", document, field, written)
			}
		}
		if lines := p.Products; slices.Contains(lines, snp.Milan) != (p.TCBFloors.Milan != nil) && !p.TCBFloors.None && document != everyField() {
			t.Errorf("%s: products %v have the floors %+v", document, lines, p.TCBFloors)
		}
		again := mustPolicy(t, string(written))
		for _, v := range []*attest.Verified{sample(), current()} {
			before := attest.Evaluate(v, was)
			after := slices.DeleteFunc(attest.Evaluate(v, again), func(r attest.Result) bool { return r.Name == "products" && was.Products == nil })
			if !slices.Equal(after, before) {
				t.Errorf("%s\njudged %+v\nthen   %+v", document, before, after)
			}
		}
	}
}

// TestCompleteBeside wants a policy that stands beside another one, which lets VLEKs
// and old chips in, to take nothing of that back without a word.
func TestCompleteBeside(t *testing.T) {
	v := sample()
	v.SigningKey = snp.SignedByVLEK
	p := mustPolicy(t, `{"version": 1, "min_guest_svn": 7}`)
	if len(attest.Evaluate(v, p).Failed()) == 0 {
		t.Error("alone, it lets an old chip and a VLEK in")
	}
	p.CompleteBeside()
	if failed := attest.Evaluate(v, p).Failed(); len(failed) != 0 {
		t.Errorf("beside another, it asks %+v", failed)
	}
	p = mustPolicy(t, `{"version": 1, "signing_keys": ["VCEK"], "tcb_floors": {"turin": {"reported": {"snp": 5}}}}`)
	p.CompleteBeside()
	if failed := attest.Evaluate(v, p).Failed(); len(failed) != 2 {
		t.Errorf("what it asks is lost: %+v", failed)
	}
}

func TestWarnings(t *testing.T) {
	for document, want := range map[string][]string{
		`{"version": 1}`: {"2605.12990"},
		`{"version": 1, "products": ["Milan"], "tcb_floors": "none"}`: {"2605.12990", "no TCB floors"},
		`{"version": 1, "products": ["Genoa", "Turin"]}`:              nil,
		`{"version": 1, "products": ["Genoa"], "tcb_floors": "none"}`: {"no TCB floors"},
	} {
		got := mustPolicy(t, document).Warnings()
		if len(got) != len(want) {
			t.Errorf("%s: got %q", document, got)
			continue
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: got %q", document, got)
			}
		}
	}
}
