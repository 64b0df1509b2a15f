package reencrypt

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// gap is what the host can copy of journal and buffers, as it was when a disk had so many chunks.
type gap map[int64]sector

// history boots a disk and keeps the gap and the payload after each chunk.
func history(t *testing.T, w *world) (gaps []gap, payloads []*simDisk) {
	t.Helper()
	work, err := w.volume.Resume(w.golden, w.target)
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close()
	keep := func(int64, int64) {
		if err := w.disk.Flush(); err != nil {
			t.Fatal(err)
		}
		g := gap{}
		for at, s := range w.disk.durable {
			if at >= instancedisk.BufferAt(0) && at < instancedisk.End {
				g[at] = s
			}
		}
		gaps, payloads = append(gaps, g), append(payloads, w.disk.clone())
	}
	keep(0, 0)
	if err := work.Run(t.Context(), w.extents, keep); err != nil {
		t.Fatal(err)
	}
	keep(0, 0)
	return gaps, payloads
}

// put writes what was copied of one place, record and buffer, over a disk.
func (g gap) put(d *simDisk, place uint64) {
	for at := range d.durable {
		if g.holds(at, place) {
			delete(d.durable, at)
		}
	}
	for at, s := range g {
		if g.holds(at, place) {
			d.durable[at] = s
		}
	}
}

func (gap) holds(at int64, place uint64) bool {
	buffer := at >= instancedisk.BufferAt(place) && at < instancedisk.BufferAt(place)+instancedisk.BufferSize
	return buffer || at == instancedisk.JournalAt(place)
}

// plainLeaks wants no sector of the payload in clear.
func (w *world) plainLeaks(t *testing.T) {
	t.Helper()
	for at, s := range w.disk.durable {
		if at >= instancedisk.End && bytes.Contains(w.plain[at-instancedisk.End:][:sectorSize], s[:16]) {
			t.Fatalf("clear text at %d", at-instancedisk.End)
		}
	}
}

func (w *world) ciphers(t *testing.T) *Work {
	t.Helper()
	work := &Work{volume: w.volume}
	if err := work.ciphers(w.golden, w.target); err != nil {
		t.Fatal(err)
	}
	return work
}

// TestOlderRecords puts back the gap of every earlier moment, whole or one place of it, at every
// later one. It ends in a disk that is whole, in one whose head is noise and that no boot
// accepts, or in ErrJournal before anything is written.
func TestOlderRecords(t *testing.T) {
	w := begun(t, 160<<10, 8<<10, Extent{0, 160 << 10})
	gaps, payloads := history(t, w.on(w.disk.clone()))
	for later := range payloads[:len(payloads)-1] {
		for earlier := range later {
			for name, places := range map[string][]uint64{"both": {0, 1}, "even": {0}, "odd": {1}} {
				c := w.on(payloads[later].clone())
				for _, place := range places {
					gaps[earlier].put(c.disk, place)
				}
				before := c.disk.clone()
				err := c.boot(t.Context())
				c.plainLeaks(t)
				switch {
				case err == nil:
					if head := c.headIsNew(); !head {
						t.Errorf("%s of %d at %d: accepted without its head", name, earlier, later)
					}
				case errors.Is(err, ErrJournal), errors.Is(err, ErrNoJournal):
					if !sameDisk(before, c.disk) {
						t.Errorf("%s of %d at %d: written before %v", name, earlier, later, err)
					}
					// What the host took away it can bring back, and the owner goes on.
					again := w.on(payloads[later].clone())
					if err := errors.Join(again.boot(t.Context()), again.check()); err != nil {
						t.Errorf("%s of %d at %d: %v", name, earlier, later, err)
					}
				case !strings.Contains(err.Error(), "no file system"):
					t.Errorf("%s of %d at %d: %v", name, earlier, later, err)
				}
			}
		}
	}
}

// headIsNew reports whether the first sector is what it should be: what a boot was shown.
func (w *world) headIsNew() bool {
	s := w.disk.durable[instancedisk.End]
	return bytes.Equal(s[:], w.want[:sectorSize])
}

func sameDisk(a, b *simDisk) bool {
	if len(b.pending) > 0 || len(a.durable) != len(b.durable) {
		return false
	}
	for at, s := range a.durable {
		if b.durable[at] != s {
			return false
		}
	}
	return true
}

// TestStartIsPutBack replays the first record when some chunks are done: the head of the payload
// is no file system under the golden key, and nothing more is written.
func TestStartIsPutBack(t *testing.T) {
	w := begun(t, 160<<10, 8<<10, Extent{0, 160 << 10})
	gaps, payloads := history(t, w.on(w.disk.clone()))
	c := w.on(payloads[5].clone())
	gaps[0].put(c.disk, 0)
	gaps[0].put(c.disk, 1)
	before := c.disk.clone()
	if err := c.boot(t.Context()); err == nil || !strings.Contains(err.Error(), "no file system") {
		t.Errorf("got %v", err)
	}
	if err := c.disk.Flush(); err != nil || !sameDisk(before, c.disk) {
		t.Errorf("written, %v", err)
	}
}

// TestEndOfAnotherCopy carries the end of a finished copy to one that has hardly begun.
// The boot is done at once; what is golden there reads as noise, never in clear.
func TestEndOfAnotherCopy(t *testing.T) {
	w := begun(t, 160<<10, 8<<10, Extent{0, 80 << 10})
	gaps, payloads := history(t, w.on(w.disk.clone()))
	c := w.on(payloads[0].clone())
	gaps[len(gaps)-1].put(c.disk, 0)
	gaps[len(gaps)-1].put(c.disk, 1)
	work, err := c.volume.Resume(c.golden, c.target)
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close()
	if !work.Done() {
		t.Error("not done")
	}
	got := make([]byte, 160<<10)
	if _, err := work.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(got); at += sectorSize {
		if bytes.Equal(got[at:][:sectorSize], w.plain[at:][:sectorSize]) {
			t.Fatalf("golden text at %d is accepted", at)
		}
	}
	if len(c.disk.writes) > 0 {
		t.Errorf("%d sectors were written", len(c.disk.writes))
	}
}

// TestDoneIsLeftAlone resumes when all was done and the system has written since, as
// when the service was restored to the day of the claim.
func TestDoneIsLeftAlone(t *testing.T) {
	w := begun(t, 160<<10, 8<<10, Extent{0, 160 << 10})
	gaps, _ := history(t, w)
	for place := range uint64(4) { // either record is enough
		c := w.on(w.disk.clone())
		if place < 2 {
			delete(c.disk.durable, instancedisk.JournalAt(place))
		} else { // what was there before it
			gaps[len(gaps)-2].put(c.disk, place-2)
		}
		s := c.disk.durable[instancedisk.End+156<<10]
		s[0]++ // the system writes
		c.disk.durable[instancedisk.End+156<<10] = s
		before := c.disk.clone()
		if err := c.boot(t.Context()); err != nil || !sameDisk(before, c.disk) {
			t.Errorf("without record %d: written, %v", place%2, err)
		}
	}
}

// TestChangedJournal changes, shortens and exchanges what lies in the gap.
func TestChangedJournal(t *testing.T) {
	w := begun(t, 160<<10, 8<<10, Extent{0, 160 << 10})
	gaps, payloads := history(t, w.on(w.disk.clone()))
	start := w.disk
	for name, tc := range map[string]struct {
		disk   *simDisk
		change func(w *world)
		want   error // nil for a boot that goes on
	}{
		"no journal":                     {payloads[4], wipe(0, 1), ErrNoJournal},
		"older record gone":              {payloads[4], wipe(1), nil},
		"start gone":                     {start, wipe(0), ErrNoJournal},
		"a bit of both":                  {payloads[4], each(func(s *sector) { s[100] ^= 1 }), ErrNoJournal},
		"boundary":                       {payloads[4], each(func(s *sector) { s[89] ^= 0x10 }), ErrNoJournal},
		"MAC":                            {payloads[4], each(func(s *sector) { s[511] ^= 1 }), ErrNoJournal},
		"behind the fields":              {payloads[4], each(func(s *sector) { s[300] ^= 1 }), ErrNoJournal},
		"older record beside the newest": {payloads[5], func(w *world) { gaps[2].put(w.disk, 0) }, ErrJournal},
		"start beside the newest":        {payloads[5], func(w *world) { gaps[0].put(w.disk, 0) }, ErrJournal},
		"places exchanged": {payloads[4], func(w *world) {
			d := w.disk.durable
			d[instancedisk.JournalAt(0)], d[instancedisk.JournalAt(1)] = d[instancedisk.JournalAt(1)], d[instancedisk.JournalAt(0)]
		}, ErrNoJournal},
		"buffers":                {payloads[4], buffers, ErrNoJournal},
		"another instance":       {payloads[4], func(w *world) { w.volume.Instance[0]++ }, ErrNoJournal},
		"another image":          {payloads[4], func(w *world) { w.volume.Image[0]++ }, ErrNoJournal},
		"another claim":          {payloads[4], func(w *world) { w.volume.Sealed[0]++ }, ErrNoJournal},
		"start of another claim": {start, func(w *world) { w.volume.Sealed[0]++ }, ErrNoJournal},
		"another share":          {payloads[4], func(w *world) { w.target = bytes.Repeat([]byte{1, 2}, 32) }, ErrNoJournal},
		"another golden key":     {start, func(w *world) { w.golden = bytes.Repeat([]byte{1, 2}, 32) }, ErrNoJournal},
		"forged start": {payloads[4], func(w *world) {
			r := instancedisk.JournalRecord{Kind: instancedisk.Start, Sealed: w.volume.Sealed}
			wipe(0, 1)(w)
			w.disk.durable[instancedisk.JournalAt(0)] = sector(instancedisk.EncodeJournal(w.volume.id(), r, make([]byte, 32)))
		}, ErrNoJournal},
		"forged end with the start's key": {payloads[4], func(w *world) {
			key, _ := wire.JournalStartKey(w.golden)
			r := instancedisk.JournalRecord{Kind: instancedisk.Done, Sealed: w.volume.Sealed, Sequence: 9}
			w.disk.durable[instancedisk.JournalAt(1)] = sector(instancedisk.EncodeJournal(w.volume.id(), r, key))
		}, nil},
		"payload shortened": {payloads[4], func(w *world) { w.volume.PayloadSize = 8 << 10 }, ErrNoJournal},
	} {
		c := w.on(tc.disk.clone())
		tc.change(c)
		before := c.disk.clone()
		if tc.want == nil {
			if err := errors.Join(c.boot(t.Context()), c.check()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err := c.boot(t.Context()); !errors.Is(err, tc.want) || !sameDisk(before, c.disk) {
			t.Errorf("%s: got %v, want %v and nothing written", name, err, tc.want)
		}
	}
}

// TestNewestRecordGone takes the newest record away, so that the boundary is too low: the
// chunk between is encrypted twice, which is noise, and all else is right.
func TestNewestRecordGone(t *testing.T) {
	const size = 8 << 10
	w := begun(t, 160<<10, size, Extent{0, 160 << 10})
	_, payloads := history(t, w.on(w.disk.clone()))
	c := w.on(payloads[4].clone())
	wipe(0)(c)
	if err := c.boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	twice := c.want[3*size : 4*size]
	ciphers := w.ciphers(t)
	c.want = bytes.Clone(c.want)
	ciphers.golden.Decrypt(c.want[3*size:4*size], twice, 3*size)
	ciphers.target.Encrypt(c.want[3*size:4*size], c.want[3*size:4*size], 3*size)
	if err := c.check(); err != nil {
		t.Error(err)
	}
}

func wipe(places ...uint64) func(*world) {
	return func(w *world) {
		for _, place := range places {
			delete(w.disk.durable, instancedisk.JournalAt(place))
		}
	}
}

func each(change func(*sector)) func(*world) {
	return func(w *world) {
		for place := range uint64(2) {
			s := w.disk.durable[instancedisk.JournalAt(place)]
			change(&s)
			w.disk.durable[instancedisk.JournalAt(place)] = s
		}
	}
}

// buffers changes a bit of each.
func buffers(w *world) {
	for place := range uint64(2) {
		s := w.disk.durable[instancedisk.BufferAt(place)+4096]
		s[7] ^= 1
		w.disk.durable[instancedisk.BufferAt(place)+4096] = s
	}
}

// lyingDisk answers each read of a buffer after the first with something else.
type lyingDisk struct {
	*simDisk
	reads map[int64]int
}

func (d *lyingDisk) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.simDisk.ReadAt(p, off)
	if off >= instancedisk.BufferAt(0) && off < instancedisk.End {
		if d.reads[off]++; d.reads[off] > 1 {
			rand.Read(p)
		}
	}
	return n, err
}

// TestBufferIsReadOnce has a host that shows the right buffer to be hashed, and another to
// be copied.
func TestBufferIsReadOnce(t *testing.T) {
	w := begun(t, 160<<10, 8<<10, Extent{0, 160 << 10})
	_, payloads := history(t, w.on(w.disk.clone()))
	c := w.on(payloads[4].clone())
	c.volume.Device = &lyingDisk{c.disk, map[int64]int{}}
	if err := errors.Join(c.boot(t.Context()), c.check()); err != nil {
		t.Error(err)
	}
}

// TestStops ends a run by its context, and goes on.
func TestStops(t *testing.T) {
	w := small(t)
	if err := w.volume.Begin(w.golden); err != nil {
		t.Fatal(err)
	}
	work, err := w.volume.Resume(w.golden, w.target)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stuck, calls := errors.New("stuck"), 0
	err = work.Run(ctx, w.extents, func(done, all int64) {
		calls++
		if done <= 0 || done >= all || all != total(w.extents) {
			t.Errorf("%d of %d", done, all)
		}
		if calls == 3 {
			cancel(stuck)
		}
	})
	work.Close()
	if !errors.Is(err, stuck) || work.Done() || work.Boundary() == 0 {
		t.Errorf("stopped at %d: %v", work.Boundary(), err)
	}
	if err := errors.Join(w.boot(t.Context()), w.check()); err != nil {
		t.Error(err)
	}
}

func total(extents []Extent) (n int64) {
	for _, e := range extents {
		n += e.Length
	}
	return n
}

// TestHostileExtents runs what a hostile file system may have a caller say.
func TestHostileExtents(t *testing.T) {
	for name, extents := range map[string][]Extent{
		"behind the payload": {{0, 512}, {160 << 10, 512}},
		"over its end":       {{159 << 10, 2048}},
		"overflow":           {{512, 1<<63 - 512}},
		"negative":           {{-512, 1024}},
		"empty":              {{0, 0}},
		"descending":         {{4096, 512}, {0, 512}},
		"overlapping":        {{0, 1024}, {512, 1024}},
		"part of a sector":   {{0, 100}},
		"between sectors":    {{100, 512}},
	} {
		w := begun(t, 160<<10, 8<<10, extents...)
		clear(w.disk.writes)
		if err := w.boot(t.Context()); !errors.Is(err, errVolume) || len(w.disk.pending) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	none := begun(t, 160<<10, 8<<10)
	if err := errors.Join(none.boot(t.Context()), none.check()); err != nil {
		t.Errorf("no extents: %v", err)
	}
}

// TestBadVolumes is refused before the claim, and again after it.
func TestBadVolumes(t *testing.T) {
	for name, change := range map[string]func(v *Volume){
		"payload in the gap":  func(v *Volume) { v.PayloadOffset-- },
		"payload far behind":  func(v *Volume) { v.PayloadOffset = 1 << 50 },
		"no payload":          func(v *Volume) { v.PayloadSize = 0 },
		"huge payload":        func(v *Volume) { v.PayloadSize = 1<<63 - 512 },
		"part of a sector":    func(v *Volume) { v.PayloadSize-- },
		"sectors of 1024":     func(v *Volume) { v.SectorSize = 1024 },
		"sectors of no bytes": func(v *Volume) { v.SectorSize = 0 },
	} {
		w := newWorld(t, 160<<10, 8<<10)
		change(&w.volume)
		if err := w.volume.Begin(w.golden); !errors.Is(err, errVolume) {
			t.Errorf("%s: begun, %v", name, err)
		}
		if _, err := w.volume.Resume(w.golden, w.target); !errors.Is(err, errVolume) {
			t.Errorf("%s: resumed, %v", name, err)
		}
	}
	w := begun(t, 160<<10, 8<<10)
	for name, keys := range map[string][2][]byte{
		"golden":  {w.golden[1:], w.target},
		"target":  {w.golden, w.target[1:]},
		"halves":  {w.golden, make([]byte, wire.VMKSize)},
		"golden2": {make([]byte, wire.VMKSize), w.target},
	} {
		if work, err := w.volume.Resume(keys[0], keys[1]); err == nil || work != nil {
			t.Errorf("%s: resumed", name)
		}
	}
	if w.volume.Begin(w.golden[1:]) == nil {
		t.Error("begun with a short key")
	}
}

// TestReadAt reads across the boundary, at any offsets, and to the end.
func TestReadAt(t *testing.T) {
	w := begun(t, 160<<10, 8<<10, Extent{0, 160 << 10})
	_, payloads := history(t, w.on(w.disk.clone()))
	for number, disk := range payloads {
		work, err := w.on(disk.clone()).volume.Resume(w.golden, w.target)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][2]int{{0, 160 << 10}, {0, 1}, {511, 2}, {100, 40000}, {32<<10 - 1, 2}, {32<<10 - 5, 30000}, {160<<10 - 1, 1}} {
			got := make([]byte, part[1])
			if n, err := work.ReadAt(got, int64(part[0])); err != nil || n != len(got) || !bytes.Equal(got, w.plain[part[0]:][:part[1]]) {
				t.Errorf("after %d chunks: %d bytes at %d: %d, %v", number, part[1], part[0], n, err)
			}
		}
		for off, want := range map[int64]int{160<<10 - 3: 3, 160 << 10: 0, 1 << 40: 0, -1: 0} {
			if n, err := work.ReadAt(make([]byte, 10), off); err == nil || n != want {
				t.Errorf("at %d: %d, %v", off, n, err)
			}
		}
		work.Close()
	}
}

// TestLargeSectors runs with sectors of 4096 bytes.
func TestLargeSectors(t *testing.T) {
	w := begun(t, 160<<10, 8<<10)
	w.volume.SectorSize = 4096
	work := w.ciphers(t)
	plain := make([]byte, 160<<10)
	copy(plain, "the file system")
	cipher := make([]byte, len(plain))
	work.golden.Encrypt(cipher, plain, 0)
	if _, err := w.disk.WriteAt(cipher, instancedisk.End); err != nil {
		t.Fatal(err)
	}
	w.extents = []Extent{{0, 160 << 10}}
	if err := w.boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.disk.ReadAt(cipher, instancedisk.End); err != nil {
		t.Fatal(err)
	}
	work.target.Decrypt(cipher, cipher, 0)
	if sha256.Sum256(cipher) != sha256.Sum256(plain) {
		t.Error("something else")
	}
}
