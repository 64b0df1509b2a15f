package attest

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Bounds of ParseCertificates. AMD's certificates have less than 2 KiB.
const (
	MaxCertificatesSize = 256 << 10 // in bytes
	maxCertificates     = 64
)

// ParseCertificates reads one certificate in DER, or one or more in PEM. Text
// between PEM blocks is passed over, blocks that are no certificates are not.
// It returns at least one certificate or an error.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > MaxCertificatesSize {
		return nil, fmt.Errorf("certificates have %d bytes, want at most %d", len(data), MaxCertificatesSize)
	}
	block, rest := pem.Decode(data)
	if block == nil {
		cert, err := x509.ParseCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("neither PEM nor DER: %w", err)
		}
		return []*x509.Certificate{cert}, nil
	}
	var certs []*x509.Certificate
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %q is not a certificate", block.Type)
		}
		if len(certs) == maxCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// ParseCertificate reads exactly one certificate, in DER or PEM.
func ParseCertificate(data []byte) (*x509.Certificate, error) {
	certs, err := ParseCertificates(data)
	if err != nil {
		return nil, err
	}
	if len(certs) > 1 {
		return nil, errors.New("more than one certificate")
	}
	return certs[0], nil
}
