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

// clockSkew is how far in the future a CRL may begin, since clocks differ.
const clockSkew = 5 * time.Minute

// crlState is a revocation list whose signature has been checked.
type crlState struct {
	list      *x509.RevocationList
	fetchedAt time.Time
}

// parseCRL reads a revocation list and checks that one of the roots signed it.
// Whether it is current is left to the caller. The error wraps ErrAnswer or
// ErrCRLSignature.
func parseCRL(der []byte, roots []*x509.Certificate) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if err := checkCritical(list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if list.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return nil, fmt.Errorf("%w: signature algorithm is %s", ErrCRLSignature, list.SignatureAlgorithm)
	}
	for _, root := range roots {
		if bytes.Equal(list.RawIssuer, root.RawSubject) && list.CheckSignatureFrom(root) == nil {
			return list, nil
		}
	}
	return nil, ErrCRLSignature
}

// checkCritical refuses lists that mean something else than the serial numbers
// that this issuer has revoked, such as differences to another list (RFC 5280,
// sections 5.2 and 5.3: what is critical and not understood makes a list useless).
func checkCritical(list *x509.RevocationList) error {
	extensions := list.Extensions
	for _, entry := range list.RevokedCertificateEntries {
		extensions = append(extensions[:len(extensions):len(extensions)], entry.Extensions...)
	}
	for _, x := range extensions {
		if x.Critical {
			return fmt.Errorf("critical extension %s is not known here", x.Id)
		}
	}
	return nil
}

// checkNewer refuses a list that is older than the one before. Without CRL
// numbers the dates decide alone.
func checkNewer(list, before *x509.RevocationList) error {
	if before == nil {
		return nil
	}
	if list.Number != nil && before.Number != nil && list.Number.Cmp(before.Number) < 0 {
		return fmt.Errorf("%w: number %s after %s", ErrCRLRollback, list.Number, before.Number)
	}
	if list.Number == nil && before.Number != nil {
		return fmt.Errorf("%w: no number after %s", ErrCRLRollback, before.Number)
	}
	if list.ThisUpdate.Before(before.ThisUpdate) {
		return fmt.Errorf("%w: of %s, after that of %s", ErrCRLRollback, list.ThisUpdate, before.ThisUpdate)
	}
	return nil
}

// CRL returns the certificate revocation list for the VCEKs or VLEKs of a product
// line: signed by a root and as current as Config.Revocation wants it; with FailOff,
// however old. The list is shared and must not be changed. The error wraps
// ErrCRLStale, ErrCRLSignature, ErrCRLRollback, ErrAnswer or ErrUnavailable, or
// several of them, or is a failure of the cache.
func (c *Client) CRL(ctx context.Context, p snp.Product, signer snp.SigningKey) (*x509.RevocationList, error) {
	key, err := CRLKey(p, signer)
	if err != nil {
		return nil, err
	}
	if state, ok := c.crls.get(key); ok && !c.crlDue(state) {
		return state.list, nil
	}
	return flight(ctx, c, key.String(), func(ctx context.Context) (*x509.RevocationList, error) {
		return c.crl(ctx, key)
	})
}

// crlDue reports whether it is time to look for a newer list.
func (c *Client) crlDue(state crlState) bool {
	now := c.cfg.Clock()
	return state.list == nil || now.Sub(state.fetchedAt) >= c.cfg.Revocation.Refresh || checkCurrent(state.list, now) != nil
}

// crl returns the newest list of cache and KDS if it is current enough.
func (c *Client) crl(ctx context.Context, key Key) (*x509.RevocationList, error) {
	state, err := c.cachedCRL(ctx, key)
	if err != nil {
		return nil, err
	}
	var fetchErr error
	if c.crlDue(state) {
		var newer crlState
		if newer, fetchErr = c.fetchCRL(ctx, key, state); fetchErr == nil {
			state = newer
		}
	}
	if state.list == nil {
		return nil, fetchErr
	}
	if err := c.cfg.Revocation.accepts(state.list, c.cfg.Clock()); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", key, err), fetchErr)
	}
	if fetchErr != nil && !c.cfg.Offline {
		c.cfg.Log.Warn("CRL cannot be renewed, the cached one serves", "entry", key.String(), "error", fetchErr)
	}
	c.crls.put(key, state)
	return state.list, nil
}

// cachedCRL returns the cached list, none where it is missing or damaged.
func (c *Client) cachedCRL(ctx context.Context, key Key) (crlState, error) {
	entry, err := c.read(ctx, key)
	if err != nil || entry.Data == nil {
		return crlState{}, err
	}
	list, err := parseCRL(entry.Data, c.roots[key.Product])
	if err != nil {
		c.reportCorrupt(key, err)
		return crlState{}, nil
	}
	return crlState{list, entry.FetchedAt}, nil
}

// fetchCRL asks KDS for a list that is not older than the cached one, nor from
// the future, and caches it.
func (c *Client) fetchCRL(ctx context.Context, key Key, before crlState) (crlState, error) {
	e := c.needed(laneLists)
	if before.list != nil && c.cfg.Revocation.accepts(before.list, c.cfg.Clock()) == nil {
		// Nobody waits long for a newer list while the old one will do.
		e.attempts, e.forget = 1, c.cfg.Revocation.Retry
	}
	var newer crlState
	err := c.fetch(ctx, key, e, func(data []byte) error {
		var err error
		if newer.list, err = parseCRL(data, c.roots[key.Product]); err != nil {
			return err
		}
		if err := checkBegun(newer.list, c.cfg.Clock()); err != nil {
			return err
		}
		return checkNewer(newer.list, before.list)
	})
	if err != nil {
		return crlState{}, err
	}
	newer.fetchedAt = c.write(ctx, key, newer.list.Raw)
	if err := checkCurrent(newer.list, c.cfg.Clock()); err != nil {
		// KDS itself has nothing current; asking at every lookup would not help.
		c.failures.put(key, fmt.Errorf("%s: KDS: %w", key, err), e.forget)
	}
	return newer, nil
}
