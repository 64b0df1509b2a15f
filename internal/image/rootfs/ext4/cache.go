package ext4

import (
	"fmt"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
)

// cacheSize bounds the metadata that is kept, in bytes.
const cacheSize = 4 << 20

// cache keeps the blocks of metadata that were used last. A path's directories,
// inode tables and index blocks are read again and again.
type cache struct {
	r         io.ReaderAt
	blockSize uint64
	blocks    *lru.Cache[uint64, []byte]
}

func newCache(r io.ReaderAt, blockSize uint64) (*cache, error) {
	blocks, err := lru.New[uint64, []byte](int(cacheSize / blockSize))
	return &cache{r, blockSize, blocks}, err
}

// get returns a block, which the caller must not change.
func (c *cache) get(number uint64) ([]byte, error) {
	if block, found := c.blocks.Get(number); found {
		return block, nil
	}
	block := make([]byte, c.blockSize)
	if _, err := c.r.ReadAt(block, int64(number*c.blockSize)); err != nil {
		return nil, fmt.Errorf("read block %d: %w", number, err)
	}
	c.blocks.Add(number, block)
	return block, nil
}
