package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// registered is a store with many images.
type registered struct {
	store    *store.Store
	images   []store.Image
	releases []store.Release
	next     int
}

// register fills a store, with many images in a transaction.
func register(b *testing.B, images int) *registered {
	b.Helper()
	r := &registered{store: storetest.SQLite(b).Open(b)}
	for len(r.images) < images {
		_, err := r.store.Audited(b.Context(), func(ctx context.Context) (audit.Record, error) {
			for range min(1000, images) {
				release := storetest.Release("f", "k", "i")
				release.Variants = release.Variants[:1]
				image, release, err := r.store.CreateImage(ctx, storetest.Image(fmt.Sprint("image ", len(r.images))), release, storetest.Present)
				if err != nil {
					return audit.Record{}, err
				}
				r.images, r.releases = append(r.images, image), append(r.releases, release)
			}
			return audit.Record{Outcome: audit.OutcomeDone}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return r
}

// find looks launches up, far apart from each other.
func (r *registered) find(b *testing.B) {
	const stride = 7919 // prime
	for range 200 {
		r.next = (r.next + stride) % len(r.images)
		i := r.images[r.next]
		if _, err := r.store.FindLaunch(b.Context(), i.IDKeyDigest, i.AuthorKeyDigest, r.releases[r.next].ID); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRatioLookup100k compares finding a launch among 100,000 images with
// finding it among 100.
func BenchmarkRatioLookup100k(b *testing.B) {
	few, many := register(b, 100), register(b, 100_000)
	ratio.Compare(b, "x-100-images", 2, func() { few.find(b) }, func() { many.find(b) })
}

// BenchmarkRatioGroupCommit compares 64 unlocks at the same time, with all that
// is decided and kept, with as many bare commits of one row, one after the other.
func BenchmarkRatioGroupCommit(b *testing.B) {
	const unlocks = 64
	s := storetest.SQLite(b).OpenStanding(b)
	launch := storetest.StandingLaunch(b, s)
	fleet := launch.Image.ID // what unlocks at the same time is often of one image
	bare := storetest.SQLite(b)
	bare.Open(b)
	raw := bare.Raw(b)
	for _, statement := range []string{`PRAGMA synchronous = FULL`, `CREATE TABLE bare (body BYTEA NOT NULL)`} {
		raw.SetMaxOpenConns(1)
		if _, err := raw.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	body := make([]byte, 2000) // about that of a record
	ratio.Compare(b, "x-bare-commits", 0.6, func() {
		for range unlocks {
			if _, err := raw.ExecContext(b.Context(), `INSERT INTO bare (body) VALUES ($1)`, body); err != nil {
				b.Fatal(err)
			}
		}
	}, func() {
		var wg sync.WaitGroup
		for range unlocks {
			wg.Go(func() {
				u := storetest.GrantedOf(launch)
				u.Audit.ImageID = fleet
				if decision, err := u.Write(b.Context(), s); err != nil || !decision.Granted() {
					b.Error(decision, err)
				}
			})
		}
		wg.Wait()
	})
}

// withInstances fills a store with instances of four images, half of them claimed, and
// returns one of the images.
func withInstances(b *testing.B, count int) (*store.Store, wire.UUID) {
	b.Helper()
	s := storetest.SQLite(b).Open(b)
	var images []wire.UUID
	for n := range 4 {
		image := storetest.Image(fmt.Sprint("image ", n))
		image.Instances = storetest.Named()
		if _, _, err := s.CreateImage(b.Context(), image, storetest.Release("f", "k", "i"), storetest.Present); err != nil {
			b.Fatal(err)
		}
		images = append(images, image.ID)
	}
	for made := 0; made < count; {
		_, err := s.Audited(b.Context(), func(ctx context.Context) (audit.Record, error) {
			for range min(1000, count) {
				i, err := s.CreateInstance(ctx, storetest.Instance(images[made%len(images)], fmt.Sprint("web-", made)))
				if err == nil && made/len(images)%2 == 0 {
					err = s.AdoptInstance(ctx, i.ID, storetest.Hash())
				}
				if err != nil {
					return audit.Record{}, err
				}
				made++
			}
			return audit.Record{Outcome: audit.OutcomeDone}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return s, images[0]
}

// BenchmarkRatioInstances100k compares a page of 100,000 instances with one of 100: of
// all and of an image, of a state, and found by a part of the name.
func BenchmarkRatioInstances100k(b *testing.B) {
	few, fewImage := withInstances(b, 100)
	many, manyImage := withInstances(b, 100_000)
	list := func(s *store.Store, f store.InstanceFilter) {
		for range 50 {
			if page, err := s.ListInstances(b.Context(), f, "", 10); err != nil || len(page.Items) != 10 {
				b.Fatal(len(page.Items), err)
			}
		}
	}
	for name, f := range map[string]store.InstanceFilter{"all": {}, "state": {State: wire.StateClaimed}, "search": {Search: "EB-"}} {
		ofImage := func(image wire.UUID) store.InstanceFilter {
			return store.InstanceFilter{Image: image, State: f.State, Search: f.Search}
		}
		b.Run(name, func(b *testing.B) {
			ratio.Compare(b, "x-100-instances", 2, func() { list(few, f) }, func() { list(many, f) })
		})
		b.Run(name+" of an image", func(b *testing.B) {
			ratio.Compare(b, "x-100-instances", 2, func() { list(few, ofImage(fewImage)) }, func() { list(many, ofImage(manyImage)) })
		})
	}
}
