package sim

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"time"
)

// crlYears is how long a CRL is valid.
const crlYears = 1

// CRL returns the certificate revocation list of the product line, DER, as KDS
// would send it at the time now.
func (l *Line) CRL(b CRLBehaviour, now time.Time) ([]byte, error) {
	if b.Number == 0 {
		b.Number = 1
	}
	if b.ThisUpdate.IsZero() {
		b.ThisUpdate = now.UTC().Truncate(time.Second).AddDate(0, 0, -1)
	}
	if b.NextUpdate.IsZero() {
		b.NextUpdate = b.ThisUpdate.AddDate(crlYears, 0, 0)
	}
	if b.Signer == nil {
		b.Signer = l.ARK
	}
	template := &x509.RevocationList{
		Number: big.NewInt(b.Number), ThisUpdate: b.ThisUpdate, NextUpdate: b.NextUpdate,
		SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	for _, serial := range b.Revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: b.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, b.Signer.Certificate, b.Signer.Key)
	if err != nil {
		return nil, fmt.Errorf("make CRL: %w", err)
	}
	return der, nil
}

func (k *KDS) serveCRL(w http.ResponseWriter, r *http.Request) {
	line, ok := k.product(w, r)
	if !ok {
		return
	}
	der, err := line.CRL(k.current().CRL, k.amd.clock())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	k.answer(w, r, "application/pkix-crl", der)
}
