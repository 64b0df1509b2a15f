package qemu

import (
	"io"
	"sync"
)

// clusterCache bounds the clusters that are kept, in bytes.
const clusterCache = 4 << 20

// clusters reads whole clusters, and keeps the last ones: QEMU decompresses a cluster
// for each request that touches it, and metadata of file systems is read in small
// pieces. It is safe for concurrent use.
type clusters struct {
	r    io.ReaderAt
	size int64 // of a cluster, in bytes
	end  int64 // of the disk

	mu    sync.Mutex
	kept  map[int64][]byte // by number
	order []int64          // a ring: order[next] is the oldest once it is full
	next  int
}

func newClusters(r io.ReaderAt, size, end int64) *clusters {
	return &clusters{r: r, size: size, end: end, kept: map[int64][]byte{}, order: make([]int64, 0, max(2, clusterCache/size))}
}

// ReadAt reads as io.ReaderAt does. Clusters that are read as a whole are not kept.
func (c *clusters) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at, rest := off+int64(done), p[done:]
		if at < 0 || at >= c.end {
			n, err := c.r.ReadAt(rest, at) // says what is wrong
			return done + n, err
		}
		within := at % c.size
		if whole := int64(len(rest)) / c.size * c.size; within == 0 && whole > 0 {
			n, err := c.r.ReadAt(rest[:whole], at)
			if done += n; err != nil {
				return done, err
			}
			continue
		}
		cluster, err := c.get(at / c.size)
		if err != nil {
			return done, err
		}
		done += copy(rest, cluster[within:])
	}
	return done, nil
}

// get returns a cluster, which nobody must change; the last one of a disk may be
// shorter.
func (c *clusters) get(number int64) ([]byte, error) {
	c.mu.Lock()
	cluster, found := c.kept[number]
	c.mu.Unlock()
	if found {
		return cluster, nil
	}
	start := number * c.size
	cluster = make([]byte, min(c.size, c.end-start))
	if n, err := c.r.ReadAt(cluster, start); n < len(cluster) {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, found := c.kept[number]; found {
		return cluster, nil
	}
	if len(c.order) < cap(c.order) {
		c.order = append(c.order, number)
	} else {
		delete(c.kept, c.order[c.next])
		c.order[c.next] = number
		c.next = (c.next + 1) % len(c.order)
	}
	c.kept[number] = cluster
	return cluster, nil
}
