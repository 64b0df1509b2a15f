package attest_test

import (
	"crypto"
	"crypto/x509"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// now is the time of everything simulated here.
var now = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

const cspID = "CN=csp.example"

// signer is a simulated key that signs reports, with its chain.
type signer struct {
	chip  sim.Chip
	vek   *sim.VEK
	chain attest.Chain
}

// tcb has a different value in every component.
func tcb(p snp.Product) snp.TCB {
	t := snp.TCB{BootLoader: 3, TEE: 1, SNP: 8, Microcode: 115}
	if p == snp.Turin {
		t.FMC = 2
	}
	return t
}

func mustVCEK(tb testing.TB, p snp.Product) signer {
	tb.Helper()
	return vcekOf(tb, simtest.AMD(tb), p)
}

func vcekOf(tb testing.TB, amd *sim.AMD, p snp.Product) signer {
	tb.Helper()
	chip := sim.NewChip(p, "a", tcb(p))
	vek, err := amd.At(now).VCEK(chip)
	if err != nil {
		tb.Fatal(err)
	}
	line := amd.Line(p)
	return signer{chip, vek, attest.Chain{VEK: vek.Certificate.Raw, ASK: line.ASK.Certificate.Raw, ARK: line.ARK.Certificate.Raw}}
}

// simImpostor returns a simulated AMD that nobody trusts.
func simImpostor(tb testing.TB) *sim.AMD { return simtest.Impostor(tb) }

func mustVLEK(tb testing.TB, p snp.Product) signer {
	tb.Helper()
	amd := simtest.AMD(tb)
	vek, err := amd.At(now).VLEK(p, cspID, tcb(p))
	if err != nil {
		tb.Fatal(err)
	}
	line := amd.Line(p)
	return signer{
		sim.Chip{Product: p, TCB: tcb(p)}, vek, // hosts mask CHIP_ID
		attest.Chain{VEK: vek.Certificate.Raw, ASK: line.ASVK.Certificate.Raw, ARK: line.ARK.Certificate.Raw},
	}
}

// template returns a report of the signer's to change.
func (s signer) template() *snp.Report {
	r := sim.ReportTemplate(s.chip)
	if s.chip.ID == ([snp.ChipIDSize]byte{}) {
		r.SigningKey = snp.SignedByVLEK
	}
	return r
}

// sign signs a report and parses it.
func (s signer) sign(tb testing.TB, r *snp.Report) *snp.Report {
	tb.Helper()
	data, err := s.vek.Report(r)
	if err != nil {
		tb.Fatal(err)
	}
	parsed, err := snp.ParseReport(data)
	if err != nil {
		tb.Fatal(err)
	}
	return parsed
}

// simRoots trusts the simulated AMD of tests.
func simRoots(tb testing.TB) *attest.Roots {
	tb.Helper()
	var arks []*x509.Certificate
	for _, p := range snp.Products() {
		arks = append(arks, simtest.AMD(tb).Line(p).ARK.Certificate)
	}
	roots, err := attest.NewRoots(arks)
	if err != nil {
		tb.Fatal(err)
	}
	return roots
}

func issue(tb testing.TB, by *sim.Authority, template *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	tb.Helper()
	cert, err := by.Issue(template, key)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// named returns the template of a Milan ARK with another common name.
func named(tb testing.TB, name string) *x509.Certificate {
	tb.Helper()
	t := sim.ARKTemplate(snp.Milan)
	t.RawSubject, t.Subject.CommonName = nil, name
	t.Issuer = t.Subject
	return t
}

// withoutCA returns the template of a Milan ARK that may not sign.
func withoutCA(tb testing.TB) *x509.Certificate {
	tb.Helper()
	t := sim.ARKTemplate(snp.Milan)
	t.IsCA = false
	return t
}
