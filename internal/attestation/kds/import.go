package kds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// ErrArchive is an archive that Export has not written, or that was changed
// since.
var ErrArchive = errors.New("not an archive of the KDS cache")

// Import reads an archive and puts its entries into the cache, all of them or,
// when one does not pass, none. The archive can come from anyone: each entry is
// checked like an answer of KDS, its chain has to end at one of Config.Roots, and
// no revocation list may be older than the cached one. The error wraps ErrArchive,
// ErrAnswer, ErrCRLSignature, ErrCRLStale (a list from the future) or
// ErrCRLRollback, or is a failure of the cache.
func (c *Client) Import(ctx context.Context, r io.Reader) ([]Key, error) {
	m, data, err := readArchive(r)
	if err != nil {
		return nil, fmt.Errorf("import: %w: %w", ErrArchive, err)
	}
	if err := c.checkImport(ctx, m, data); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	var keys []Key
	now := c.cfg.Clock()
	for i, e := range m.Entries {
		entry := Entry{Data: data[i], FetchedAt: e.FetchedAt}
		if entry.FetchedAt.After(now) {
			entry.FetchedAt = now
		}
		if err := c.cfg.Cache.Put(ctx, e.key, entry); err != nil {
			return keys, fmt.Errorf("import: %w", err)
		}
		c.forget(e.key)
		keys = append(keys, e.key)
	}
	return keys, nil
}

// forget makes the next lookup read the cache.
func (c *Client) forget(key Key) {
	c.vceks.drop(key)
	c.chains.drop(key)
	c.crls.drop(key)
}

// checkImport checks all entries, chains before the VCEKs below them.
func (c *Client) checkImport(ctx context.Context, m *manifest, data [][]byte) error {
	asks := make(map[snp.Product][]*x509.Certificate)
	for _, p := range snp.Products() {
		var err error
		if asks[p], err = c.localASKs(ctx, p); err != nil {
			return err
		}
	}
	for _, chains := range []bool{true, false} {
		for i, e := range m.Entries {
			if (e.key.Kind == KindChain) != chains {
				continue
			}
			contents, err := c.inspect(e.key, data[i], asks[e.key.Product])
			if err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
			if e.key.Kind == KindChain && e.key.Signer == snp.SignedByVCEK {
				asks[e.key.Product] = append(asks[e.key.Product], contents.Chain.ASK)
			}
			if err := c.checkImportedCRL(ctx, e.key, contents.CRL); err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
		}
	}
	return nil
}

// checkImportedCRL refuses a list that is older than the cached one.
func (c *Client) checkImportedCRL(ctx context.Context, key Key, list *x509.RevocationList) error {
	if list == nil {
		return nil
	}
	before, err := c.cachedCRL(ctx, key)
	if err != nil {
		return err
	}
	return checkNewer(list, before.list)
}
