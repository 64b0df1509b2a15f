package ext4

import (
	"fmt"
	"io"
	"sync"
)

// cacheSize bounds the metadata that is kept, in bytes.
const cacheSize = 4 << 20

// cache keeps the blocks of metadata that were read last. A path's directories,
// inode tables and index blocks are read again and again.
type cache struct {
	r         io.ReaderAt
	blockSize uint64

	mu     sync.Mutex
	blocks map[uint64][]byte
	order  []uint64 // a ring: order[next] is the oldest once it is full
	next   int
}

func newCache(r io.ReaderAt, blockSize uint64) *cache {
	return &cache{r: r, blockSize: blockSize, blocks: map[uint64][]byte{}, order: make([]uint64, 0, cacheSize/blockSize)}
}

// get returns a block, which the caller must not change.
func (c *cache) get(number uint64) ([]byte, error) {
	c.mu.Lock()
	block, found := c.blocks[number]
	c.mu.Unlock()
	if found {
		return block, nil
	}
	block = make([]byte, c.blockSize)
	if _, err := c.r.ReadAt(block, int64(number*c.blockSize)); err != nil {
		return nil, fmt.Errorf("read block %d: %w", number, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, found := c.blocks[number]; found {
		return block, nil
	}
	if len(c.order) < cap(c.order) {
		c.order = append(c.order, number)
	} else {
		delete(c.blocks, c.order[c.next])
		c.order[c.next] = number
		c.next = (c.next + 1) % len(c.order)
	}
	c.blocks[number] = block
	return block, nil
}
