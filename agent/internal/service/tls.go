package service

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// tlsConfig trusts the measured CA alone to vouch for a host and ignores the
// dates of certificates: the host owns the clock, so they say nothing.
// Everything else about the chain and the host name is checked as usual.
func tlsConfig(roots Roots, host string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, // verifyUndated does it, without the clock
		// The connection's own ServerName is empty when the host is an IP address.
		VerifyConnection: func(s tls.ConnectionState) error { return verifyUndated(s.PeerCertificates, roots, host) },
	}
}

// Roots are the certificates of the measured CA.
type Roots []*x509.Certificate

// ParseRoots reads the measured CA, PEM.
func ParseRoots(ca string) (Roots, error) {
	var roots Roots
	for rest := []byte(ca); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse measured CA: %w", err)
		}
		roots = append(roots, undated(root))
	}
	if len(roots) == 0 {
		return nil, errors.New("parse measured CA: no certificate")
	}
	return roots, nil
}

// someday is a moment at which every certificate is made valid.
func someday() time.Time { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) }

// undated returns the certificate with its dates moved around someday. Its
// signature is over the bytes that were parsed, which stay.
func undated(c *x509.Certificate) *x509.Certificate {
	free := *c
	free.NotBefore, free.NotAfter = someday().Add(-time.Hour), someday().Add(time.Hour)
	return &free
}

func verifyUndated(chain, roots []*x509.Certificate, host string) error {
	if host == "" { // x509 would check no name at all
		return errors.New("service has no name")
	}
	if len(chain) == 0 {
		return errors.New("service has no certificate")
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: host, CurrentTime: someday(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, r := range roots {
		options.Roots.AddCert(r)
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(undated(c))
	}
	_, err := undated(chain[0]).Verify(options)
	return err
}
