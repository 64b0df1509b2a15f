package sim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// tcb has a different value in every component.
func tcb(p snp.Product) snp.TCB {
	t := snp.TCB{BootLoader: 3, TEE: 1, SNP: 8, Microcode: 115}
	if p == snp.Turin {
		t.FMC = 2
	}
	return t
}

func TestVCEK(t *testing.T) {
	now := time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC)
	amd := simtest.AMD(t).At(now)
	for _, p := range snp.Products() {
		t.Run(string(p), func(t *testing.T) {
			chip := sim.NewChip(p, "a", tcb(p))
			vek, err := amd.VCEK(chip)
			if err != nil {
				t.Fatal(err)
			}
			checkVEK(t, vek, amd.Line(p).ASK, now)
			e, err := snp.ParseExtensions(vek.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			if e.Product != p || e.TCB != chip.TCB || !bytes.Equal(e.HardwareID, chip.ID[:p.HardwareIDSize()]) || e.CSPID != "" {
				t.Errorf("got extensions %+v", e)
			}
		})
	}
}

func TestVLEK(t *testing.T) {
	now := time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC)
	amd := simtest.AMD(t).At(now)
	vek, err := amd.VLEK(snp.Milan, "csp.example", tcb(snp.Milan))
	if err != nil {
		t.Fatal(err)
	}
	checkVEK(t, vek, amd.Line(snp.Milan).ASVK, now)
	e, err := snp.ParseExtensions(vek.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if e.CSPID != "csp.example" || e.HardwareID != nil || e.TCB != tcb(snp.Milan) {
		t.Errorf("got extensions %+v", e)
	}
}

func checkVEK(t *testing.T, vek *sim.VEK, issuer *sim.Authority, now time.Time) {
	t.Helper()
	cert := vek.Certificate
	if err := cert.CheckSignatureFrom(issuer.Certificate); err != nil {
		t.Error(err)
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		t.Errorf("valid from %s to %s, now is %s", cert.NotBefore, cert.NotAfter, now)
	}
	if cert.SignatureAlgorithm != x509.SHA384WithRSAPSS || cert.SerialNumber.Sign() != 0 {
		t.Errorf("got %s, serial %s", cert.SignatureAlgorithm, cert.SerialNumber)
	}
	if !vek.Key.PublicKey.Equal(cert.PublicKey) {
		t.Error("key and certificate do not belong together")
	}
}

// The extensions and the subject have the shape of a real certificate's.
func TestVCEKLooksLikeAMDs(t *testing.T) {
	for p, file := range map[snp.Product]string{
		snp.Milan: "vcek-milan-052df5f0e3.der",
		snp.Genoa: "vcek-genoa-05788a16ab.der",
		snp.Turin: "vcek-turin-1488981572.der",
	} {
		want, err := x509.ParseCertificate(vectors.MustRead(t, "reports/certs/"+file))
		if err != nil {
			t.Fatal(err)
		}
		vek, err := simtest.AMD(t).VCEK(sim.NewChip(p, "a", tcb(p)))
		if err != nil {
			t.Fatal(err)
		}
		got := vek.Certificate
		if !bytes.Equal(got.RawSubject, want.RawSubject) || !bytes.Equal(got.RawIssuer, want.RawIssuer) {
			t.Errorf("%s: got %s by %s", p, got.Subject, got.Issuer)
		}
		if !want.NotAfter.Equal(want.NotBefore.AddDate(7, 0, 0)) || !got.NotAfter.Equal(got.NotBefore.AddDate(7, 0, 0)) {
			t.Errorf("%s: valid from %s to %s", p, got.NotBefore, got.NotAfter)
		}
		ids := make(map[string]bool)
		for _, x := range want.Extensions {
			ids[x.Id.String()] = x.Critical
		}
		if len(got.Extensions) != len(want.Extensions) {
			t.Errorf("%s: %d extensions, want %d", p, len(got.Extensions), len(want.Extensions))
		}
		for _, x := range got.Extensions {
			if critical, ok := ids[x.Id.String()]; !ok || critical != x.Critical {
				t.Errorf("%s: extension %s, critical %v", p, x.Id, x.Critical)
			}
		}
	}
}

func TestVEKKeyBelongsToChipAndTCB(t *testing.T) {
	amd := simtest.AMD(t)
	key := func(amd *sim.AMD, name string, microcode uint8) *ecdsa.PrivateKey {
		vek, err := amd.VCEK(sim.NewChip(snp.Milan, name, snp.TCB{Microcode: microcode}))
		if err != nil {
			t.Fatal(err)
		}
		return vek.Key
	}
	first := key(amd, "a", 1)
	if !first.Equal(key(amd, "a", 1)) {
		t.Error("the same chip at the same TCB has two keys")
	}
	for name, other := range map[string]*ecdsa.PrivateKey{
		"other chip": key(amd, "b", 1), "other TCB": key(amd, "a", 2), "other AMD": key(simtest.Impostor(t), "a", 1),
	} {
		if first.Equal(other) {
			t.Errorf("%s: same key", name)
		}
	}
}

func TestMissingProduct(t *testing.T) {
	if _, err := simtest.AMD(t).VCEK(sim.Chip{Product: "Rome"}); err == nil {
		t.Error("VCEK for a product without authorities")
	}
	if _, err := simtest.AMD(t).VLEK("Rome", "csp.example", snp.TCB{}); err == nil {
		t.Error("VLEK for a product without authorities")
	}
}

// What attacks need: certificates that a genuine authority signed but that say
// something wrong.
func TestIssueWrongCertificates(t *testing.T) {
	amd := simtest.AMD(t)
	line := amd.Line(snp.Milan)
	chip := sim.NewChip(snp.Milan, "a", tcb(snp.Milan))
	vek, err := amd.VCEK(chip)
	if err != nil {
		t.Fatal(err)
	}
	extensions, err := snp.ParseExtensions(vek.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	template, err := amd.VEKTemplate(extensions)
	if err != nil {
		t.Fatal(err)
	}
	template.NotAfter = template.NotBefore.Add(time.Hour)
	template.RawIssuer = line.ASVK.Certificate.RawSubject
	template.ExtraExtensions = template.ExtraExtensions[1:]
	cert, err := line.ASK.Issue(template, vek.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if !cert.NotAfter.Equal(template.NotAfter) || !bytes.Equal(cert.RawIssuer, line.ASVK.Certificate.RawSubject) {
		t.Errorf("got issuer %s, valid to %s", cert.Issuer, cert.NotAfter)
	}
	if _, err := snp.ParseExtensions(cert); err == nil {
		t.Error("the extension that was left out is there")
	}
	if err := line.ASK.Certificate.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		t.Error(err)
	}
}
