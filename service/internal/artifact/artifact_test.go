package artifact_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// cluster is the PostgreSQL of these tests.
var cluster storetest.Cluster

func TestMain(m *testing.M) {
	defer cluster.Stop()
	m.Run()
}

// backend is an empty place for artifacts.
type backend struct {
	artifact.Store

	// damage changes the stored bytes of an artifact.
	damage func(t *testing.T, hash [32]byte, change func([]byte) []byte)

	// leftovers counts uploads that are neither finished nor gone.
	leftovers func(t *testing.T) int

	// crash leaves an upload as a process does that dies.
	crash func(t *testing.T)
}

func forEach(t *testing.T, test func(*testing.T, backend)) {
	for name, open := range map[string]func(*testing.T) backend{
		"files":    openFiles,
		"sqlite":   func(t *testing.T) backend { return openDatabase(t, storetest.SQLite(t)) },
		"postgres": func(t *testing.T) backend { return openDatabase(t, storetest.Postgres(t, &cluster)) },
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

const chunk = store.BlobChunkSize

// content returns bytes that differ from place to place.
func content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func save(ctx context.Context, a artifact.Store, data []byte) (store.ArtifactRef, error) {
	w, err := a.Create(ctx, int64(len(data)))
	if err != nil {
		return store.ArtifactRef{}, err
	}
	if _, err := io.Copy(w, bytes.NewReader(data)); err != nil {
		return store.ArtifactRef{}, err
	}
	ref, err := w.Commit()
	if want := (store.ArtifactRef{SHA256: sha256.Sum256(data), Size: int64(len(data))}); err == nil && ref != want {
		err = fmt.Errorf("got %+v, want %+v", ref, want)
	}
	return ref, err
}

func put(t *testing.T, a artifact.Store, data []byte) store.ArtifactRef {
	t.Helper()
	ref, err := save(t.Context(), a, data)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func get(ctx context.Context, a artifact.Store, ref store.ArtifactRef) ([]byte, error) {
	r, err := a.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func list(t *testing.T, a artifact.Store) []store.ArtifactRef {
	t.Helper()
	var refs []store.ArtifactRef
	if err := a.Walk(t.Context(), func(i artifact.Info) error { refs = append(refs, i.ArtifactRef); return nil }); err != nil {
		t.Fatal(err)
	}
	return refs
}

// checkEmpty checks that nothing is left.
func checkEmpty(t *testing.T, b backend) {
	t.Helper()
	if refs, left := list(t, b), b.leftovers(t); len(refs) != 0 || left != 0 {
		t.Errorf("artifacts %v and %d leftovers", refs, left)
	}
}

func TestRoundTrip(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		var want []store.ArtifactRef
		for _, size := range []int{0, 1, 1000, chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 5} {
			data := content(size)
			ref := put(t, b, data)
			want = append(want, ref)
			if got, err := get(t.Context(), b, ref); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes: got %d, %v", size, len(got), err)
			}
			info, err := b.Stat(t.Context(), ref.SHA256)
			if err != nil || info.ArtifactRef != ref || time.Since(info.StoredAt).Abs() > time.Hour {
				t.Errorf("%d bytes: got %+v, %v", size, info, err)
			}
			if err := artifact.Verify(t.Context(), b, ref); err != nil {
				t.Error(err)
			}
		}
		slices.SortFunc(want, func(a, b store.ArtifactRef) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
		if got := list(t, b); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		enough := errors.New("enough")
		if err := b.Walk(t.Context(), func(artifact.Info) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	})
}

// TestPieces writes in pieces that fit no chunk.
func TestPieces(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		data := content(2*chunk + 4321)
		w, err := b.Create(t.Context(), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for piece := range slices.Chunk(data, 33333) {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		ref, err := w.Commit()
		if err != nil || ref.SHA256 != sha256.Sum256(data) {
			t.Fatal(ref, err)
		}
		if got, err := get(t.Context(), b, ref); err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
}

func TestTooLarge(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		for _, limit := range []int64{0, 10, chunk + 10} {
			w, err := b.Create(t.Context(), limit)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content(int(limit))); err != nil {
				t.Errorf("%d bytes of %d: %v", limit, limit, err)
			}
			for range 2 {
				if n, err := w.Write([]byte{1}); n != 0 || !errors.Is(err, artifact.ErrTooLarge) {
					t.Errorf("one byte more than %d: got %d, %v", limit, n, err)
				}
			}
			if _, err := w.Commit(); !errors.Is(err, artifact.ErrTooLarge) {
				t.Errorf("commit: got %v", err)
			}
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
		}
		checkEmpty(t, b)
	})
}

func TestAbort(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		for _, size := range []int{0, 10, 2*chunk + 10} {
			w, err := b.Create(t.Context(), 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content(size)); err != nil {
				t.Fatal(err)
			}
			if n := b.leftovers(t); n != 1 {
				t.Errorf("%d uploads under way", n)
			}
			if err := errors.Join(w.Abort(), w.Abort()); err != nil {
				t.Error(err)
			}
			if _, err := w.Write([]byte{1}); err == nil {
				t.Error("written after Abort")
			}
			if _, err := w.Commit(); err == nil {
				t.Error("committed after Abort")
			}
		}
		checkEmpty(t, b)
	})
}

// TestCancel ends the context of an upload.
func TestCancel(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		for _, size := range []int{10, 2 * chunk} {
			ctx, cancel := context.WithCancel(t.Context())
			w, err := b.Create(ctx, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content(size)); err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err := w.Commit(); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		checkEmpty(t, b)
	})
}

func TestSameContent(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		data := content(chunk + 10)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := save(t.Context(), b, data); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ref := put(t, b, data)
		if refs, left := list(t, b), b.leftovers(t); len(refs) != 1 || left != 0 {
			t.Errorf("artifacts %v and %d leftovers", refs, left)
		}
		if err := artifact.Verify(t.Context(), b, ref); err != nil {
			t.Error(err)
		}
	})
}

func TestDelete(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		data, other := content(2*chunk), put(t, b, content(5))
		for range 2 { // it can come again
			ref := put(t, b, data)
			if err := errors.Join(b.Delete(t.Context(), ref.SHA256), b.Delete(t.Context(), ref.SHA256)); err != nil {
				t.Fatal(err)
			}
			_, statErr := b.Stat(t.Context(), ref.SHA256)
			_, openErr := b.Open(t.Context(), ref)
			for _, err := range []error{statErr, openErr, artifact.Verify(t.Context(), b, ref)} {
				if !errors.Is(err, artifact.ErrNotFound) {
					t.Errorf("got %v", err)
				}
			}
		}
		if _, err := b.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if refs, left := list(t, b), b.leftovers(t); len(refs) != 1 || left != 0 {
			t.Errorf("artifacts %v and %d leftovers", refs, left)
		}
		if err := artifact.Verify(t.Context(), b, other); err != nil {
			t.Error(err)
		}
	})
}

// TestDamage changes what is stored. Opening or reading tells.
func TestDamage(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		for name, change := range map[string]func([]byte) []byte{
			"first byte": func(d []byte) []byte { d[0]++; return d },
			"last byte":  func(d []byte) []byte { d[len(d)-1]++; return d },
			"cut":        func(d []byte) []byte { return d[:len(d)-1] },
			"longer":     func(d []byte) []byte { return append(d, 0) },
			"empty":      func([]byte) []byte { return []byte{} },
		} {
			ref := put(t, b, append(content(chunk+10), name...))
			b.damage(t, ref.SHA256, change)
			if err := artifact.Verify(t.Context(), b, ref); !errors.Is(err, artifact.ErrCorrupt) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		ref := put(t, b, content(10))
		for _, size := range []int64{9, 11, 0} {
			if _, err := b.Open(t.Context(), store.ArtifactRef{SHA256: ref.SHA256, Size: size}); !errors.Is(err, artifact.ErrCorrupt) {
				t.Errorf("%d bytes: got %v", size, err)
			}
		}
	})
}

func TestPresent(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		ref := put(t, b, content(10))
		for _, tc := range []struct {
			ref  store.ArtifactRef
			want bool
		}{{ref, true}, {store.ArtifactRef{SHA256: ref.SHA256, Size: 9}, false}, {store.ArtifactRef{Size: 10}, false}} {
			if got, err := artifact.Present(b)(t.Context(), tc.ref); got != tc.want || err != nil {
				t.Errorf("%+v: got %t, %v", tc.ref, got, err)
			}
		}
	})
}

// TestSweep leaves an upload like a process that dies. Sweep deletes it, but not
// one that is under way.
func TestSweep(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		whole := put(t, b, content(10))
		b.crash(t)
		running, err := b.Create(t.Context(), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := running.Write(content(chunk + 1)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{1, 0} {
			if n, err := b.Sweep(t.Context()); n != want || err != nil {
				t.Errorf("swept %d, %v, want %d", n, err, want)
			}
		}
		ref, err := running.Commit()
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range []store.ArtifactRef{whole, ref} {
			if err := artifact.Verify(t.Context(), b, ref); err != nil {
				t.Error(err)
			}
		}
		if n := b.leftovers(t); n != 0 {
			t.Errorf("%d leftovers", n)
		}
	})
}

// TestDrop registers and deletes images of the same files at the same time. No
// image may lack a file.
func TestDrop(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		d := storetest.Postgres(t, &cluster)
		s := d.Open(t)
		if shared, ok := b.Store.(*artifact.Database); ok {
			s = storeOf(t, shared)
		}
		var wg sync.WaitGroup
		for worker := range 3 {
			wg.Go(func() {
				for n := range 8 {
					if err := registerAndDelete(t.Context(), s, b, fmt.Sprint(worker, n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func registerAndDelete(ctx context.Context, s *store.Store, b backend, name string) error {
	release := storetest.Release("f", "k", "i")
	for i, ref := range []*store.ArtifactRef{&release.Firmware, &release.Kernel, &release.Initrd} {
		var err error
		if *ref, err = save(ctx, b, content(10+i)); err != nil {
			return err
		}
	}
	image, _, err := s.CreateImage(ctx, storetest.Image(name), release, artifact.Present(b))
	if errors.Is(err, store.ErrArtifactGone) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, ref := range []store.ArtifactRef{release.Firmware, release.Kernel, release.Initrd} {
		err = errors.Join(err, artifact.Verify(ctx, b, ref))
	}
	free, deleteErr := s.DeleteImage(ctx, image.ID)
	for _, hash := range free {
		_, dropErr := s.DropArtifact(ctx, hash, func(ctx context.Context) error { return b.Delete(ctx, hash) })
		err = errors.Join(err, dropErr)
	}
	return errors.Join(err, deleteErr)
}
