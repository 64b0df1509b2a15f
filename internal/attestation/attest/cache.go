package attest

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// cacheSize bounds how many proven chains a Verifier keeps. One takes about 20
// KiB.
const cacheSize = 1024

// chainCache keeps chains that were proven, so that each is proven once. It is
// safe for concurrent use. The zero value is empty.
type chainCache struct {
	mu     sync.RWMutex
	chains map[chainKey]*proven
}

// chainKey stands for the exact bytes of a chain.
type chainKey [sha256.Size]byte

// key hashes the certificates with their lengths, so that none can pass for
// another by being cut differently.
func (c Chain) key() chainKey {
	h := sha256.New()
	for _, der := range [][]byte{c.VEK, c.ASK, c.ARK} {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(der)))
		h.Write(size[:])
		h.Write(der)
	}
	return chainKey(h.Sum(nil))
}

// get returns a chain that was proven before, or nil.
func (c *chainCache) get(key chainKey) *proven {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.chains[key]
}

// put keeps a chain. When there is no room, any other goes.
func (c *chainCache) put(key chainKey, p *proven) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chains == nil {
		c.chains = make(map[chainKey]*proven)
	}
	if len(c.chains) >= cacheSize {
		for other := range c.chains {
			delete(c.chains, other)
			break
		}
	}
	c.chains[key] = p
}
