package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// How long AMD's certificates are valid, in years.
const (
	vcekYears = 7
	vlekYears = 1
)

// VEK is an endorsement key that signs reports: a VCEK or a VLEK.
type VEK struct {
	Key         *ecdsa.PrivateKey // P-384
	Certificate *x509.Certificate
}

// VCEK returns the VCEK of a chip at its TCB. The key is always the same for the
// same chip and TCB; the certificate is issued anew.
func (a *AMD) VCEK(c Chip) (*VEK, error) {
	line, err := a.line(c.Product)
	if err != nil {
		return nil, err
	}
	e := &snp.Extensions{
		StructVersion: 1, ProductName: productName(c.Product), Product: c.Product, TCB: c.TCB, HardwareID: c.HardwareID(),
	}
	return a.vek(line.ASK, e)
}

// VLEK returns the VLEK of a cloud service provider at a TCB, with the same
// promises as VCEK.
func (a *AMD) VLEK(p snp.Product, cspID string, tcb snp.TCB) (*VEK, error) {
	line, err := a.line(p)
	if err != nil {
		return nil, err
	}
	e := &snp.Extensions{StructVersion: 1, ProductName: string(p), Product: p, TCB: tcb, CSPID: cspID}
	return a.vek(line.ASVK, e)
}

func (a *AMD) vek(issuer *Authority, e *snp.Extensions) (*VEK, error) {
	key, err := a.vekKey(e)
	if err != nil {
		return nil, err
	}
	template, err := a.VEKTemplate(e)
	if err != nil {
		return nil, err
	}
	cert, err := issuer.Issue(template, key.Public())
	if err != nil {
		return nil, err
	}
	return &VEK{Key: key, Certificate: cert}, nil
}

// VEKTemplate returns what AMD's certificate with these extensions says: a VLEK's
// where there is a CSP ID, a VCEK's otherwise. A test that wants a wrong
// certificate changes the template and hands it to Authority.Issue.
func (a *AMD) VEKTemplate(e *snp.Extensions) (*x509.Certificate, error) {
	extensions, err := e.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode SEV extensions: %w", err)
	}
	name, years := "SEV-VCEK", vcekYears
	if e.CSPID != "" {
		name, years = "SEV-VLEK", vlekYears
	}
	// A day of the past allows for clocks that are a little slow.
	notBefore := a.clock().UTC().Truncate(time.Second).AddDate(0, 0, -1)
	return &x509.Certificate{
		SerialNumber:    new(big.Int), // AMD's have serial number 0
		RawSubject:      amdName(name),
		NotBefore:       notBefore,
		NotAfter:        notBefore.AddDate(years, 0, 0),
		ExtraExtensions: extensions,
	}, nil
}

// vekKey derives an endorsement key from the seed and what the key stands for.
func (a *AMD) vekKey(e *snp.Extensions) (*ecdsa.PrivateKey, error) {
	info := fmt.Sprintf("simulated endorsement key\x00%s\x00%x\x00%s\x00%s", e.Product, e.HardwareID, e.CSPID, e.TCB)
	// 64 bits more than the order needs leave no bias worth the name.
	wide, err := hkdf.Key(sha512.New, a.seed[:], nil, info, 56)
	if err != nil {
		return nil, err
	}
	one := big.NewInt(1)
	span := new(big.Int).Sub(elliptic.P384().Params().N, one)
	d := new(big.Int).SetBytes(wide)
	d.Mod(d, span).Add(d, one)
	return ecdsa.ParseRawPrivateKey(elliptic.P384(), d.FillBytes(make([]byte, 48)))
}
