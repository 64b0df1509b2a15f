package artifact_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
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
	return data, errors.Join(err, r.Close()) // what was read before an error, too
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
