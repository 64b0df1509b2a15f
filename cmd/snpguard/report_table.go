package main

import (
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// shownCertificate is one certificate of an extended report.
type shownCertificate struct {
	Kind      string     `json:"kind"` // its place in the table
	Subject   string     `json:"subject,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	Error     string     `json:"problem,omitempty"` // why it cannot be read
}

// tableCertificates returns the certificates of a table, which may be none.
func tableCertificates(t *snp.CertTable) []shownCertificate {
	shown := []shownCertificate{}
	for _, entry := range []struct {
		kind string
		data []byte
	}{{"VCEK", t.VCEK}, {"VLEK", t.VLEK}, {"ASK", t.ASK}, {"ARK", t.ARK}} {
		if entry.data == nil {
			continue
		}
		cert, err := attest.ParseCertificate(entry.data)
		if err != nil {
			shown = append(shown, shownCertificate{Kind: entry.kind, Error: err.Error()})
			continue
		}
		notBefore, notAfter := cert.NotBefore.UTC(), cert.NotAfter.UTC()
		shown = append(shown, shownCertificate{
			Kind: entry.kind, Subject: cert.Subject.CommonName, Issuer: cert.Issuer.CommonName,
			NotBefore: &notBefore, NotAfter: &notAfter,
		})
	}
	return shown
}

// String returns one line.
func (c shownCertificate) String() string {
	if c.Error != "" {
		return c.Kind + " cannot be read: " + safe(c.Error)
	}
	return fmt.Sprintf("%s %s, issued by %s, valid %s to %s", c.Kind, safe(c.Subject), safe(c.Issuer),
		stamp(*c.NotBefore), stamp(*c.NotAfter))
}
