package sim_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// A verifier must not be able to tell the simulation from AMD by anything but
// the keys and dates.
func TestAuthoritiesLookLikeAMDs(t *testing.T) {
	amd := simtest.AMD(t)
	for _, tc := range []struct {
		file string
		got  *sim.Authority
	}{
		{"ARK-Milan.pem", amd.Line(snp.Milan).ARK},
		{"ARK-Genoa.pem", amd.Line(snp.Genoa).ARK},
		{"ARK-Turin.pem", amd.Line(snp.Turin).ARK},
		{"SEV-Milan.pem", amd.Line(snp.Milan).ASK},
		{"SEV-VLEK-Milan.pem", amd.Line(snp.Milan).ASVK},
		{"SEV-Turin.pem", amd.Line(snp.Turin).ASK},
	} {
		t.Run(tc.file, func(t *testing.T) {
			block, _ := pem.Decode(vectors.MustRead(t, "reports/chains/"+tc.file))
			if block == nil {
				t.Fatal("no PEM block")
			}
			want, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			checkAuthority(t, tc.got.Certificate, want)
		})
	}
}

func checkAuthority(t *testing.T, got, want *x509.Certificate) {
	t.Helper()
	if !bytes.Equal(got.RawSubject, want.RawSubject) || !bytes.Equal(got.RawIssuer, want.RawIssuer) {
		t.Errorf("got %s by %s, want %s by %s", got.Subject, got.Issuer, want.Subject, want.Issuer)
	}
	if got.SerialNumber.Cmp(want.SerialNumber) != 0 || got.SignatureAlgorithm != want.SignatureAlgorithm {
		t.Errorf("got serial %s, %s, want %s, %s", got.SerialNumber, got.SignatureAlgorithm, want.SerialNumber, want.SignatureAlgorithm)
	}
	if got.KeyUsage != want.KeyUsage || got.IsCA != want.IsCA || got.MaxPathLen != want.MaxPathLen || got.MaxPathLenZero != want.MaxPathLenZero {
		t.Errorf("got key usage %b, CA %v, path length %d", got.KeyUsage, got.IsCA, got.MaxPathLen)
	}
	if got.CRLDistributionPoints[0] != want.CRLDistributionPoints[0] {
		t.Errorf("got CRL at %s, want %s", got.CRLDistributionPoints[0], want.CRLDistributionPoints[0])
	}
	if key, ok := got.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 4096 {
		t.Errorf("got key %T", got.PublicKey)
	}
	if len(got.Extensions) != len(want.Extensions) {
		t.Fatalf("got %d extensions, want %d", len(got.Extensions), len(want.Extensions))
	}
	critical := make(map[string]bool)
	for _, x := range want.Extensions {
		critical[x.Id.String()] = x.Critical
	}
	for _, x := range got.Extensions {
		if c, ok := critical[x.Id.String()]; !ok || c != x.Critical {
			t.Errorf("extension %s: critical %v", x.Id, x.Critical)
		}
	}
}

func TestAuthoritiesChain(t *testing.T) {
	amd, impostor := simtest.AMD(t), simtest.Impostor(t)
	for _, p := range snp.Products() {
		line := amd.Line(p)
		for _, a := range []*sim.Authority{line.ARK, line.ASK, line.ASVK} {
			if err := a.Certificate.CheckSignatureFrom(line.ARK.Certificate); err != nil {
				t.Errorf("%s: %v", a.Certificate.Subject, err)
			}
			if err := a.Certificate.CheckSignatureFrom(impostor.Line(p).ARK.Certificate); err == nil {
				t.Errorf("%s: signed by the impostor", a.Certificate.Subject)
			}
		}
	}
}
