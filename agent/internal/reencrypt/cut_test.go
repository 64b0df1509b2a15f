package reencrypt

import (
	"errors"
	mathrand "math/rand/v2"
	"testing"
)

// small is a disk of some chunks with gaps of every kind between its extents: joined,
// long, and at both ends.
func small(tb testing.TB) *world {
	tb.Helper()
	const chunk = 8 << 10
	return newWorld(tb, 20*chunk, chunk,
		Extent{0, 2*chunk + 512}, Extent{2*chunk + 1024, 512}, Extent{4 * chunk, chunk}, Extent{7*chunk - 512, 3 * chunk}, Extent{15 * chunk, 1024},
		Extent{16 * chunk, 2*chunk + 1536})
}

// operations is how many writes and flushes a boot has.
func (w *world) operations(t *testing.T) int {
	t.Helper()
	const many = 1 << 30
	whole := w.on(w.disk.clone())
	whole.disk.left = many
	if err := errors.Join(whole.boot(t.Context()), whole.check()); err != nil {
		t.Fatal(err)
	}
	return many - whole.disk.left
}

// cutAt boots until the power goes, and leaves what is left of the disk. A boot that is
// done before that is whole.
func (w *world) cutAt(t *testing.T, operation int, l loss) {
	t.Helper()
	w.disk.left = operation
	if err := w.boot(t.Context()); err != nil && !errors.Is(err, errCut) {
		t.Fatalf("cut at %d: %v", operation, err)
	}
	w.disk.cut(l)
}

// TestCutAtEveryWrite ends the power at every write and flush, in every way, and again in
// the first operations of the boot after it.
func TestCutAtEveryWrite(t *testing.T) {
	w := small(t)
	if err := w.volume.Begin(w.golden); err != nil {
		t.Fatal(err)
	}
	all := w.operations(t)
	if all < 50 {
		t.Fatalf("a boot has %d operations", all)
	}
	const again = 10 // enough to repeat two chunks and do two further
	for operation := range all {
		for name := range losses(0) {
			once := w.on(w.disk.clone())
			once.cutAt(t, operation, losses(uint64(operation))[name])
			for second := range again {
				for _, other := range []string{"all lost", "journal kept", name} {
					twice := once.on(once.disk.clone())
					twice.cutAt(t, second, losses(uint64(second))[other])
					if err := errors.Join(twice.boot(t.Context()), twice.check()); err != nil {
						t.Fatalf("%s at %d, %s at %d: %v", name, operation, other, second, err)
					}
				}
			}
		}
	}
}

// TestCutsWithoutEnd ends the power in each boot, each a little later than the one before
// it, until all is done.
func TestCutsWithoutEnd(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(5, 6))
	for name := range losses(0) {
		for seed := range uint64(20) {
			w := small(t)
			if err := w.volume.Begin(w.golden); err != nil {
				t.Fatal(err)
			}
			boots := 0
			for ; ; boots++ {
				w.disk.left = 6 + random.IntN(6)
				err := w.boot(t.Context())
				if err == nil {
					break
				}
				if !errors.Is(err, errCut) || boots > 100 {
					t.Fatalf("%s, boot %d: %v", name, boots, err)
				}
				w.disk.cut(losses(seed)[name])
			}
			if err := w.check(); err != nil || boots < 3 {
				t.Fatalf("%s, %d boots: %v", name, boots, err)
			}
		}
	}
}

// TestCutsOfALargerDisk has chunks of their real size, and cuts at random points.
func TestCutsOfALargerDisk(t *testing.T) {
	const mib = 1 << 20
	w := newWorld(t, 12*mib, 0, Extent{0, 3 * mib}, Extent{3*mib + 4096, 4096}, Extent{5*mib - 512, 3 * mib}, Extent{10*mib + 512, 2*mib - 512})
	if err := w.volume.Begin(w.golden); err != nil {
		t.Fatal(err)
	}
	all := w.operations(t)
	random := mathrand.New(mathrand.NewPCG(7, 8))
	names := []string{"any sectors", "most sectors", "few sectors", "journal kept", "all lost"}
	for i := range 50 {
		c := w.on(w.disk.clone())
		operation, name := random.IntN(all), names[i%len(names)]
		c.cutAt(t, operation, losses(uint64(i))[name])
		c.cutAt(t, random.IntN(20), losses(uint64(i))[name]) // if that comes before the end
		if err := errors.Join(c.boot(t.Context()), c.check()); err != nil {
			t.Fatalf("%s at %d: %v", name, operation, err)
		}
	}
}

// TestBeginIsCut ends the power while the journal begins: before the claim another
// boot begins again.
func TestBeginIsCut(t *testing.T) {
	for operation := range 3 {
		for name, l := range losses(0) {
			w := small(t)
			w.disk.left = operation
			if err := w.volume.Begin(w.golden); !errors.Is(err, errCut) {
				t.Fatalf("%d: %v", operation, err)
			}
			w.disk.cut(l)
			w.volume.Sealed[0]++ // of the secret that the other boot makes
			if err := errors.Join(w.volume.Begin(w.golden), w.boot(t.Context()), w.check()); err != nil {
				t.Errorf("%s at %d: %v", name, operation, err)
			}
		}
	}
}
