package reencrypt

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

const sectorSize = xts.SmallSector // of the simulated disk as well

type sector = [sectorSize]byte

// errCut is the end of the power.
var errCut = errors.New("power cut")

// simDisk is a disk with a cache. What was not flushed is lost, kept or torn by a cut, sector
// by sector. It counts writes and flushes.
type simDisk struct {
	mu      sync.Mutex
	size    int64
	durable map[int64]sector   // by offset; what is missing is zero
	pending map[int64][]sector // every version since the last flush
	left    int                // operations until the cut; negative for none
	flushes int
	writes  map[int64]int // how often each sector was written
}

func newDisk(size int64) *simDisk {
	return &simDisk{size: size, durable: map[int64]sector{}, pending: map[int64][]sector{}, left: -1, writes: map[int64]int{}}
}

// clone copies the durable part.
func (d *simDisk) clone() *simDisk {
	c := newDisk(d.size)
	c.durable = maps.Clone(d.durable)
	return c
}

func (d *simDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off%sectorSize != 0 || len(p)%sectorSize != 0 || off+int64(len(p)) > d.size {
		return 0, fmt.Errorf("read of %d bytes at %d", len(p), off)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 0; i < len(p); i += sectorSize {
		s := d.durable[off+int64(i)]
		if versions := d.pending[off+int64(i)]; len(versions) > 0 {
			s = versions[len(versions)-1]
		}
		copy(p[i:], s[:])
	}
	return len(p), nil
}

// powered ends the power at the operation that it is due at.
func (d *simDisk) powered() error {
	if d.left == 0 {
		return errCut
	}
	d.left--
	return nil
}

func (d *simDisk) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off%sectorSize != 0 || len(p)%sectorSize != 0 || off+int64(len(p)) > d.size {
		return 0, fmt.Errorf("write of %d bytes at %d", len(p), off)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.powered() // what is being written may arrive all the same
	for i := 0; i < len(p); i += sectorSize {
		at := off + int64(i)
		d.pending[at] = append(d.pending[at], sector(p[i:]))
		d.writes[at]++
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *simDisk) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.powered(); err != nil {
		return err
	}
	d.flushes++
	for at, versions := range d.pending {
		d.durable[at] = versions[len(versions)-1]
	}
	clear(d.pending)
	return nil
}

// loss chooses what a cut keeps of a sector: how many of its versions count, 0 for
// none.
type loss func(at int64, versions int) int

// cut is the disk after the power has come back.
func (d *simDisk) cut(l loss) {
	for at, versions := range d.pending {
		if n := l(at, len(versions)); n > 0 {
			d.durable[at] = versions[n-1]
		}
	}
	clear(d.pending)
	d.left = -1
}

// losses are cuts that keep one thing and lose another, and some of any kind.
func losses(seed uint64) map[string]loss {
	random := mathrand.New(mathrand.NewPCG(seed, 1))
	only := func(keep func(at int64) bool) loss {
		return func(at int64, versions int) int {
			if keep(at) {
				return versions
			}
			return 0
		}
	}
	journal := func(at int64) bool { return at >= instancedisk.JournalAt(0) && at < instancedisk.End }
	gap := func(at int64) bool { return at < instancedisk.End }
	return map[string]loss{
		"all lost":     only(func(int64) bool { return false }),
		"all kept":     only(func(int64) bool { return true }),
		"journal kept": only(journal),
		"journal lost": only(func(at int64) bool { return !journal(at) }),
		"gap kept":     only(gap),
		"payload kept": only(func(at int64) bool { return !gap(at) }),
		"any sectors":  func(_ int64, versions int) int { return random.IntN(versions + 1) },
		"most sectors": func(_ int64, versions int) int { return min(versions, random.IntN(8)) },
		"few sectors":  func(_ int64, versions int) int { return max(0, random.IntN(8)+versions-7) },
		"torn writes":  func(at int64, versions int) int { return versions * int(at/sectorSize&1) },
		"torn, others": func(at int64, versions int) int { return versions * int(1-at/sectorSize&1) },
	}
}

// world is an instance's disk at its first boot, and what is known of it.
type world struct {
	volume         Volume
	disk           *simDisk
	golden, target []byte
	extents        []Extent
	before         *simDisk // as the conversion left it
	plain, want    []byte   // the payload in clear, and as it is wanted in the extents
}

// newWorld makes a payload that the golden key encrypts, all of it.
func newWorld(tb testing.TB, size, chunk int64, extents ...Extent) *world {
	tb.Helper()
	plain := make([]byte, size)
	for i := 0; i < len(plain); i += 16 {
		binary.LittleEndian.PutUint64(plain[i:], uint64(i))
	}
	copy(plain, "the file system")
	return worldOf(tb, plain, chunk, extents...)
}

// worldOf is the same of a given payload.
func worldOf(tb testing.TB, plain []byte, chunk int64, extents ...Extent) *world {
	tb.Helper()
	w, size := &world{extents: extents, plain: plain}, int64(len(plain))
	w.golden, w.target = make([]byte, wire.VMKSize), make([]byte, wire.VMKSize)
	rand.Read(w.golden)
	rand.Read(w.target)
	w.disk = newDisk(instancedisk.End + size)
	w.volume = Volume{
		Device: w.disk, PayloadOffset: instancedisk.End, PayloadSize: size, SectorSize: xts.SmallSector,
		Image: wire.NewUUID(), Instance: wire.NewUUID(), Sealed: sha256.Sum256([]byte("sealed")), chunk: chunk,
	}
	old, err := xts.New(w.golden, xts.SmallSector)
	if err != nil {
		tb.Fatal(err)
	}
	next, err := xts.New(w.target, xts.SmallSector)
	if err != nil {
		tb.Fatal(err)
	}
	w.want = make([]byte, size)
	next.Encrypt(w.want, w.plain, 0)
	cipher := make([]byte, size)
	old.Encrypt(cipher, w.plain, 0)
	for i := 0; i < len(cipher); i += sectorSize {
		w.disk.durable[instancedisk.End+int64(i)] = sector(cipher[i:])
	}
	w.before = w.disk.clone()
	return w
}

// begun is a world whose journal has begun.
func begun(tb testing.TB, size, chunk int64, extents ...Extent) *world {
	tb.Helper()
	w := newWorld(tb, size, chunk, extents...)
	if err := w.volume.Begin(w.golden); err != nil {
		tb.Fatal(err)
	}
	return w
}

// on is the same world with another disk.
func (w *world) on(d *simDisk) *world {
	c := *w
	c.disk, c.volume.Device = d, d
	return &c
}

// boot resumes and runs, as each boot of a claimed instance does. The file system has to be there.
func (w *world) boot(ctx context.Context) error {
	work, err := w.volume.Resume(w.golden, w.target)
	if err != nil {
		return err
	}
	defer work.Close()
	head := make([]byte, 15)
	if _, err := work.ReadAt(head, 0); err != nil || string(head) != "the file system" {
		return fmt.Errorf("no file system: %q, %w", head, err)
	}
	return work.Run(ctx, w.extents, nil)
}

// check wants the extents under the volume key, nothing of them under the golden one,
// and nothing else changed but gaps that belong to chunks.
func (w *world) check() error {
	at := int64(0)
	for _, e := range append(w.extents, Extent{w.volume.PayloadSize, 0}) {
		for ; at < e.Offset; at += sectorSize {
			got, was := w.disk.durable[instancedisk.End+at], w.before.durable[instancedisk.End+at]
			if !bytes.Equal(got[:], was[:]) && !bytes.Equal(got[:], w.want[at:][:sectorSize]) {
				return fmt.Errorf("sector at %d, in no extent, holds something else", at)
			}
		}
		for ; at < e.end(); at += sectorSize {
			got, was := w.disk.durable[instancedisk.End+at], w.before.durable[instancedisk.End+at]
			if bytes.Equal(got[:], was[:]) {
				return fmt.Errorf("sector at %d is under the golden key", at)
			}
			if !bytes.Equal(got[:], w.want[at:][:sectorSize]) {
				return fmt.Errorf("sector at %d is not what it should be", at)
			}
		}
	}
	return w.onlyInside()
}

// onlyInside wants no write outside of buffers, journal and payload.
func (w *world) onlyInside() error {
	for at := range w.disk.writes {
		buffer := at >= instancedisk.BufferAt(0) && at < instancedisk.BufferAt(1)+instancedisk.BufferSize
		journal := at == instancedisk.JournalAt(0) || at == instancedisk.JournalAt(1)
		if payload := at >= instancedisk.End; !buffer && !journal && !payload {
			return fmt.Errorf("written at %d", at)
		}
	}
	return nil
}
