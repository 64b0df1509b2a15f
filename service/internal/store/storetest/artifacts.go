package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func artifactTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"delete image":     testDeleteImage,
		"delete release":   testDeleteRelease,
		"delete at once":   testDeleteAtOnce,
		"drop artifact":    testDropArtifact,
		"artifact race":    testArtifactRace,
		"unused artifacts": testUnusedArtifacts,
		"drop in the tx":   testDropJoins,
	}
}

// checkHashes compares with the artifacts of the given names.
func checkHashes(t *testing.T, got [][32]byte, names ...string) {
	t.Helper()
	var want [][32]byte
	for _, name := range names {
		want = append(want, Artifact(name).SHA256)
	}
	order := func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Errorf("got %x, want those of %q", got, names)
	}
}

func testDeleteImage(t *testing.T, d Database) {
	s := d.Open(t)
	labelled := Image("first")
	labelled.Labels = map[string]string{"a": "b"}
	first, release := create(t, s, labelled, Release("f1", "k1", "i1"))
	if _, err := s.AddRelease(t.Context(), first.ID, Release("f1", "k2", "shared"), Present); err != nil {
		t.Fatal(err)
	}
	second, _ := create(t, s, Image("second"), Release("f2", "shared", "k2"))
	free, err := s.DeleteImage(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	checkHashes(t, free, "f1", "k1", "i1")
	if _, err := s.ReleaseByID(t.Context(), release.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its release is there: %v", err)
	}
	for _, table := range []string{"image_labels", "variants"} {
		var rows int
		if err := d.Raw(t).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil || rows > 2 {
			t.Errorf("%s has %d rows, %v", table, rows, err)
		}
	}
	if _, err := s.DeleteImage(t.Context(), first.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if free, err = s.DeleteImage(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	checkHashes(t, free, "f2", "shared", "k2")
	create(t, s, Image("first"), Release("f1", "k1", "i1")) // the name is free
}

func testDeleteRelease(t *testing.T, d Database) {
	s := d.Open(t)
	image, first := create(t, s, Image("image"), Release("f", "k", "i1"))
	second, err := s.AddRelease(t.Context(), image.ID, Release("f", "k", "i2"), Present)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		id   wire.UUID
		free []string
	}{{first.ID, []string{"i1"}}, {second.ID, []string{"f", "k", "i2"}}} {
		free, err := s.DeleteRelease(t.Context(), tc.id)
		if err != nil {
			t.Fatal(err)
		}
		checkHashes(t, free, tc.free...)
		if _, err := s.DeleteRelease(t.Context(), tc.id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
	}
}

// The last two users of an artifact are deleted at the same time: one of the two
// says that it is free.
func testDeleteAtOnce(t *testing.T, d Database) {
	s := d.Open(t)
	for range 10 {
		var ids []wire.UUID
		for n := range 2 {
			image, _ := create(t, s, Image(fmt.Sprint(n)), Release("f", "k", "i"))
			ids = append(ids, image.ID)
		}
		free := make([][][32]byte, len(ids))
		var wg sync.WaitGroup
		for n, id := range ids {
			wg.Go(func() {
				var err error
				if free[n], err = s.DeleteImage(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		checkHashes(t, slices.Concat(free...), "f", "k", "i")
	}
}

func testDropArtifact(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	drop := func(name string, result error) (bool, int, error) {
		removed := 0
		dropped, err := s.DropArtifact(t.Context(), Artifact(name).SHA256, func(context.Context) error { removed++; return result })
		return dropped, removed, err
	}
	for _, name := range []string{"f", "k", "i"} {
		if dropped, removed, err := drop(name, nil); dropped || removed > 0 || err != nil {
			t.Errorf("%s: dropped %t, removed %d times, %v", name, dropped, removed, err)
		}
	}
	if dropped, removed, err := drop("unknown", nil); !dropped || removed != 1 || err != nil {
		t.Errorf("unknown: dropped %t, removed %d times, %v", dropped, removed, err)
	}
	if _, err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	if dropped, _, err := drop("f", errors.ErrUnsupported); dropped || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("failed removal: dropped %t, %v", dropped, err)
	}
	for _, name := range []string{"f", "k", "i"} {
		if dropped, removed, err := drop(name, nil); !dropped || removed != 1 || err != nil {
			t.Errorf("%s: dropped %t, removed %d times, %v", name, dropped, removed, err)
		}
	}
}

// files are artifacts that a test keeps.
type files struct {
	mu   sync.Mutex
	have map[[32]byte]bool
}

func (f *files) set(hash [32]byte, there bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.have[hash] = there
}

func (f *files) present(_ context.Context, a store.ArtifactRef) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.have[a.SHA256], nil
}

// While some register images of the same files, others delete them. No image
// that was registered may lack its files.
func testArtifactRace(t *testing.T, d Database) {
	s := d.Open(t)
	disk := files{have: map[[32]byte]bool{}}
	artifacts := []string{"f", "k", "i"}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := range 15 {
				for _, name := range artifacts {
					disk.set(Artifact(name).SHA256, true) // uploaded, or there
				}
				image, _, err := s.CreateImage(t.Context(), Image(fmt.Sprint(worker, n)), Release("f", "k", "i"), disk.present)
				if errors.Is(err, store.ErrArtifactGone) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				for _, name := range artifacts {
					if there, _ := disk.present(t.Context(), Artifact(name)); !there {
						t.Errorf("%s is gone below an image", name)
					}
				}
				free, err := s.DeleteImage(t.Context(), image.ID)
				if err != nil {
					t.Error(err)
				}
				for _, hash := range free {
					if _, err := s.DropArtifact(t.Context(), hash, func(context.Context) error { disk.set(hash, false); return nil }); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func testUnusedArtifacts(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, _ := create(t, s, Image("first"), Release("f1", "k1", "i1"))
	create(t, s, Image("second"), Release("f2", "k2", "i2"))
	clock.Advance(time.Hour)
	if _, err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		before time.Time
		want   []string
	}{{clock.Now(), nil}, {clock.Now().Add(1000), []string{"f1", "k1", "i1"}}} {
		unused, err := s.UnusedArtifacts(t.Context(), tc.before, 9)
		if err != nil {
			t.Fatal(err)
		}
		checkHashes(t, unused, tc.want...)
	}
	if unused, err := s.UnusedArtifacts(t.Context(), clock.Now().Add(1000), 2); err != nil || len(unused) != 2 {
		t.Errorf("got %x, %v, want two", unused, err)
	}
}

// What remove does by the store itself is part of the transaction.
func testDropJoins(t *testing.T, d Database) {
	s := d.Open(t)
	remove := func(ctx context.Context) error {
		if err := s.SetSetting(ctx, "removed", []byte("x")); err != nil {
			return err
		}
		if _, err := s.Setting(ctx, "removed"); err != nil {
			return err
		}
		return errors.ErrUnsupported
	}
	if _, err := s.DropArtifact(t.Context(), Artifact("a").SHA256, remove); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Setting(t.Context(), "removed"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the transaction was not undone: %v", err)
	}
}
