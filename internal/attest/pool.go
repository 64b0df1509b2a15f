package attest

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
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

// Chains returns the chains with which a report may verify: each VCEK or VLEK of
// its chip and TCB, with each ASK or ASVK of the right name and last with none,
// which stands for AMD's. The error is a *Refusal.
func (p *Pool) Chains(r *snp.Report) ([]Chain, error) {
	if err := checkMasks(r); err != nil {
		return nil, err
	}
	var chains []Chain
	otherTCB := 0
	for _, vek := range p.certs {
		e, err := snp.ParseExtensions(vek)
		if err != nil || !ofReport(r, e) {
			continue
		}
		if e.TCB.Bytes(e.Product) != r.ReportedTCB {
			otherTCB++
			continue
		}
		for _, ask := range p.certs {
			if ask.IsCA && bytes.Equal(ask.RawSubject, vek.RawIssuer) {
				chains = append(chains, Chain{VEK: vek.Raw, ASK: ask.Raw})
			}
		}
		chains = append(chains, Chain{VEK: vek.Raw})
	}
	if len(chains) == 0 {
		return nil, &Refusal{
			Reason: ReasonNoCertificate, Expected: "a " + r.SigningKey.String(),
			Found: fmt.Sprintf("%d certificates, %d of them of this key with another TCB", len(p.certs), otherTCB),
		}
	}
	return chains[:min(len(chains), maxPoolChains)], nil
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
		cert, err := ParseCertificate(part.data)
		if err != nil {
			return Chain{}, &Refusal{Reason: ReasonCertificateFormat, Subject: part.title + " of the certificate table", Err: err}
		}
		*part.out = cert.Raw
	}
	return c, nil
}
