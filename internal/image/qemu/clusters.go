package qemu

import (
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
)

// clusterCache bounds the clusters that are kept, in bytes.
const clusterCache = 4 << 20

// clusters reads whole clusters, and keeps those that were used last: QEMU decompresses a cluster
// for each request that touches it, and metadata of file systems is read in small
// pieces. It is safe for concurrent use.
type clusters struct {
	r    io.ReaderAt
	size int64                     // of a cluster, in bytes
	end  int64                     // of the disk
	kept *lru.Cache[int64, []byte] // by number
}

func newClusters(r io.ReaderAt, size, end int64) (*clusters, error) {
	kept, err := lru.New[int64, []byte](int(max(2, clusterCache/size)))
	return &clusters{r, size, end, kept}, err
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
	if cluster, found := c.kept.Get(number); found {
		return cluster, nil
	}
	start := number * c.size
	cluster := make([]byte, min(c.size, c.end-start))
	if n, err := c.r.ReadAt(cluster, start); n < len(cluster) {
		return nil, err
	}
	c.kept.Add(number, cluster)
	return cluster, nil
}
