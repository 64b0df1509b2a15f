package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// maxPoolChains bounds how many chains a Pool offers for one report.
const maxPoolChains = 64

// Pool is a heap of certificates of any kind, such as those of a directory, that
// knows which belong to a report. It decides nothing: every chain that it offers
// has still to be verified.
type Pool struct{ certs []*x509.Certificate }

// Add puts certificates into the pool.
func (p *Pool) Add(certs ...*x509.Certificate) { p.certs = append(p.certs, certs...) }

// Len returns how many certificates are in the pool.
func (p *Pool) Len() int { return len(p.certs) }

// Chains returns the chains with which a report may verify: the VCEK or VLEK of
// its chip and TCB, with each ASK or ASVK of the right name and last with none,
// which stands for AMD's. Where several certificates fit, as VLEKs do, those
// whose key signed the report are taken. The error is a *Refusal.
func (p *Pool) Chains(r *snp.Report) ([]Chain, error) {
	if err := checkMasks(r); err != nil {
		return nil, err
	}
	veks, err := p.veks(r)
	if err != nil {
		return nil, err
	}
	var chains []Chain
	for _, vek := range veks {
		for _, ask := range p.certs {
			if bytes.Equal(ask.RawSubject, vek.RawIssuer) {
				chains = append(chains, Chain{VEK: vek.Raw, ASK: ask.Raw})
			}
		}
		chains = append(chains, Chain{VEK: vek.Raw})
	}
	return chains[:min(len(chains), maxPoolChains)], nil
}

// veks returns the certificates of a report's chip or provider and its TCB.
func (p *Pool) veks(r *snp.Report) ([]*x509.Certificate, error) {
	var fitting, signing []*x509.Certificate
	otherTCB := 0
	for _, cert := range p.certs {
		e, err := snp.ParseExtensions(cert)
		switch {
		case err != nil || !ofReport(r, e):
		case e.TCB.Bytes(e.Product) != r.ReportedTCB:
			otherTCB++
		case len(fitting) < maxPoolChains:
			fitting = append(fitting, cert)
			if key, ok := cert.PublicKey.(*ecdsa.PublicKey); ok && checkSignature(r, key) == nil {
				signing = append(signing, cert)
			}
		}
	}
	switch {
	case len(signing) > 0:
		return signing, nil
	case len(fitting) > 0:
		return fitting, nil
	}
	return nil, &Refusal{
		Reason: ReasonNoCertificate, Expected: "a " + r.SigningKey.String(),
		Found: fmt.Sprintf("%d certificates, %d of them of this key with another TCB", len(p.certs), otherTCB),
	}
}

// ofReport reports whether a certificate with these extensions may be of the key
// that signed a report, at any TCB.
func ofReport(r *snp.Report, e *snp.Extensions) bool {
	if r.CPUID != nil {
		if product, err := r.CPUID.Product(); err != nil || product != e.Product {
			return false
		}
	}
	if e.CSPID != "" {
		return r.SigningKey == snp.SignedByVLEK
	}
	return r.SigningKey == snp.SignedByVCEK && bytes.HasPrefix(r.ChipID[:], e.HardwareID)
}

// TableChain returns the chain that came with a report in its certificate table.
// Where the table has no certificate of the key that signed, VEK is nil. The
// error is a *Refusal, ReasonCertificateFormat.
func TableChain(r *snp.Report, t *snp.CertTable) (Chain, error) {
	vek := t.VCEK
	if r.SigningKey == snp.SignedByVLEK {
		vek = t.VLEK
	}
	var c Chain
	for _, part := range []struct {
		title string
		data  []byte
		out   *[]byte
	}{{r.SigningKey.String(), vek, &c.VEK}, {"ASK", t.ASK, &c.ASK}, {"ARK", t.ARK, &c.ARK}} {
		if part.data == nil {
			continue
		}
		if *part.out = part.data; isDER(part.data) {
			continue // it is parsed when the chain is proven, once
		}
		cert, err := ParseCertificate(part.data)
		if err != nil {
			return Chain{}, &Refusal{Reason: ReasonCertificateFormat, Subject: part.title + " of the certificate table", Err: err}
		}
		*part.out = cert.Raw
	}
	return c, nil
}

// isDER reports whether all of data is one ASN.1 SEQUENCE, as a certificate in DER is.
func isDER(data []byte) bool {
	s := cryptobyte.String(data)
	return s.SkipASN1(asn1.SEQUENCE) && s.Empty()
}
