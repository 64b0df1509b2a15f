package attest

import (
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

//go:embed amd/milan.pem
var amdMilan []byte

//go:embed amd/genoa.pem
var amdGenoa []byte

//go:embed amd/turin.pem
var amdTurin []byte

// Roots are the certificates at which a chain may end. A root counts only when
// it is one of these, byte for byte: a certificate with AMD's names in it is
// nothing. The two kinds never mix: either AMD's roots count or those that the
// caller gave, so no simulated root is ever trusted beside AMD's.
type Roots struct {
	arks []ark
	amd  bool
}

// ark is a trusted root with what is known below it.
type ark struct {
	cert    *x509.Certificate
	product snp.Product
	asks    map[snp.SigningKey]*x509.Certificate // AMD's only
}

// AMDRoots returns AMD's roots of all product lines, which are part of the
// program.
func AMDRoots() *Roots {
	roots := &Roots{amd: true}
	for product, pem := range map[snp.Product][]byte{snp.Milan: amdMilan, snp.Genoa: amdGenoa, snp.Turin: amdTurin} {
		certs, err := ParseCertificates(pem)
		if err != nil || len(certs) != 3 {
			panic(fmt.Sprintf("embedded certificates of %s: %d, %v", product, len(certs), err))
		}
		roots.arks = append(roots.arks, ark{certs[0], product, map[snp.SigningKey]*x509.Certificate{
			snp.SignedByVCEK: certs[1], snp.SignedByVLEK: certs[2],
		}})
	}
	return roots
}

// NewRoots returns roots that replace AMD's. Each certificate has to be an ARK:
// self-signed, named ARK-Milan, ARK-Genoa or ARK-Turin, RSA-4096. Such roots make
// anything genuine that their owner signs; they are for simulations.
func NewRoots(certs []*x509.Certificate) (*Roots, error) {
	if len(certs) == 0 {
		return nil, errors.New("no trust root given")
	}
	roots := &Roots{}
	for _, cert := range certs {
		product, err := arkProduct(cert)
		if err == nil {
			err = checkAuthority(cert, cert, "ARK")
		}
		if err != nil {
			return nil, fmt.Errorf("trust root %q: %w", cert.Subject.CommonName, err)
		}
		roots.arks = append(roots.arks, ark{cert: cert, product: product})
	}
	return roots, nil
}

// ARKs returns the trusted roots of a product line.
func (r *Roots) ARKs(p snp.Product) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, a := range r.arks {
		if a.product == p {
			certs = append(certs, a.cert)
		}
	}
	return certs
}

// ASKs returns the ASKs or ASVKs of a product line, by the kind of key that they
// issue, that are part of the program: AMD's, where AMD's roots count.
func (r *Roots) ASKs(p snp.Product, kind snp.SigningKey) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, a := range r.arks {
		if ask := a.asks[kind]; a.product == p && ask != nil {
			certs = append(certs, ask)
		}
	}
	return certs
}

// candidates returns the roots that may have issued an ASK or ASVK of a product
// line. Where the chain brings an ARK, that is the only one, if it is trusted.
func (r *Roots) candidates(product snp.Product, given []byte) ([]ark, error) {
	var found []ark
	for _, a := range r.arks {
		if a.product == product && (len(given) == 0 || string(a.cert.Raw) == string(given)) {
			found = append(found, a)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	refusal := &Refusal{Reason: ReasonRoot, Subject: "ARK", Expected: r.describe(product)}
	if len(given) > 0 {
		refusal.Found = fmt.Sprintf("certificate with SHA-256 %x", sha256.Sum256(given))
	}
	return nil, refusal
}

// describe names the roots that would have counted.
func (r *Roots) describe(product snp.Product) string {
	if r.amd {
		return "AMD's " + arkName(product)
	}
	return arkName(product) + " among the given trust roots"
}

// Root is the trusted certificate that a chain ended at.
type Root struct {
	Name        string // such as "ARK-Milan"
	Fingerprint [sha256.Size]byte
	AMD         bool // false: given as a trust root, simulated
}
