package attest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// forge makes wrong certificates of Milan for the key that signs the report.
type forge struct {
	*testing.T
	amd, impostor *sim.Line
	genoa         *sim.Line
	signer        signer
}

// vcek issues a VCEK by any authority, after change.
func (f forge) vcek(by *sim.Authority, change func(*x509.Certificate)) []byte {
	return f.vek(by, &snp.Extensions{
		ProductName: "Milan-B0", Product: snp.Milan, TCB: f.signer.chip.TCB, HardwareID: f.signer.chip.HardwareID(),
	}, f.signer.vek.Key.Public(), change)
}

func (f forge) vek(by *sim.Authority, e *snp.Extensions, key crypto.PublicKey, change func(*x509.Certificate)) []byte {
	template, err := simtest.AMD(f).At(now).VEKTemplate(e)
	if err != nil {
		f.Fatal(err)
	}
	if change != nil {
		change(template)
	}
	return issue(f, by, template, key).Raw
}

// ask issues an ASK for the true one's key by any authority, after change.
func (f forge) ask(by *sim.Authority, change func(*x509.Certificate)) []byte {
	template := sim.ASKTemplate(snp.Milan, f.amd.ARK)
	if change != nil {
		change(template)
	}
	return issue(f, by, template, f.amd.ASK.Key.Public()).Raw
}

// chain returns the true chain with what is not nil in its place.
func (f forge) chain(vek, ask, ark []byte) attest.Chain {
	c := f.signer.chain
	for _, part := range []struct {
		out *[]byte
		in  []byte
	}{{&c.VEK, vek}, {&c.ASK, ask}, {&c.ARK, ark}} {
		if part.in != nil {
			*part.out = part.in
		}
	}
	return c
}

func critical(t *x509.Certificate) {
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
}

// padding makes a certificate large with an extension that means nothing.
func padding(t *x509.Certificate) {
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 64<<10)})
}

func TestForgedChains(t *testing.T) {
	f := forge{t, simtest.AMD(t).Line(snp.Milan), simtest.Impostor(t).Line(snp.Milan), simtest.AMD(t).Line(snp.Genoa), mustVCEK(t, snp.Milan)}
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	impostor := vcekOf(t, simtest.Impostor(t), snp.Milan)
	milan := &snp.Extensions{ProductName: "Milan-B0", Product: snp.Milan, TCB: f.signer.chip.TCB, HardwareID: f.signer.chip.HardwareID()}
	vlek := &snp.Extensions{ProductName: "Milan", Product: snp.Milan, TCB: f.signer.chip.TCB, CSPID: cspID}
	for _, tc := range []struct {
		name  string
		chain attest.Chain
		want  attest.Reason // empty: accepted
	}{
		{"true chain", f.chain(nil, nil, nil), ""},
		{"ARK left out", attest.Chain{VEK: f.signer.chain.VEK, ASK: f.signer.chain.ASK}, ""},
		{"forged by nobody, same as the true one", f.chain(f.vcek(f.amd.ASK, nil), f.ask(f.amd.ARK, nil), nil), ""},
		{"nothing", attest.Chain{}, attest.ReasonNoCertificate},
		{"VCEK left out", attest.Chain{ASK: f.signer.chain.ASK, ARK: f.signer.chain.ARK}, attest.ReasonNoCertificate},
		{"ASK left out", attest.Chain{VEK: f.signer.chain.VEK}, attest.ReasonNoCertificate},
		{"VCEK is garbage", f.chain([]byte("garbage"), nil, nil), attest.ReasonCertificateFormat},
		{"VCEK with a byte behind", f.chain(append(bytes.Clone(f.signer.chain.VEK), 0), nil, nil), attest.ReasonCertificateFormat},
		{"ASK is garbage", f.chain(nil, []byte("garbage"), nil), attest.ReasonCertificateFormat},
		{"ARK is garbage", f.chain(nil, nil, []byte("garbage")), attest.ReasonRoot},
		{"ASK in the VCEK's place", f.chain(f.signer.chain.ASK, nil, nil), attest.ReasonCertificateFormat},
		{"X.509 version 2", f.chain(version2(t, f.signer.chain.VEK), nil, nil), attest.ReasonCertificateFormat},

		{"impostor", impostor.chain, attest.ReasonRoot},
		{"impostor without ARK", attest.Chain{VEK: impostor.chain.VEK, ASK: impostor.chain.ASK}, attest.ReasonCertificateSignature},
		{"impostor below the true ARK", f.chain(impostor.chain.VEK, impostor.chain.ASK, nil), attest.ReasonCertificateSignature},
		{"impostor's VCEK", f.chain(impostor.chain.VEK, nil, nil), attest.ReasonCertificateSignature},
		{"impostor's ARK", f.chain(nil, nil, impostor.chain.ARK), attest.ReasonRoot},
		{"impostor's ASK with the true key", f.chain(nil, f.ask(f.impostor.ARK, nil), nil), attest.ReasonCertificateSignature},
		{"ARK issued anew by itself", f.chain(nil, nil, issue(t, f.amd.ARK, sim.ARKTemplate(snp.Milan), f.amd.ARK.Key.Public()).Raw), attest.ReasonRoot},
		{"AMD's ARK", f.chain(nil, nil, der(t, "chains/ARK-Milan.pem")), attest.ReasonRoot},
		{"ARK of another product", f.chain(nil, nil, f.genoa.ARK.Certificate.Raw), attest.ReasonRoot},

		{"ASVK as issuer of a VCEK", f.chain(f.vcek(f.amd.ASVK, nil), f.amd.ASVK.Certificate.Raw, nil), attest.ReasonCertificateName},
		{"ASVK issues a VCEK as ASK", f.chain(f.vcek(f.amd.ASVK, issuedBy(f.amd.ASK)), f.amd.ASVK.Certificate.Raw, nil), attest.ReasonCertificateName},
		{"ASK as issuer of a VLEK", f.chain(f.vek(f.amd.ASK, vlek, f.signer.vek.Key.Public(), nil), nil, nil), attest.ReasonCertificateName},
		{"VLEK named VCEK", f.chain(f.vek(f.amd.ASK, vlek, f.signer.vek.Key.Public(), rename("SEV-VCEK")), nil, nil), attest.ReasonCertificateName},
		{"ARK as issuer of a VCEK", f.chain(f.vcek(f.amd.ARK, nil), f.amd.ARK.Certificate.Raw, nil), attest.ReasonCertificateName},
		{"Genoa issues Milan", f.chain(f.vcek(f.genoa.ASK, nil), f.genoa.ASK.Certificate.Raw, f.genoa.ARK.Certificate.Raw), attest.ReasonRoot},
		{"Genoa issues Milan, ARK left out", attest.Chain{VEK: f.vcek(f.genoa.ASK, nil), ASK: f.genoa.ASK.Certificate.Raw}, attest.ReasonCertificateName},
		{"ASK of Genoa named Milan", f.chain(nil, f.ask(f.genoa.ARK, nil), nil), attest.ReasonCertificateName},
		{"VCEK with another issuer's name", f.chain(f.vcek(f.amd.ASK, issuedBy(f.genoa.ASK)), nil, nil), attest.ReasonCertificateName},
		{"VCEK with another name", f.chain(f.vcek(f.amd.ASK, rename("SEV-VLEK")), nil, nil), attest.ReasonCertificateName},
		{"ASK with another issuer's name", f.chain(nil, f.ask(f.amd.ARK, issuedBy(f.genoa.ARK)), nil), attest.ReasonCertificateName},
		{"ASK with another name", f.chain(nil, f.ask(f.amd.ARK, rename("SEV-Rome")), nil), attest.ReasonCertificateName},

		{"VCEK is a CA", f.chain(f.vcek(f.amd.ASK, func(t *x509.Certificate) { t.BasicConstraintsValid, t.IsCA = true, true }), nil, nil), attest.ReasonCertificateUsage},
		{"VCEK may sign certificates", f.chain(f.vcek(f.amd.ASK, func(t *x509.Certificate) { t.KeyUsage = x509.KeyUsageCertSign }), nil, nil), attest.ReasonCertificateUsage},
		{"ASK is no CA", f.chain(nil, f.ask(f.amd.ARK, func(t *x509.Certificate) { t.IsCA, t.MaxPathLenZero = false, false }), nil), attest.ReasonCertificateUsage},
		{"ASK may sign CRLs only", f.chain(nil, f.ask(f.amd.ARK, func(t *x509.Certificate) { t.KeyUsage = x509.KeyUsageCRLSign }), nil), attest.ReasonCertificateUsage},
		{"ASK with a small key", f.chain(nil, issue(t, f.amd.ARK, sim.ASKTemplate(snp.Milan, f.amd.ARK), small.Public()).Raw, nil), attest.ReasonCertificateKey},
		{"ASK with an EC key", f.chain(nil, issue(t, f.amd.ARK, sim.ASKTemplate(snp.Milan, f.amd.ARK), p256.Public()).Raw, nil), attest.ReasonCertificateKey},
		{"VCEK with a P-256 key", f.chain(f.vek(f.amd.ASK, milan, p256.Public(), nil), nil, nil), attest.ReasonCertificateKey},
		{"VCEK with an RSA key", f.chain(f.vek(f.amd.ASK, milan, small.Public(), nil), nil, nil), attest.ReasonCertificateKey},
		{"VCEK signed with PKCS #1 v1.5", f.chain(signedWith(t, f, x509.SHA384WithRSA), nil, nil), attest.ReasonCertificateSignature},
		{"VCEK signed with SHA-256", f.chain(signedWith(t, f, x509.SHA256WithRSAPSS), nil, nil), attest.ReasonCertificateSignature},

		{"VCEK with an unknown critical extension", f.chain(f.vcek(f.amd.ASK, critical), nil, nil), attest.ReasonCertificateFormat},
		{"VCEK of 64 KiB", f.chain(f.vcek(f.amd.ASK, padding), nil, nil), attest.ReasonCertificateFormat},
		{"ASK with an unknown critical extension", f.chain(nil, f.ask(f.amd.ARK, critical), nil), attest.ReasonCertificateFormat},
		{"VCEK without SEV extensions", f.chain(f.vcek(f.amd.ASK, func(t *x509.Certificate) { t.ExtraExtensions = nil }), nil, nil), attest.ReasonCertificateFormat},
		{"VCEK without hardware ID", f.chain(f.vcek(f.amd.ASK, func(t *x509.Certificate) {
			t.ExtraExtensions = t.ExtraExtensions[:len(t.ExtraExtensions)-1]
		}), nil, nil), attest.ReasonCertificateFormat},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := attest.NewVerifier(simRoots(t)).Verify(f.signer.sign(t, f.signer.template()), tc.chain, now)
			if tc.want == "" && err == nil {
				return
			}
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// issuedBy makes a certificate name another issuer than the one that signs it.
func issuedBy(a *sim.Authority) func(*x509.Certificate) {
	return func(t *x509.Certificate) { t.RawIssuer = a.Certificate.RawSubject }
}

// rename gives a certificate another subject, with nothing but a common name.
func rename(name string) func(*x509.Certificate) {
	return func(t *x509.Certificate) { t.RawSubject, t.Subject = nil, pkix.Name{CommonName: name} }
}

// version2 changes the version in a certificate, which breaks its signature.
func version2(t *testing.T, der []byte) []byte {
	t.Helper()
	version := []byte{0xA0, 3, 2, 1, 2}
	if bytes.Count(der, version) != 1 {
		t.Fatal("version not found")
	}
	return bytes.Replace(der, version, []byte{0xA0, 3, 2, 1, 1}, 1)
}

// signedWith lets the true ASK sign a VCEK with another algorithm.
func signedWith(t *testing.T, f forge, algorithm x509.SignatureAlgorithm) []byte {
	t.Helper()
	template, err := x509.ParseCertificate(f.vcek(f.amd.ASK, nil))
	if err != nil {
		t.Fatal(err)
	}
	template.SignatureAlgorithm, template.ExtraExtensions = algorithm, template.Extensions
	der, err := x509.CreateCertificate(rand.Reader, template, f.amd.ASK.Certificate, f.signer.vek.Key.Public(), f.amd.ASK.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestVersion2SaysSo(t *testing.T) {
	s := mustVCEK(t, snp.Milan)
	chain := attest.Chain{VEK: version2(t, s.chain.VEK), ASK: s.chain.ASK}
	_, err := attest.NewVerifier(simRoots(t)).Verify(s.sign(t, s.template()), chain, now)
	if err == nil || !strings.Contains(err.Error(), "found X.509 version 2, want 3") {
		t.Errorf("got %v", err)
	}
}

// TestExpiredAuthorities has a VCEK that outlives what is above it.
func TestExpiredAuthorities(t *testing.T) {
	f := forge{T: t, amd: simtest.AMD(t).Line(snp.Milan), signer: mustVCEK(t, snp.Milan)}
	late := func(t *x509.Certificate) { t.NotAfter = now.AddDate(50, 0, 0) }
	vcek, ask := f.vcek(f.amd.ASK, late), f.ask(f.amd.ARK, late)
	for _, tc := range []struct {
		expired string
		chain   attest.Chain
	}{{"ASK", f.chain(vcek, nil, nil)}, {"ARK", f.chain(vcek, ask, nil)}} {
		verifier, report := attest.NewVerifier(simRoots(t)), f.signer.sign(t, f.signer.template())
		if _, err := verifier.Verify(report, tc.chain, now); err != nil {
			t.Errorf("%s: %v", tc.expired, err)
		}
		_, err := verifier.Verify(report, tc.chain, now.AddDate(30, 0, 0))
		var refusal *attest.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != attest.ReasonCertificateTime || refusal.Subject != tc.expired {
			t.Errorf("%s: got %v", tc.expired, err)
		}
	}
}

func TestRootsDoNotMix(t *testing.T) {
	genuine := attest.Chain{VEK: der(t, "certs/vcek-milan-b67b09bfb8.der"), ASK: der(t, "chains/SEV-Milan.pem")}
	report := readReport(t, "milan-v3-vcek-05b7438a3d.bin")
	if _, err := attest.NewVerifier(simRoots(t)).Verify(report, genuine, now); !errors.Is(err, attest.ReasonCertificateSignature) {
		t.Errorf("AMD's report below simulated roots: got %v, want %v", err, attest.ReasonCertificateSignature)
	}
	s := mustVCEK(t, snp.Milan)
	simulated := s.sign(t, s.template())
	amd := attest.NewVerifier(attest.AMDRoots())
	if _, err := amd.Verify(simulated, s.chain, now); !errors.Is(err, attest.ReasonRoot) {
		t.Errorf("simulated report below AMD's roots: got %v, want %v", err, attest.ReasonRoot)
	}
	for _, chain := range []attest.Chain{{VEK: s.chain.VEK}, {VEK: s.chain.VEK, ASK: s.chain.ASK}} {
		if _, err := amd.Verify(simulated, chain, now); !errors.Is(err, attest.ReasonCertificateSignature) {
			t.Errorf("simulated report below AMD's roots: got %v, want %v", err, attest.ReasonCertificateSignature)
		}
	}
	got, err := attest.NewVerifier(simRoots(t)).Verify(simulated, s.chain, now)
	if err != nil || got.Root.AMD || got.Root.Name != "ARK-Milan" {
		t.Errorf("got %+v, %v, want a root that is not AMD's", got, err)
	}
}
