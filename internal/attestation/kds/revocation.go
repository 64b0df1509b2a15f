package kds

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// FailMode says what happens when there is no current certificate revocation list.
type FailMode int

// The fail modes.
const (
	FailStrict FailMode = iota // nothing passes without a current list
	FailCached                 // a cached list may be out of date by Revocation.MaxStale
	FailOff                    // revocation is not checked
)

// ParseFailMode reads "strict", "cached" or "off".
func ParseFailMode(s string) (FailMode, error) {
	for _, m := range []FailMode{FailStrict, FailCached, FailOff} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("unknown fail mode %q, want strict, cached or off", s)
}

// String returns the name of the mode.
func (m FailMode) String() string {
	switch m {
	case FailStrict:
		return "strict"
	case FailCached:
		return "cached"
	case FailOff:
		return "off"
	}
	return fmt.Sprintf("FailMode(%d)", int(m))
}

// Revocation says how current revocation lists have to be.
type Revocation struct {
	Mode FailMode

	// MaxStale is how long after its nextUpdate a list still passes with FailCached,
	// where it must be given. The other modes do not use it.
	MaxStale time.Duration

	// Refresh is the age at which a list that is still current is fetched anew; 0
	// means a day. When that fails, the next attempt is made after Retry; 0 means 10
	// minutes.
	Refresh, Retry time.Duration
}

func (r Revocation) withDefaults() (Revocation, error) {
	switch {
	case r.Mode < FailStrict || r.Mode > FailOff:
		return r, fmt.Errorf("revocation: unknown fail mode %s", r.Mode)
	case r.Mode == FailCached && r.MaxStale <= 0:
		return r, errors.New("revocation: how stale may a cached list be?")
	}
	if r.Refresh <= 0 {
		r.Refresh = 24 * time.Hour
	}
	if r.Retry <= 0 {
		r.Retry = 10 * time.Minute
	}
	return r, nil
}

// accepts checks that a list is current enough. The error wraps ErrCRLStale.
func (r Revocation) accepts(list *x509.RevocationList, now time.Time) error {
	if r.Mode == FailOff {
		return nil
	}
	err := checkCurrent(list, now)
	if err != nil && r.Mode == FailCached && checkBegun(list, now) == nil && now.Sub(list.NextUpdate) <= r.MaxStale {
		return nil
	}
	return err
}

// checkBegun refuses a list from the future.
func checkBegun(list *x509.RevocationList, now time.Time) error {
	if list.ThisUpdate.After(now.Add(clockSkew)) {
		return fmt.Errorf("%w: it begins on %s", ErrCRLStale, list.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkCurrent wants now to be between thisUpdate and nextUpdate. A list without a
// nextUpdate has ended in the year 1, so it never is current.
func checkCurrent(list *x509.RevocationList, now time.Time) error {
	if err := checkBegun(list, now); err != nil {
		return err
	}
	if now.After(list.NextUpdate) {
		return fmt.Errorf("%w: it has ended on %s", ErrCRLStale, list.NextUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// CheckRevocation checks that none of the certificates is on the revocation list
// for the VCEKs or VLEKs of a product line. AMD's lists are the ARK's, so they
// cover the certificates that the ARK issued: ASK or ASVK, and itself; a VCEK
// among the certificates is passed over, but there must be one that is covered.
// The error wraps ErrRevoked, or is one of CRL's. With FailOff nothing is checked.
func (c *Client) CheckRevocation(ctx context.Context, p snp.Product, signer snp.SigningKey, certs ...*x509.Certificate) error {
	if c.cfg.Revocation.Mode == FailOff {
		return nil
	}
	list, err := c.CRL(ctx, p, signer)
	if err != nil {
		return err
	}
	covered := 0
	for _, cert := range certs {
		if !bytes.Equal(cert.RawIssuer, list.RawIssuer) {
			continue
		}
		covered++
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(cert.SerialNumber) == 0 {
				return fmt.Errorf("%w: %s, serial number %s, on %s", ErrRevoked, cert.Subject.CommonName,
					cert.SerialNumber, entry.RevocationTime.UTC().Format(time.DateOnly))
			}
		}
	}
	if covered == 0 {
		return fmt.Errorf("check revocation: none of the certificates is issued by %q", list.Issuer)
	}
	return nil
}
