package artifact_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

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
