package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func kdsTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){"KDS cache rows": testKDSRows, "KDS chips seen": testKDSSeen}
}

// Rows that cannot be entries are damaged, or not entries at all.
func testKDSRows(t *testing.T, d Database) {
	cache := d.Open(t).KDSCache()
	key, err := kds.ChainKey(snp.Milan, snp.SignedByVCEK)
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Put(t.Context(), key, kds.Entry{Data: []byte("x"), FetchedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"empty": {}, "too large": make([]byte, key.MaxSize()+1)} {
		d.exec(t, q(`UPDATE kds_cache SET content = $1`, content)...)
		if _, err := cache.Get(t.Context(), key); !errors.Is(err, kds.ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	d.exec(t, q(`UPDATE kds_cache SET name = 'notes.txt'`)...)
	if listed, err := cache.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("got %v, %v", listed, err)
	}
}

// testKDSSeen: a chip is seen once the cache has a certificate of it, at whatever
// TCB version, or a guest on it was granted its key; a denial proves nothing.
func testKDSSeen(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	cache := s.KDSCache()
	key := func(n byte, microcode uint8) kds.Key {
		k, err := kds.VCEKKey(snp.Milan, [snp.ChipIDSize]byte{n}, snp.TCB{Microcode: microcode})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	want := func(k kds.Key, want bool) {
		t.Helper()
		if seen, err := cache.Seen(t.Context(), k); err != nil || seen != want {
			t.Errorf("%s: seen %t, %v", k, seen, err)
		}
	}
	cached, granted, denied := key(1, 1), key(2, 1), key(3, 1)
	for _, k := range []kds.Key{cached, granted, denied} {
		want(k, false)
	}
	if err := cache.Put(t.Context(), cached, kds.Entry{Data: []byte("x"), FetchedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	grant, denial := Granted(t, s), Denied("vmpl")
	grant.Audit.ChipID, denial.Audit.ChipID = granted.ChipID[:], denied.ChipID[:]
	record(t, s, grant)
	record(t, s, denial)
	want(key(1, 7), true)
	want(key(2, 7), true)
	want(denied, false)
	want(key(4, 1), false)
}
