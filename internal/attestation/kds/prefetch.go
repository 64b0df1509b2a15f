package kds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// maxUnavailable is after how many chips in a row that KDS did not answer for a
// prefetch gives up.
const maxUnavailable = 3

// Outcome is how it went with one entry of a prefetch.
type Outcome string

// The outcomes.
const (
	OutcomeCached  Outcome = "cached"  // was there already
	OutcomeFetched Outcome = "fetched" // is there now
	OutcomeUnknown Outcome = "unknown" // KDS does not know the chip
	OutcomeFailed  Outcome = "failed"  // Prefetched.Err says why
)

// Prefetched is the result for one entry.
type Prefetched struct {
	Key     Key
	Outcome Outcome
	Err     error // of unknown and failed
}

// Prefetch fills the cache with the VCEKs of the given keys, and first with the
// chains and revocation lists of their product lines, so that it can be exported.
// What is cached is not fetched again, so a run that was broken off is taken up by
// another. Config.Pace says how fast it goes. Each result is reported as it comes,
// one at a time. The error is that of KDS when it stops answering, or of the
// context; unknown chips are no error.
func (c *Client) Prefetch(ctx context.Context, keys []Key, report func(Prefetched)) error {
	if err := c.prefetchProducts(ctx, keys, report); err != nil {
		return err
	}
	run := &prefetch{client: c, report: report}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.cfg.Pace.Parallel)
	for _, key := range keys {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return run.chip(ctx, key) })
	}
	return group.Wait()
}

// prefetchProducts fetches what the VCEKs of a product line are checked with.
func (c *Client) prefetchProducts(ctx context.Context, keys []Key, report func(Prefetched)) error {
	for _, p := range snp.Products() {
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.Product == p }) {
			continue
		}
		chain := Key{Kind: KindChain, Product: p, Signer: snp.SignedByVCEK}
		err := c.prefetchOne(ctx, chain, report, func() error {
			_, err := c.chain(ctx, chain)
			return err
		})
		if err != nil {
			return err
		}
		if c.cfg.Revocation.Mode == FailOff {
			continue
		}
		crl := Key{Kind: KindCRL, Product: p, Signer: snp.SignedByVCEK}
		err = c.prefetchOne(ctx, crl, report, func() error {
			_, err := c.CRL(ctx, p, snp.SignedByVCEK)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) prefetchOne(ctx context.Context, key Key, report func(Prefetched), look func() error) error {
	entry, err := c.read(ctx, key)
	if err == nil {
		err = look()
	}
	if err != nil {
		return fmt.Errorf("prefetch: %w", err)
	}
	outcome := OutcomeFetched
	if entry.Data != nil {
		outcome = OutcomeCached // though it may have been renewed
	}
	report(Prefetched{Key: key, Outcome: outcome})
	return nil
}

// prefetch is one run.
type prefetch struct {
	client *Client

	mu          sync.Mutex
	report      func(Prefetched)
	unavailable int // in a row
}

// chip fetches one VCEK. It returns an error only when the run is to end.
func (r *prefetch) chip(ctx context.Context, key Key) error {
	if key.Kind != KindVCEK {
		return fmt.Errorf("prefetch: %s is not a VCEK", key)
	}
	if cert, err := r.client.cachedVCEK(ctx, key); err == nil && cert != nil {
		return r.done(Prefetched{Key: key, Outcome: OutcomeCached})
	}
	_, err := r.client.VCEK(ctx, Operator(), key)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return r.done(Prefetched{Key: key, Outcome: OutcomeFetched})
	case errors.Is(err, ErrUnknownChip):
		return r.done(Prefetched{key, OutcomeUnknown, err})
	}
	return r.done(Prefetched{key, OutcomeFailed, err})
}

// done reports a result and ends the run when KDS has stopped answering.
func (r *prefetch) done(p Prefetched) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(p)
	switch {
	case errors.Is(p.Err, ErrUnavailable):
		if r.unavailable++; r.unavailable == maxUnavailable {
			return fmt.Errorf("prefetch: gave up after %d chips: %w", maxUnavailable, p.Err)
		}
	case p.Outcome != OutcomeCached:
		r.unavailable = 0
	}
	return nil
}
