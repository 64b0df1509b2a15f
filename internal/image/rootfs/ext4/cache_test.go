package ext4

import (
	"bytes"
	"sync"
	"testing"
)

// meeting is a disk on which as many readers as were added wait for each other.
type meeting struct{ readers sync.WaitGroup }

func (m *meeting) ReadAt(p []byte, off int64) (int, error) {
	m.readers.Done()
	m.readers.Wait()
	for i := range p {
		p[i] = byte(off / int64(len(p)))
	}
	return len(p), nil
}

// TestBlockReadTwice lets two ask for the same block at the same time. It is kept
// once, or the second would push another one out for nothing.
func TestBlockReadTwice(t *testing.T) {
	disk := &meeting{}
	disk.readers.Add(2)
	c, err := newCache(disk, 4096)
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if block, err := c.get(7); err != nil || !bytes.Equal(block, bytes.Repeat([]byte{7}, 4096)) {
				t.Errorf("%.10q, %v", block, err)
			}
		})
	}
	both.Wait()
	if c.blocks.Len() != 1 {
		t.Errorf("%d blocks are kept", c.blocks.Len())
	}
}
