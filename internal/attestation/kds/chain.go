package kds

import (
	"context"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// chainRefresh is the least age of a chain before it is fetched again because a
// VCEK is not signed by its ASK: AMD may have made a new one.
const chainRefresh = time.Hour

// chainState is a chain and when KDS gave it; zero when it was known before.
type chainState struct {
	Chain
	fetchedAt time.Time
}

// Chain returns the certificates above the VCEKs or VLEKs of a product line. Its
// ARK is one of Config.Roots.
func (c *Client) Chain(ctx context.Context, p snp.Product, signer snp.SigningKey) (Chain, error) {
	key, err := ChainKey(p, signer)
	if err != nil {
		return Chain{}, err
	}
	if chain, ok := c.known[key]; ok {
		return chain, nil
	}
	state, err := c.chain(ctx, key)
	return state.Chain, err
}

// chain returns the chain of memory, cache or KDS, in this order.
func (c *Client) chain(ctx context.Context, key Key) (chainState, error) {
	if state, ok := c.chains.get(key); ok {
		return state, nil
	}
	return flight(ctx, c, key.String(), func(ctx context.Context) (chainState, error) {
		entry, err := c.read(ctx, key)
		if err != nil {
			return chainState{}, err
		}
		if entry.Data != nil {
			chain, err := parseChain(key, entry.Data, c.roots[key.Product])
			if err == nil {
				state := chainState{chain, entry.FetchedAt}
				c.chains.put(key, state)
				return state, nil
			}
			c.reportCorrupt(key, err)
		}
		return c.fetchChain(ctx, key)
	})
}

// newChain asks KDS even if there is a chain.
func (c *Client) newChain(ctx context.Context, key Key) (chainState, error) {
	return flight(ctx, c, "new "+key.String(), func(ctx context.Context) (chainState, error) {
		return c.fetchChain(ctx, key)
	})
}

func (c *Client) fetchChain(ctx context.Context, key Key) (chainState, error) {
	var state chainState
	err := c.fetch(ctx, key, c.needed(laneLists), func(data []byte) error {
		var err error
		state.Chain, err = parseChain(key, data, c.roots[key.Product])
		return err
	})
	if err != nil {
		return chainState{}, err
	}
	state.fetchedAt = c.write(ctx, key, state.PEM())
	c.chains.put(key, state)
	return state, nil
}
