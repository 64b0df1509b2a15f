package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// caKeyBits is the size of the keys of ARK, ASK and ASVK (57230 rev. 1.00,
// chapter 2).
const caKeyBits = 4096

// maxCertificateSize bounds one certificate in bytes. AMD's have less than 2 KiB.
const maxCertificateSize = 64 << 10

// Chain is the certificates that a report is verified with, each in DER.
type Chain struct {
	VEK []byte // the VCEK or VLEK
	ASK []byte // the ASK or ASVK; nil for AMD's, which are part of the program
	ARK []byte // nil for the trusted root of the product line
}

// proven is a chain that ends at a trusted root. It is never changed.
type proven struct {
	vek, ask, ark *x509.Certificate
	kind          snp.SigningKey
	extensions    *snp.Extensions
	key           *ecdsa.PublicKey
	root          Root
}

// prove parses a chain and checks everything about it but the time.
func prove(roots *Roots, c Chain) (*proven, error) {
	p := &proven{}
	if err := p.parseVEK(c.VEK); err != nil {
		return nil, err
	}
	arks, err := roots.candidates(p.extensions.Product, c.ARK)
	if err != nil {
		return nil, err
	}
	for _, a := range arks {
		if err = p.climb(a, c.ASK); err == nil {
			p.ark = a.cert
			p.root = Root{a.cert.Subject.CommonName, sha256.Sum256(a.cert.Raw), roots.amd}
			return p, nil
		}
	}
	return nil, err
}

// parseVEK reads the leaf and checks what needs no other certificate.
func (p *proven) parseVEK(der []byte) error {
	if len(der) == 0 {
		return &Refusal{Reason: ReasonNoCertificate}
	}
	var err error
	if p.vek, err = parseStrict(der, "VEK"); err != nil {
		return err
	}
	if p.extensions, err = snp.ParseExtensions(p.vek); err != nil {
		return &Refusal{Reason: ReasonCertificateFormat, Subject: "VEK", Err: err}
	}
	if p.extensions.CSPID != "" {
		p.kind = snp.SignedByVLEK
	}
	if err := checkName(p.kind.String(), p.vek.Subject.CommonName, vekName(p.kind)); err != nil {
		return err
	}
	if p.vek.IsCA || p.vek.KeyUsage&x509.KeyUsageCertSign != 0 {
		return &Refusal{Reason: ReasonCertificateUsage, Subject: p.kind.String(), Found: "a CA", Expected: "an end entity"}
	}
	key, ok := p.vek.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return &Refusal{Reason: ReasonCertificateKey, Subject: p.kind.String(), Found: p.vek.PublicKeyAlgorithm.String(), Expected: "ECDSA P-384"}
	}
	p.key = key
	return nil
}

// climb checks the way from the leaf to one root.
func (p *proven) climb(root ark, askDER []byte) error {
	title := askTitle(p.kind)
	p.ask = root.asks[p.kind]
	if len(askDER) > 0 {
		var err error
		if p.ask, err = parseStrict(askDER, title); err != nil {
			return err
		}
	}
	if p.ask == nil {
		return &Refusal{Reason: ReasonNoCertificate, Subject: title}
	}
	if err := checkName(title, p.ask.Subject.CommonName, askName(p.kind, root.product)); err != nil {
		return err
	}
	if err := checkAuthority(p.ask, root.cert, title); err != nil {
		return err
	}
	return checkIssued(p.vek, p.ask, p.kind.String())
}

// parseStrict reads a certificate in DER. A parsed certificate refers to its
// bytes and may be kept, so the caller's stay the caller's.
func parseStrict(der []byte, title string) (*x509.Certificate, error) {
	if len(der) > maxCertificateSize {
		return nil, &Refusal{
			Reason: ReasonCertificateFormat, Subject: title,
			Found: fmt.Sprintf("%d bytes", len(der)), Expected: fmt.Sprintf("at most %d", maxCertificateSize),
		}
	}
	cert, err := x509.ParseCertificate(bytes.Clone(der))
	if err != nil {
		return nil, &Refusal{Reason: ReasonCertificateFormat, Subject: title, Err: err}
	}
	if cert.Version != 3 {
		return nil, &Refusal{Reason: ReasonCertificateFormat, Subject: title, Found: fmt.Sprintf("X.509 version %d", cert.Version), Expected: "3"}
	}
	if len(cert.UnhandledCriticalExtensions) > 0 {
		return nil, &Refusal{
			Reason: ReasonCertificateFormat, Subject: title,
			Found: fmt.Sprintf("unknown critical extension %s", cert.UnhandledCriticalExtensions[0]),
		}
	}
	return cert, nil
}

func checkName(title, found, want string) error {
	if found != want {
		return &Refusal{Reason: ReasonCertificateName, Subject: title, Found: fmt.Sprintf("%q", found), Expected: fmt.Sprintf("%q", want)}
	}
	return nil
}

// checkAuthority checks that a certificate may issue others and that the ARK
// issued it. An ARK is its own issuer.
func checkAuthority(cert, issuer *x509.Certificate, title string) error {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != caKeyBits {
		return &Refusal{Reason: ReasonCertificateKey, Subject: title, Found: cert.PublicKeyAlgorithm.String(), Expected: "RSA-4096"}
	}
	if !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return &Refusal{Reason: ReasonCertificateUsage, Subject: title, Found: "no CA", Expected: "a CA that signs certificates"}
	}
	return checkIssued(cert, issuer, title)
}

// checkIssued checks that issuer signed a certificate: RSA-PSS with SHA-384, the
// only algorithm that AMD uses.
func checkIssued(cert, issuer *x509.Certificate, title string) error {
	if string(cert.RawIssuer) != string(issuer.RawSubject) {
		return &Refusal{
			Reason: ReasonCertificateName, Subject: "issuer of the " + title,
			Found: fmt.Sprintf("%q", cert.Issuer.CommonName), Expected: fmt.Sprintf("%q", issuer.Subject.CommonName),
		}
	}
	if cert.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return &Refusal{
			Reason: ReasonCertificateSignature, Subject: title,
			Found: cert.SignatureAlgorithm.String(), Expected: x509.SHA384WithRSAPSS.String(),
		}
	}
	if err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return &Refusal{Reason: ReasonCertificateSignature, Subject: title, Err: err}
	}
	return nil
}

// checkTime wants every certificate of the chain valid at a time.
func (p *proven) checkTime(at time.Time) error {
	for _, c := range []struct {
		title string
		cert  *x509.Certificate
	}{{p.kind.String(), p.vek}, {askTitle(p.kind), p.ask}, {"ARK", p.ark}} {
		if at.Before(c.cert.NotBefore) || at.After(c.cert.NotAfter) {
			return &Refusal{
				Reason: ReasonCertificateTime, Subject: c.title, Found: at.UTC().Format(time.RFC3339),
				Expected: c.cert.NotBefore.UTC().Format(time.RFC3339) + " to " + c.cert.NotAfter.UTC().Format(time.RFC3339),
			}
		}
	}
	return nil
}
