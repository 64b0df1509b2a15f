package attest

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"math/big"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Verifier decides whether reports are genuine. It remembers the chains that it
// has proven, so that the next report of the same chip costs one check of its
// signature. It is safe for concurrent use.
type Verifier struct {
	roots *Roots
	cache chainCache
}

// NewVerifier returns a Verifier that trusts nothing but roots.
func NewVerifier(roots *Roots) *Verifier { return &Verifier{roots: roots} }

// Verified is a genuine report with what its certificates say.
type Verified struct {
	Report      *snp.Report
	Product     snp.Product
	ProductName string // from the certificate, such as "Milan-B0"; bytes from outside
	SigningKey  snp.SigningKey
	CSPID       string // of a VLEK; bytes from outside

	CurrentTCB, ReportedTCB, CommittedTCB, LaunchTCB snp.TCB

	Root  Root
	Chain []*x509.Certificate // VCEK or VLEK, ASK or ASVK, ARK; not to be changed
}

// Verify checks that a report is signed by a key that AMD, or whoever owns the
// given trust roots, vouches for at the time at: the chain up to a pinned root,
// that the certificate belongs to the report (kind of key, product, chip and
// TCB), and the report's signature. The error is a *Refusal.
func (v *Verifier) Verify(r *snp.Report, c Chain, at time.Time) (*Verified, error) {
	if err := checkMasks(r); err != nil {
		return nil, err
	}
	p, err := v.prove(c)
	if err != nil {
		return nil, err
	}
	if err := p.checkTime(at); err != nil {
		return nil, err
	}
	verified := &Verified{
		Report: r, Product: p.extensions.Product, ProductName: p.extensions.ProductName,
		SigningKey: p.kind, CSPID: p.extensions.CSPID,
		Root: p.root, Chain: []*x509.Certificate{p.vek, p.ask, p.ark},
	}
	if err := verified.bind(p.extensions); err != nil {
		return nil, err
	}
	if err := checkSignature(r, p.key); err != nil {
		return nil, err
	}
	return verified, nil
}

// prove returns the proven chain, from the cache where it can.
func (v *Verifier) prove(c Chain) (*proven, error) {
	key := c.key()
	if p := v.cache.get(key); p != nil {
		return p, nil
	}
	p, err := prove(v.roots, c)
	if err != nil {
		return nil, err
	}
	v.cache.put(key, p)
	return p, nil
}

// checkSignature checks the report's signature: ECDSA P-384 over the SHA-384 of
// all bytes before it (56860 rev. 1.58, table ATTESTATION_REPORT).
func checkSignature(r *snp.Report, key *ecdsa.PublicKey) error {
	numberR, numberS := new(big.Int).SetBytes(r.SignatureR[:]), new(big.Int).SetBytes(r.SignatureS[:])
	for _, n := range []struct {
		name   string
		number *big.Int
	}{{"R", numberR}, {"S", numberS}} {
		if n.number.Sign() == 0 || n.number.Cmp(key.Params().N) >= 0 {
			return &Refusal{Reason: ReasonSignatureRange, Subject: n.name}
		}
	}
	digest := sha512.Sum384(r.Signed())
	if !ecdsa.Verify(key, digest[:], numberR, numberS) {
		return &Refusal{Reason: ReasonSignature}
	}
	return nil
}
