package kds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Limits of what is kept in memory.
const (
	maxMemoVCEKs = 4096
	maxMemoOther = 64 // there are six chains and six CRLs
)

// Client finds certificates and revocation lists in its cache and, where they are
// missing or due, at KDS. It is safe for concurrent use; of callers that want the
// same thing at the same time, one asks for all of them.
type Client struct {
	cfg     Config
	fetcher *fetcher
	admits  *admission
	roots   map[snp.Product][]*x509.Certificate
	known   map[Key]Chain

	flights  singleflight.Group
	running  running
	failures failures
	vceks    memo[*x509.Certificate]
	chains   memo[chainState]
	crls     memo[crlState]
}

// New returns a client. It makes no request.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg:      cfg,
		roots:    make(map[snp.Product][]*x509.Certificate),
		known:    make(map[Key]Chain),
		failures: failures{now: cfg.Clock},
		vceks:    memo[*x509.Certificate]{max: maxMemoVCEKs},
		chains:   memo[chainState]{max: maxMemoOther},
		crls:     memo[crlState]{max: maxMemoOther},
	}
	c.fetcher = &fetcher{
		base: cfg.BaseURL, http: newHTTPClient(cfg.HTTP), pace: cfg.Pace, now: cfg.Clock,
		gate: newGate(cfg.Pace, cfg.Clock, cfg.Sleep),
	}
	c.admits = newAdmission(cfg)
	for _, p := range snp.Products() {
		c.roots[p] = cfg.Roots(p)
		for _, signer := range []snp.SigningKey{snp.SignedByVCEK, snp.SignedByVLEK} {
			c.addKnown(Key{Kind: KindChain, Product: p, Signer: signer})
		}
	}
	return c, nil
}

// addKnown keeps the first chain of Config.Known and Config.Roots that is one.
func (c *Client) addKnown(key Key) {
	if c.cfg.Known == nil {
		return
	}
	for _, ask := range c.cfg.Known(key.Product, key.Signer) {
		for _, ark := range c.roots[key.Product] {
			chain := Chain{ASK: ask, ARK: ark}
			if checkChain(key, chain, c.roots[key.Product]) == nil {
				c.known[key] = chain
				return
			}
		}
	}
}

// flight runs do once for all callers with the same name. A caller whose context
// ends leaves; the others still get the answer.
func flight[T any](ctx context.Context, c *Client, name string, do func(context.Context) (T, error)) (T, error) {
	done := c.flights.DoChan(name, func() (any, error) {
		ctx, end, err := c.running.start(context.WithoutCancel(ctx), c.cfg.Pace.Timeout)
		if err != nil {
			return nil, err
		}
		defer end()
		return do(ctx)
	})
	var none T
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case result := <-done:
		if result.Err != nil {
			return none, result.Err
		}
		v, ok := result.Val.(T)
		if !ok {
			return none, fmt.Errorf("%s: two kinds of lookups have one name", name)
		}
		return v, nil
	}
}

// effort is how much a lookup is worth.
type effort struct {
	attempts int
	forget   time.Duration // after a failure, when it may be tried again
	lane     lane
}

// fetch asks KDS for an entry and has it checked before anything keeps it. What
// failed is not asked for again for a while.
func (c *Client) fetch(ctx context.Context, key Key, e effort, check func(data []byte) error) error {
	if err := c.mayFetch(key); err != nil {
		return err
	}
	data, err := c.fetcher.get(ctx, key, e)
	if err == nil {
		err = check(data)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotFound) && key.Kind == KindVCEK:
		err = fmt.Errorf("%s %x at TCB %s: %w", key.Product, key.hardwareID(), key.TCB, ErrUnknownChip)
		e.forget = c.cfg.Pace.UnknownFor
	case errors.Is(err, errNotFound):
		err = fmt.Errorf("%s: %w: %w", key, ErrAnswer, err)
	default:
		err = fmt.Errorf("%s: %w", key, err)
	}
	c.failures.put(key, err, e.forget)
	return err
}

// mayFetch fails when KDS is not to be asked for an entry, or not now.
func (c *Client) mayFetch(key Key) error {
	if c.cfg.Offline {
		return fmt.Errorf("%s: %w: %w", key, ErrUnavailable, ErrNotCached)
	}
	return c.failures.get(key)
}

// needed is the effort for what nothing can be done without.
func (c *Client) needed(in lane) effort {
	return effort{c.cfg.Pace.Attempts, c.cfg.Pace.FailedFor, in}
}

// read returns a cached entry. Without one, or with a damaged one, it returns no
// data and no error.
func (c *Client) read(ctx context.Context, key Key) (Entry, error) {
	entry, err := c.cfg.Cache.Get(ctx, key)
	switch {
	case err == nil:
		return entry, nil
	case errors.Is(err, ErrCorrupt):
		c.reportCorrupt(key, err)
		return Entry{}, nil
	case errors.Is(err, ErrNotCached):
		return Entry{}, nil
	}
	return Entry{}, err
}

func (c *Client) reportCorrupt(key Key, err error) {
	c.cfg.Log.Warn("KDS cache entry is not used", "entry", key.String(), "error", err)
}

// write caches what was fetched. A cache that cannot take it does not make the
// answer wrong.
func (c *Client) write(ctx context.Context, key Key, data []byte) time.Time {
	now := c.cfg.Clock().Truncate(time.Second)
	if err := c.cfg.Cache.Put(ctx, key, Entry{Data: data, FetchedAt: now}); err != nil {
		c.cfg.Log.Warn("KDS answer cannot be cached", "entry", key.String(), "error", err)
	}
	return now
}
