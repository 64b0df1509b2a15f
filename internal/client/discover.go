package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Discovered is a service as it presents itself, not yet trusted.
type Discovered struct {
	Info wire.PublicInfo

	// PubliclyTrusted says that the machine's own roots vouch for the service's
	// certificate, so that its CA need not be pinned.
	PubliclyTrusted bool
}

// Fingerprint returns the SHA-256 of a certificate in PEM, of its DER, or an
// error when it is not one.
func Fingerprint(certificate string) (string, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return "", errors.New("the CA is not a PEM certificate")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}

// ParseFingerprint reads a SHA-256 fingerprint as people copy it: 64 hexadecimal
// digits in either case, with colons between bytes or without. It returns them in
// lower case and without colons.
func ParseFingerprint(text string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(text, ":", ""))
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("%q is not a SHA-256 fingerprint: want %d hexadecimal digits, as the service prints when it starts", text, 2*sha256.Size)
	}
	return digits, nil
}

// Discover asks a service who it is. When the machine's roots do not vouch for
// its certificate, it asks again without any, takes the CA that the service
// names, and makes sure that it vouches for the connection: what is left to the
// operator is to compare one fingerprint. All of it is checked to be consistent.
func Discover(ctx context.Context, service string) (*Discovered, error) {
	trusting, err := New(service, "", "")
	if err != nil {
		return nil, err
	}
	info, err := trusting.PublicInfo(ctx)
	if err == nil {
		return &Discovered{Info: *info, PubliclyTrusted: true}, checkInfo(info)
	}
	if !errors.As(err, new(*tls.CertificateVerificationError)) {
		return nil, err
	}
	var peers []*x509.Certificate
	blind := &Client{base: trusting.base, http: newHTTP(&tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // the CA that the answer names is checked below
		VerifyConnection:   func(s tls.ConnectionState) error { peers = s.PeerCertificates; return nil },
	})}
	if info, err = blind.PublicInfo(ctx); err != nil {
		return nil, err
	}
	if err := checkInfo(info); err != nil {
		return nil, err
	}
	return &Discovered{Info: *info}, checkAuthority(info.CACertificate, trusting.base.Hostname(), peers)
}

// checkAuthority wants the named CA to vouch for the certificate of the
// connection.
func checkAuthority(ca, host string, peers []*x509.Certificate) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) || len(peers) == 0 {
		return fmt.Errorf("%w: no CA that this machine trusts issued its certificate, and it does not present its own CA", ErrService)
	}
	_, err := peers[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: time.Now()})
	if errors.As(err, new(x509.HostnameError)) {
		return fmt.Errorf("the service has no certificate for this name: %w; start it with --hostname %s, or use one of its names", err, host)
	}
	if err != nil {
		return fmt.Errorf("%w: its certificate was not issued by its own CA: %w", ErrService, err)
	}
	return nil
}

// checkInfo computes the fingerprints itself: they are what people compare.
func checkInfo(info *wire.PublicInfo) error {
	if _, err := identity.Parse(info.IdentityKey); err != nil {
		return fmt.Errorf("%w: identity key: %w", ErrService, err)
	}
	if len(info.IngestionKey) != wire.PublicKeySize {
		return fmt.Errorf("%w: its ingestion key has %d bytes, want %d", ErrService, len(info.IngestionKey), wire.PublicKeySize)
	}
	info.IdentityKeyFingerprint, info.IngestionKeyFingerprint, info.CAFingerprint = fingerprint(info.IdentityKey), fingerprint(info.IngestionKey), ""
	if info.CACertificate == "" {
		return nil
	}
	ca, err := Fingerprint(info.CACertificate)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrService, err)
	}
	info.CAFingerprint = ca
	return nil
}

func fingerprint(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
