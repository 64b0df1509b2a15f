package kds

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// parseVCEK reads a VCEK certificate and checks that it is for exactly what the
// key names. Who signed it is left to the caller. The error wraps ErrAnswer.
func parseVCEK(key Key, der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	public, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P384() {
		return nil, fmt.Errorf("%w: the key of the VCEK is not ECDSA P-384", ErrAnswer)
	}
	e, err := snp.ParseExtensions(cert)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	switch {
	case e.Product != key.Product:
		return nil, fmt.Errorf("%w: the VCEK is of a %s, not of a %s", ErrAnswer, e.Product, key.Product)
	case !bytes.Equal(e.HardwareID, key.hardwareID()):
		return nil, fmt.Errorf("%w: the VCEK is of chip %x", ErrAnswer, e.HardwareID)
	case e.TCB != key.TCB:
		return nil, fmt.Errorf("%w: the VCEK is for TCB %s, not %s", ErrAnswer, e.TCB, key.TCB)
	}
	return cert, nil
}

// checkIssued checks that issuer is a CA that signed the certificate, with AMD's
// signature algorithm (57230 rev. 1.00, chapter 2).
func checkIssued(cert, issuer *x509.Certificate) error {
	if cert.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return fmt.Errorf("signature algorithm is %s, want %s", cert.SignatureAlgorithm, x509.SHA384WithRSAPSS)
	}
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("issuer is %q, want %q", cert.Issuer, issuer.Subject)
	}
	return cert.CheckSignatureFrom(issuer)
}

// Chain is what stands above a VCEK or VLEK. The certificates are shared: they
// must not be changed.
type Chain struct {
	ASK *x509.Certificate // of a VLEK: the ASVK
	ARK *x509.Certificate
}

// PEM returns the chain as KDS sends it.
func (c Chain) PEM() []byte {
	var out []byte
	for _, cert := range []*x509.Certificate{c.ASK, c.ARK} {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}

// parseChain reads an answer to cert_chain and checks that its ARK is one of the
// roots and signed the rest. The error wraps ErrAnswer.
func parseChain(key Key, data []byte, roots []*x509.Certificate) (Chain, error) {
	var certs []*x509.Certificate
	rest := data
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return Chain{}, fmt.Errorf("%w: it is not a chain of two certificates in PEM", ErrAnswer)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Chain{}, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) != 2 {
		return Chain{}, fmt.Errorf("%w: it has %d certificates, want ASK and ARK", ErrAnswer, len(certs))
	}
	chain := Chain{ASK: certs[0], ARK: certs[1]}
	if err := checkChain(key, chain, roots); err != nil {
		return Chain{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return chain, nil
}

func checkChain(key Key, chain Chain, roots []*x509.Certificate) error {
	if want := askName(key); chain.ASK.Subject.CommonName != want {
		return fmt.Errorf("the chain starts with %q, want %q", chain.ASK.Subject.CommonName, want)
	}
	if !chain.ASK.IsCA || chain.ASK.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("%s may not sign certificates", chain.ASK.Subject.CommonName)
	}
	for _, root := range roots {
		if chain.ARK.Equal(root) {
			return checkIssued(chain.ASK, root)
		}
	}
	return errors.New("its ARK is not a trusted root")
}

// askName returns the common name of the certificate that issues VCEKs or VLEKs.
func askName(key Key) string {
	if key.Signer == snp.SignedByVLEK {
		return "SEV-VLEK-" + string(key.Product)
	}
	return "SEV-" + string(key.Product)
}
