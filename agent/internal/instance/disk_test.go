package instance_test

import (
	"bytes"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
)

const sectorSize = 512 // of the simulated disk

// errCut is the end of the power.
var errCut = errors.New("power cut")

// disk is a disk with a cache. What was not flushed is lost, kept or torn by a cut, sector
// by sector.
type disk struct {
	mu      sync.Mutex
	durable []byte
	pending map[int64][][]byte // every version of a sector since the last flush
	left    int                // operations until the cut, calls of the service among them; negative for none
	done    int                // operations
}

func newDisk(content []byte) *disk {
	return &disk{durable: bytes.Clone(content), pending: map[int64][][]byte{}, left: -1}
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off%sectorSize != 0 || len(p)%sectorSize != 0 || off+int64(len(p)) > int64(len(d.durable)) {
		return 0, fmt.Errorf("read of %d bytes at %d", len(p), off)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(p, d.durable[off:])
	for i := 0; len(d.pending) > 0 && i < len(p); i += sectorSize {
		if versions := d.pending[off+int64(i)]; len(versions) > 0 {
			copy(p[i:], versions[len(versions)-1])
		}
	}
	return len(p), nil
}

// powered ends the power at the operation that it is due at.
func (d *disk) powered() error {
	if d.left == 0 {
		return errCut
	}
	d.left--
	d.done++
	return nil
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off%sectorSize != 0 || len(p)%sectorSize != 0 || off+int64(len(p)) > int64(len(d.durable)) {
		return 0, fmt.Errorf("write of %d bytes at %d", len(p), off)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.powered() // what is being written may arrive all the same
	for i := 0; i < len(p); i += sectorSize {
		at := off + int64(i)
		d.pending[at] = append(d.pending[at], bytes.Clone(p[i:i+sectorSize]))
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *disk) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.powered(); err != nil {
		return err
	}
	d.settle(func(_ int64, versions int) int { return versions })
	return nil
}

// called counts a moment of a call as an operation, and says whether the power is gone.
func (d *disk) called() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.powered() != nil
}

// loss chooses what a cut keeps of a sector: how many of its versions count, 0 for none.
type loss func(at int64, versions int) int

func (d *disk) settle(l loss) {
	for at, versions := range d.pending {
		if n := l(at, len(versions)); n > 0 {
			copy(d.durable[at:], versions[n-1])
		}
	}
	clear(d.pending)
}

// cut is the disk after the power has come back.
func (d *disk) cut(l loss) {
	d.settle(l)
	d.left = -1
}

// losses are cuts of some kinds.
func losses(seed uint64) map[string]loss {
	random := mathrand.New(mathrand.NewPCG(seed, 1))
	return map[string]loss{
		"all lost":     func(int64, int) int { return 0 },
		"all kept":     func(_ int64, versions int) int { return versions },
		"any sectors":  func(_ int64, versions int) int { return random.IntN(versions + 1) },
		"torn records": func(at int64, versions int) int { return versions * int(at/sectorSize&1) },
		"records kept": func(at int64, versions int) int {
			if at < instancedisk.End {
				return versions
			}
			return 0
		},
	}
}
