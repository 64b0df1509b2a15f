package sim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// caKeyBits is the size of AMD's RSA keys (57230 rev. 1.00, section 2).
const caKeyBits = 4096

// caYears is how long AMD's authorities are valid.
const caYears = 25

// Authority is a key that issues certificates, with its own certificate.
type Authority struct {
	Key         *rsa.PrivateKey
	Certificate *x509.Certificate
}

// Issue signs a certificate with this authority's key, RSA-PSS with SHA-384 and a
// salt of 48 bytes. The issuer is the authority's subject unless the template has
// a RawIssuer. Nothing is checked, so a template can be as wrong as a test wants.
func (a *Authority) Issue(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	t := *template
	t.SignatureAlgorithm = x509.SHA384WithRSAPSS
	// Without a subject key identifier in the parent, the certificate gets none of
	// the authority's; VCEKs and VLEKs have none.
	parent := &x509.Certificate{RawSubject: t.RawIssuer}
	if len(parent.RawSubject) == 0 && a.Certificate != nil {
		parent.RawSubject = a.Certificate.RawSubject
	}
	der, err := x509.CreateCertificate(rand.Reader, &t, parent, public, a.Key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// NewAuthority makes a new key and lets parent certify it with the template.
// A nil parent makes it self-signed.
func NewAuthority(template *x509.Certificate, parent *Authority) (*Authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, caKeyBits)
	if err != nil {
		return nil, err
	}
	a := &Authority{Key: key}
	if parent == nil {
		self := *template
		self.RawIssuer = self.RawSubject
		template, parent = &self, a
	}
	a.Certificate, err = parent.Issue(template, key.Public())
	return a, err
}

// newLine makes the authorities of a product line with new keys.
func newLine(p snp.Product) (*Line, error) {
	ark, err := NewAuthority(ARKTemplate(p), nil)
	if err != nil {
		return nil, err
	}
	ask, err := NewAuthority(ASKTemplate(p, ark), ark)
	if err != nil {
		return nil, err
	}
	asvk, err := NewAuthority(ASVKTemplate(p, ark), ark)
	if err != nil {
		return nil, err
	}
	return &Line{Product: p, ARK: ark, ASK: ask, ASVK: asvk}, nil
}

// ARKTemplate returns what AMD's root certificate of a product line says.
func ARKTemplate(p snp.Product) *x509.Certificate {
	t := caTemplate("ARK-"+string(p), serialBase(p), vcekPath, p)
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return t
}

// ASKTemplate returns what AMD's certificate of the key that issues VCEKs says.
func ASKTemplate(p snp.Product, ark *Authority) *x509.Certificate {
	return subTemplate(caTemplate("SEV-"+string(p), serialBase(p)+0x001, vcekPath, p), ark)
}

// ASVKTemplate returns what AMD's certificate of the key that issues VLEKs says.
func ASVKTemplate(p snp.Product, ark *Authority) *x509.Certificate {
	return subTemplate(caTemplate("SEV-VLEK-"+string(p), serialBase(p)+0x101, vlekPath, p), ark)
}

func subTemplate(t *x509.Certificate, ark *Authority) *x509.Certificate {
	t.KeyUsage = x509.KeyUsageCertSign
	t.MaxPathLenZero = true
	t.AuthorityKeyId = ark.Certificate.SubjectKeyId
	return t
}

func caTemplate(name string, serial int64, path string, p snp.Product) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		RawSubject:   amdName(name),
		// Long ago, so that old reports can be replayed against it.
		NotBefore:             time.Date(2020, time.October, 22, 17, 23, 5, 0, time.UTC),
		NotAfter:              time.Date(2020+caYears, time.October, 22, 17, 23, 5, 0, time.UTC),
		BasicConstraintsValid: true,
		IsCA:                  true,
		CRLDistributionPoints: []string{"https://kdsintf.amd.com" + path + string(p) + "/crl"},
	}
}

// The paths of KDS, before the product line (57230 rev. 1.00, chapter 4).
const (
	vcekPath = "/vcek/v1/"
	vlekPath = "/vlek/v1/"
)

// serialBase returns the serial number of AMD's root of a product line.
func serialBase(p snp.Product) int64 {
	switch p {
	case snp.Genoa:
		return 0x20000
	case snp.Turin:
		return 0x30000
	}
	return 0x10000
}
