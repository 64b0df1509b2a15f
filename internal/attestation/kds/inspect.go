package kds

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Contents is what an entry holds: one of the three, depending on Key.Kind.
type Contents struct {
	VCEK  *x509.Certificate
	Chain *Chain
	CRL   *x509.RevocationList
}

// inspect checks the data of an entry as if KDS had sent it, without asking
// anyone. VCEKs have to be signed by one of asks.
func (c *Client) inspect(key Key, data []byte, asks []*x509.Certificate) (Contents, error) {
	switch key.Kind {
	case KindChain:
		chain, err := parseChain(key, data, c.roots[key.Product])
		return Contents{Chain: &chain}, err
	case KindCRL:
		list, err := parseCRL(data, c.roots[key.Product])
		if err == nil {
			err = checkBegun(list, c.cfg.Clock())
		}
		return Contents{CRL: list}, err
	}
	cert, err := parseVCEK(key, data)
	if err != nil {
		return Contents{}, err
	}
	if c.expired(cert) {
		return Contents{}, fmt.Errorf("%w: the VCEK has expired on %s", ErrAnswer, cert.NotAfter)
	}
	for _, ask := range asks {
		if checkIssued(cert, ask) == nil {
			return Contents{VCEK: cert}, nil
		}
	}
	return Contents{}, fmt.Errorf("%w: the VCEK is not signed by an ASK of %s that is known here", ErrAnswer, key.Product)
}

// localASKs returns the ASKs of a product line that are known or cached.
func (c *Client) localASKs(ctx context.Context, p snp.Product) ([]*x509.Certificate, error) {
	key := Key{Kind: KindChain, Product: p, Signer: snp.SignedByVCEK}
	var asks []*x509.Certificate
	if chain, ok := c.known[key]; ok {
		asks = append(asks, chain.ASK)
	}
	entry, err := c.read(ctx, key)
	if err != nil || entry.Data == nil {
		return asks, err
	}
	if chain, err := parseChain(key, entry.Data, c.roots[p]); err == nil {
		asks = append(asks, chain.ASK)
	}
	return asks, nil
}

// Inspected is a cache entry with what was found in it, or Err.
type Inspected struct {
	Listed
	Contents
	Err error

	data []byte
}

// Inspect reads and checks all entries of the cache, in the order of their names,
// and hands them to visit one by one. It makes no requests.
func (c *Client) Inspect(ctx context.Context, visit func(Inspected) error) error {
	listed, err := c.cfg.Cache.List(ctx)
	if err != nil {
		return err
	}
	asks := make(map[snp.Product][]*x509.Certificate)
	for _, p := range snp.Products() {
		if asks[p], err = c.localASKs(ctx, p); err != nil {
			return err
		}
	}
	for _, l := range listed {
		in := Inspected{Listed: l}
		var entry Entry
		if entry, in.Err = c.cfg.Cache.Get(ctx, l.Key); in.Err == nil {
			in.data = entry.Data
			in.Contents, in.Err = c.inspect(l.Key, entry.Data, asks[l.Key.Product])
		}
		if err := visit(in); err != nil {
			return err
		}
	}
	return nil
}
