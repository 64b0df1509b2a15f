package attest_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// TestPoolFindsRealChains puts every certificate of the vectors into one pool.
func TestPoolFindsRealChains(t *testing.T) {
	i := readIndex(t)
	var pool attest.Pool
	files := []string{"chains/SEV-Milan.pem", "chains/SEV-VLEK-Milan.pem", "chains/SEV-Genoa.pem", "chains/SEV-Turin.pem", "chains/ARK-Milan.pem"}
	for _, c := range i.Certs {
		files = append(files, c.File)
	}
	for _, file := range files {
		certs, err := attest.ParseCertificates(vectors.MustRead(t, "reports/"+file))
		if err != nil {
			t.Fatal(err)
		}
		pool.Add(certs...)
	}
	verifier := attest.NewVerifier(attest.AMDRoots())
	for _, report := range i.Reports {
		if report.Version < 2 {
			continue
		}
		r := readReport(t, report.File)
		chains, err := pool.Chains(r)
		if err != nil && !errors.Is(err, attest.ReasonNoCertificate) {
			t.Errorf("%s: %v", report.File, err)
		}
		genuine := 0
		for _, c := range chains {
			cert, err := attest.ParseCertificate(c.VEK)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verifier.Verify(r, c, cert.NotBefore); err == nil {
				genuine++
			}
		}
		// Each leaf that fits, with the ASK of the pool and with the embedded one.
		if want := 2 * len(report.Endorsement); genuine != want {
			t.Errorf("%s: %d of %d chains verify, want %d", report.File, genuine, len(chains), want)
		}
	}
}

func TestPoolRefuses(t *testing.T) {
	s := mustVCEK(t, snp.Milan)
	var pool attest.Pool
	pool.Add(s.vek.Certificate, simtest.AMD(t).Line(snp.Milan).ASVK.Certificate)
	for _, tc := range []struct {
		name   string
		change func(*snp.Report)
		want   attest.Reason
		detail string
	}{
		{"another chip", func(r *snp.Report) { r.ChipID[0]++ }, attest.ReasonNoCertificate, "2 certificates, 0 of them"},
		{"another TCB", func(r *snp.Report) { r.ReportedTCB[0]++ }, attest.ReasonNoCertificate, "2 certificates, 1 of them"},
		{"another product", func(r *snp.Report) { r.CPUID.Model = 0x11 }, attest.ReasonNoCertificate, "2 certificates, 0 of them"},
		{"unknown product", func(r *snp.Report) { r.CPUID.Model = 0xFF }, attest.ReasonNoCertificate, "2 certificates, 0 of them"},
		{"VLEK", func(r *snp.Report) { r.SigningKey = snp.SignedByVLEK }, attest.ReasonNoCertificate, "want a VLEK"},
		{"chip ID masked", func(r *snp.Report) { r.ChipID = [64]byte{} }, attest.ReasonChipIDMasked, ""},
		{"chip key masked", func(r *snp.Report) { r.MaskChipKey = true }, attest.ReasonChipKeyMasked, ""},
	} {
		r := s.template()
		tc.change(r)
		chains, err := pool.Chains(r)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.detail) {
			t.Errorf("%s: got %d chains, %v, want %v with %q", tc.name, len(chains), err, tc.want, tc.detail)
		}
	}
	for range 100 {
		pool.Add(s.vek.Certificate)
	}
	if chains, err := pool.Chains(s.template()); err != nil || len(chains) != 64 || pool.Len() != 102 {
		t.Errorf("got %d chains, %v, want no more than 64", len(chains), err)
	}
}

func TestTableChain(t *testing.T) {
	vcek, vlek := mustVCEK(t, snp.Milan), mustVLEK(t, snp.Milan)
	toPEM := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	both := snp.CertTable{VCEK: vcek.chain.VEK, VLEK: toPEM(vlek.chain.VEK), ASK: toPEM(vlek.chain.ASK), ARK: vlek.chain.ARK}
	got, err := attest.TableChain(vlek.template(), &both)
	if err != nil || !bytes.Equal(got.VEK, vlek.chain.VEK) || !bytes.Equal(got.ASK, vlek.chain.ASK) || !bytes.Equal(got.ARK, vlek.chain.ARK) {
		t.Errorf("VLEK: got another chain, %v", err)
	}
	got, err = attest.TableChain(vcek.template(), &both)
	if err != nil || !bytes.Equal(got.VEK, vcek.chain.VEK) {
		t.Errorf("VCEK: got another chain, %v", err)
	}
	got, err = attest.TableChain(vlek.template(), &snp.CertTable{VCEK: vcek.chain.VEK})
	if err != nil || got.VEK != nil || got.ASK != nil || got.ARK != nil {
		t.Errorf("only a VCEK for a VLEK's report: got %v, %v", got, err)
	}
	for name, table := range map[string]snp.CertTable{
		"VCEK": {VCEK: []byte("garbage")},
		"ASK":  {VCEK: vcek.chain.VEK, ASK: []byte("garbage")},
		"ARK":  {VCEK: vcek.chain.VEK, ARK: append(toPEM(vcek.chain.ARK), toPEM(vcek.chain.ASK)...)},
	} {
		_, err := attest.TableChain(vcek.template(), &table)
		if !errors.Is(err, attest.ReasonCertificateFormat) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want %v", name, err, attest.ReasonCertificateFormat)
		}
	}
}
