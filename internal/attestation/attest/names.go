package attest

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// The common names of AMD's certificates (57230 rev. 1.00, chapters 2 and 3).
// They keep the kinds of keys apart: an ASK issues VCEKs and an ASVK issues
// VLEKs, each of one product line.

// arkName returns the name of the root of a product line.
func arkName(p snp.Product) string { return "ARK-" + string(p) }

// arkProduct returns the product line of a root.
func arkProduct(cert *x509.Certificate) (snp.Product, error) {
	line, ok := strings.CutPrefix(cert.Subject.CommonName, "ARK-")
	if !ok {
		return "", fmt.Errorf("%q is not the name of an ARK", cert.Subject.CommonName)
	}
	return snp.ParseProduct(line)
}

// askName returns the name of the ASK or ASVK that issues keys of a kind.
func askName(kind snp.SigningKey, p snp.Product) string {
	if kind == snp.SignedByVLEK {
		return "SEV-VLEK-" + string(p)
	}
	return "SEV-" + string(p)
}

// askTitle returns what AMD calls the certificate that issues keys of a kind.
func askTitle(kind snp.SigningKey) string {
	if kind == snp.SignedByVLEK {
		return "ASVK"
	}
	return "ASK"
}

// vekName returns the name of a VCEK or VLEK.
func vekName(kind snp.SigningKey) string { return "SEV-" + kind.String() }
