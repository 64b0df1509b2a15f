// Package cachetest is the suite that every implementation of kds.Cache passes.
package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Run runs the suite. New returns an empty cache and a function that opens the
// same one again, as another process would.
func Run(t *testing.T, newCache func(t *testing.T) (cache kds.Cache, reopen func() kds.Cache)) {
	for name, test := range map[string]func(*testing.T, kds.Cache, func() kds.Cache){
		"miss":        testMiss,
		"round trip":  testRoundTrip,
		"replace":     testReplace,
		"copy":        testCopy,
		"list":        testList,
		"sizes":       testSizes,
		"concurrency": testConcurrency,
	} {
		t.Run(name, func(t *testing.T) {
			cache, reopen := newCache(t)
			test(t, cache, reopen)
		})
	}
}

// keys returns one key of every kind for every product line, in the order of
// their names.
func keys(t *testing.T) []kds.Key {
	t.Helper()
	var all []kds.Key
	add := func(k kds.Key, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	for _, p := range snp.Products() {
		add(kds.VCEKKey(p, chipID(p, 1), snp.TCB{Microcode: 1}))
		add(kds.VCEKKey(p, chipID(p, 1), snp.TCB{Microcode: 2}))
		add(kds.VCEKKey(p, chipID(p, 2), snp.TCB{Microcode: 1}))
		for _, s := range []snp.SigningKey{snp.SignedByVCEK, snp.SignedByVLEK} {
			add(kds.ChainKey(p, s))
			add(kds.CRLKey(p, s))
		}
	}
	slices.SortFunc(all, func(a, b kds.Key) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	return all
}

func chipID(p snp.Product, n byte) (id [snp.ChipIDSize]byte) {
	for i := range p.HardwareIDSize() {
		id[i] = n
	}
	return id
}

// then is when the entries of these tests were fetched.
func then(n int) time.Time { return time.Date(2024, time.March, 1, 12, 0, n, 0, time.UTC) }

func put(t *testing.T, c kds.Cache, k kds.Key, data string, at time.Time) {
	t.Helper()
	if err := c.Put(t.Context(), k, kds.Entry{Data: []byte(data), FetchedAt: at}); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, c kds.Cache, k kds.Key, data string, at time.Time) {
	t.Helper()
	e, err := c.Get(t.Context(), k)
	if err != nil {
		t.Fatalf("%s: %v", k, err)
	}
	if string(e.Data) != data || !e.FetchedAt.Equal(at) {
		t.Errorf("%s: got %.20q of %s, want %.20q of %s", k, e.Data, e.FetchedAt, data, at)
	}
}

func testMiss(t *testing.T, c kds.Cache, _ func() kds.Cache) {
	all := keys(t)
	put(t, c, all[0], "here", then(0))
	for _, k := range all[1:] {
		if _, err := c.Get(t.Context(), k); !errors.Is(err, kds.ErrNotCached) {
			t.Errorf("%s: got %v, want %v", k, err, kds.ErrNotCached)
		}
	}
}

func testRoundTrip(t *testing.T, c kds.Cache, reopen func() kds.Cache) {
	for i, k := range keys(t) {
		put(t, c, k, fmt.Sprintf("%d\x00\xFF", i), then(i))
	}
	again := reopen()
	for i, k := range keys(t) {
		check(t, c, k, fmt.Sprintf("%d\x00\xFF", i), then(i))
		check(t, again, k, fmt.Sprintf("%d\x00\xFF", i), then(i))
	}
}

func testReplace(t *testing.T, c kds.Cache, _ func() kds.Cache) {
	k := keys(t)[0]
	put(t, c, k, "a longer first entry", then(0))
	put(t, c, k, "second", then(1))
	check(t, c, k, "second", then(1))
	listed, err := c.List(t.Context())
	if err != nil || len(listed) != 1 {
		t.Errorf("got %v, %v, want one entry", listed, err)
	}
}

// The cache must not share memory with its callers.
func testCopy(t *testing.T, c kds.Cache, _ func() kds.Cache) {
	k, data := keys(t)[0], []byte("data")
	if err := c.Put(t.Context(), k, kds.Entry{Data: data, FetchedAt: then(0)}); err != nil {
		t.Fatal(err)
	}
	data[0] = 'X'
	e, err := c.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	e.Data[1] = 'X'
	check(t, c, k, "data", then(0))
}

func testList(t *testing.T, c kds.Cache, reopen func() kds.Cache) {
	if listed, err := c.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("empty cache lists %v, %v", listed, err)
	}
	all := keys(t)
	for i := range all {
		put(t, c, all[len(all)-1-i], "data", then(i))
	}
	listed, err := reopen().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(listed) != len(all) {
		t.Fatalf("got %d entries, want %d", len(listed), len(all))
	}
	for i, l := range listed {
		if l.Key != all[i] || l.Size != 4 || !l.FetchedAt.Equal(then(len(all)-1-i)) {
			t.Errorf("entry %d: got %+v, want %s", i, l, all[i])
		}
	}
}

func testSizes(t *testing.T, c kds.Cache, _ func() kds.Cache) {
	for _, k := range keys(t) {
		largest := bytes.Repeat([]byte{'x'}, k.MaxSize())
		put(t, c, k, string(largest), then(0))
		check(t, c, k, string(largest), then(0))
		for name, data := range map[string][]byte{"empty": nil, "too large": append(largest, 'x')} {
			if err := c.Put(t.Context(), k, kds.Entry{Data: data, FetchedAt: then(1)}); err == nil {
				t.Errorf("%s: %s entry accepted", k, name)
			}
		}
		check(t, c, k, string(largest), then(0))
		put(t, c, k, "small", then(2))
	}
}

// Readers see one of the entries that were written, never a mixture.
func testConcurrency(t *testing.T, c kds.Cache, reopen func() kds.Cache) {
	k := keys(t)[0]
	put(t, c, k, "0", then(0))
	var wg sync.WaitGroup
	for n := range 4 {
		cache := c
		if n%2 == 1 {
			cache = reopen()
		}
		wg.Go(func() {
			if err := write(t.Context(), cache, k, n); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func write(ctx context.Context, c kds.Cache, k kds.Key, n int) error {
	data := bytes.Repeat([]byte{'0' + byte(n)}, 1+1000*n)
	for range 10 {
		if err := c.Put(ctx, k, kds.Entry{Data: data, FetchedAt: then(n)}); err != nil {
			return err
		}
		e, err := c.Get(ctx, k)
		if err != nil {
			return err
		}
		if len(bytes.Trim(e.Data, string(e.Data[:1]))) != 0 || len(e.Data) != 1+1000*int(e.Data[0]-'0') {
			return fmt.Errorf("got a mixture of entries: %d bytes", len(e.Data))
		}
	}
	return nil
}
