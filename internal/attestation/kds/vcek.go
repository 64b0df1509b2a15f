package kds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// VCEK returns the certificate of the VCEK that a key of VCEKKey names. It is
// shared and must not be changed. The error wraps ErrUnknownChip, ErrUnavailable,
// with ErrBudget where the asker may not have it fetched now, or ErrAnswer, or is
// a failure of the cache.
func (c *Client) VCEK(ctx context.Context, asker Asker, key Key) (*x509.Certificate, error) {
	if cert, ok := c.vceks.get(key); ok && !c.expired(cert) {
		return cert, nil
	}
	cert, err := flight(ctx, c, "cached "+key.String(), func(ctx context.Context) (*x509.Certificate, error) {
		return c.remember(key)(c.cachedVCEK(ctx, key))
	})
	if cert != nil || err != nil {
		return cert, err
	}
	if err := c.mayFetch(key); err != nil {
		return nil, err
	}
	in, leave, err := c.admits.admit(ctx, asker, key)
	if err != nil {
		return nil, err
	}
	defer leave()
	return flight(ctx, c, key.String(), func(ctx context.Context) (*x509.Certificate, error) {
		if cert, ok := c.vceks.get(key); ok && !c.expired(cert) {
			return cert, nil // it came since
		}
		return c.remember(key)(c.fetchVCEK(ctx, key, in))
	})
}

// remember keeps a certificate in memory, if there is one.
func (c *Client) remember(key Key) func(*x509.Certificate, error) (*x509.Certificate, error) {
	return func(cert *x509.Certificate, err error) (*x509.Certificate, error) {
		if err == nil && cert != nil {
			c.vceks.put(key, cert)
		}
		return cert, err
	}
}

// fetchVCEK returns a VCEK from KDS.
func (c *Client) fetchVCEK(ctx context.Context, key Key, in lane) (cert *x509.Certificate, err error) {
	// First, so that a VCEK that was fetched need not be thrown away without it.
	if _, err := c.Chain(ctx, key.Product, snp.SignedByVCEK); err != nil {
		return nil, err
	}
	err = c.fetch(ctx, key, c.needed(in), func(data []byte) error {
		var err error
		cert, err = c.checkVCEK(ctx, key, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.write(ctx, key, cert.Raw)
	return cert, nil
}

// cachedVCEK returns a VCEK from the cache, nil where it is missing or damaged.
func (c *Client) cachedVCEK(ctx context.Context, key Key) (*x509.Certificate, error) {
	entry, err := c.read(ctx, key)
	if err != nil || entry.Data == nil {
		return nil, err
	}
	cert, err := c.checkVCEK(ctx, key, entry.Data)
	if errors.Is(err, ErrAnswer) {
		c.reportCorrupt(key, err)
		return nil, nil
	}
	return cert, err
}

// checkVCEK reads the certificate and checks that it is what the key names,
// signed by an ASK below a trusted root, and not yet expired.
func (c *Client) checkVCEK(ctx context.Context, key Key, der []byte) (*x509.Certificate, error) {
	cert, err := parseVCEK(key, der)
	if err != nil {
		return nil, err
	}
	if c.expired(cert) {
		return nil, fmt.Errorf("%w: the VCEK has expired on %s", ErrAnswer, cert.NotAfter)
	}
	if err := c.checkASK(ctx, key.Product, cert); err != nil {
		return nil, err
	}
	return cert, nil
}

func (c *Client) expired(cert *x509.Certificate) bool { return c.cfg.Clock().After(cert.NotAfter) }

// checkASK wants a VCEK to be signed by the known ASK, by the cached or fetched
// one, or by one that KDS has had for a short time only.
func (c *Client) checkASK(ctx context.Context, p snp.Product, cert *x509.Certificate) error {
	key := Key{Kind: KindChain, Product: p, Signer: snp.SignedByVCEK}
	if chain, ok := c.known[key]; ok && checkIssued(cert, chain.ASK) == nil {
		return nil
	}
	state, err := c.chain(ctx, key)
	if err != nil {
		return err
	}
	mismatch := checkIssued(cert, state.ASK)
	if mismatch == nil {
		return nil
	}
	if !c.cfg.Offline && c.cfg.Clock().Sub(state.fetchedAt) >= chainRefresh {
		if state, err = c.newChain(ctx, key); err != nil {
			return err
		}
		mismatch = checkIssued(cert, state.ASK)
	}
	if mismatch != nil {
		return fmt.Errorf("%w: the VCEK is not signed by the ASK of %s: %w", ErrAnswer, p, mismatch)
	}
	return nil
}
